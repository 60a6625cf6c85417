"""What ``doorlog check`` says about ports and certificates: each fault by its place, with the remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from doorlog.application.check_listeners import check_listeners
from doorlog.settings.models import ListenerSettings
from support.broker import tls
from support.pki import CertificateFiles, Pki

Found = tuple[str, str, str]
HERE = "127.0.0.1:8883"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def check(*, now: datetime | None = None, **listeners: dict[str, Any]) -> list[Found]:
    settings = {name: ListenerSettings.model_validate(given) for name, given in listeners.items()}
    return list(check_listeners(settings, now or datetime.now(UTC)))


def check_tls(server: CertificateFiles, *, now: datetime | None = None, **more: Any) -> list[Found]:
    return check(tls={"bind": HERE, "tls": tls(server, **more)}, now=now)


def with_key(server: CertificateFiles, keyfile: Path) -> CertificateFiles:
    return CertificateFiles(server.certfile, keyfile, server.certificate, server.key)


# nothing to complain about


def test_a_good_server_is_not_complained_about(pki: Pki) -> None:
    assert check_tls(pki.server()) == []
    assert check_tls(pki.server(), cafile=str(pki.cafile), client_certificate="required") == []


# files and keys: the listener can not start


def test_files_that_are_missing_are_all_told(tmp_path: Path) -> None:
    found = check(tls={"bind": HERE, "tls": {"certfile": tmp_path / "c.pem", "keyfile": tmp_path / "k.pem"}})

    assert [(severity, place) for severity, place, _ in found] == [
        ("error", "listeners.tls.tls.certfile"),
        ("error", "listeners.tls.tls.keyfile"),
    ]
    assert all("No such file or directory" in sentence for _, _, sentence in found)


def test_a_file_that_can_not_be_read(pki: Pki, tmp_path: Path) -> None:
    ((severity, place, sentence),) = check_tls(with_key(pki.server(), tmp_path))

    assert (severity, place) == ("error", "listeners.tls.tls.keyfile")
    assert sentence == f"{tmp_path} can not be read (Is a directory): correct the path or the file's permissions."


def test_a_file_that_holds_something_else(pki: Pki, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("hello", encoding="ascii")
    other.chmod(0o600)

    ((severity, place, sentence),) = check_tls(with_key(pki.server(), other))

    assert (severity, place) == ("error", "listeners.tls.tls.keyfile")
    assert sentence.startswith(f"{other} holds no private key in PEM form")


def test_a_key_that_belongs_to_another_certificate(pki: Pki) -> None:
    ((severity, place, sentence),) = check_tls(with_key(pki.server(), pki.server("another").keyfile))

    assert (severity, place) == ("error", "listeners.tls.tls.keyfile")
    assert "is not the key of the first certificate in" in sentence


def test_an_encrypted_key(pki: Pki) -> None:
    key = pki.server().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    path = pki.write("encrypted.key", key)
    path.chmod(0o600)

    ((severity, place, sentence),) = check_tls(with_key(pki.server(), path))

    assert (severity, place) == ("error", "listeners.tls.tls.keyfile")
    assert sentence == f'{path} is encrypted and there is no password for it: decrypt it with "openssl pkey".'


def test_a_key_that_everybody_may_read(pki: Pki) -> None:
    path = pki.write_key("open.key", pki.server().key)
    path.chmod(0o644)

    ((severity, place, sentence),) = check_tls(with_key(pki.server(), path))

    assert (severity, place) == ("warning", "listeners.tls.tls.keyfile")
    assert sentence == f"{path} is open to every user of this machine: chmod o-rwx it."


def test_ciphers_that_openssl_does_not_know(pki: Pki) -> None:
    ((severity, place, sentence),) = check_tls(pki.server(), ciphers="ENIGMA")

    assert (severity, place) == ("error", "listeners.tls.tls")
    assert sentence.startswith("ciphers: ENIGMA can not be used")


# the chain: the listener starts, but devices refuse it


def test_an_expired_certificate_is_a_warning_that_says_what_devices_do(pki: Pki) -> None:
    ((severity, place, sentence),) = check_tls(pki.server_expired())

    assert (severity, place) == ("warning", "listeners.tls.tls.certfile")
    assert "The broker starts all the same, but devices that look at dates refuse it" in sentence


def test_a_certificate_that_is_about_to_expire(pki: Pki) -> None:
    later = pki.server().certificate.not_valid_after_utc - timedelta(days=3, hours=1)

    ((severity, _, sentence),) = check_tls(pki.server(), now=later)

    assert severity == "warning"
    assert "expires in 3 days" in sentence


def test_a_certificate_that_is_not_valid_yet(pki: Pki) -> None:
    ((severity, _, sentence),) = check_tls(pki.server_not_yet_valid())

    assert severity == "warning"
    assert "is not valid before" in sentence


def test_an_incomplete_chain_is_told_by_what_is_missing(pki: Pki) -> None:
    ((severity, place, sentence),) = check_tls(pki.server_incomplete())

    assert (severity, place) == ("warning", "listeners.tls.tls.certfile")
    assert f'lacks the certificate of "{pki.servers.common_name}"' in sentence
    assert "unknown_ca" in sentence


def test_the_authorities_of_the_devices_do_not_complete_our_own_chain(pki: Pki) -> None:
    found = check_tls(pki.server_incomplete(), cafile=str(pki.cafile), client_certificate="required")

    assert ["The chain is incomplete" in sentence for _, _, sentence in found] == [True]


def test_a_chain_out_of_order_is_told_the_right_order(pki: Pki) -> None:
    server = pki.server()
    path = pki.write("shuffled.pem", server.certificate, pki.root.certificate, pki.servers.certificate)
    shuffled = CertificateFiles(path, server.keyfile, server.certificate, server.key)

    found = check_tls(shuffled)

    assert ("warning", "Write them in the order 1, 3, 2.") in [
        (severity, sentence[-len("Write them in the order 1, 3, 2.") :]) for severity, _, sentence in found
    ]


def test_a_certificate_that_signs_itself(pki: Pki) -> None:
    ((severity, _, sentence),) = check_tls(pki.server_self_signed())

    assert severity == "warning"
    assert "is signed by itself" in sentence


# whom we trust


def test_authorities_that_are_missing_are_told_once(pki: Pki, tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"

    ((severity, place, sentence),) = check_tls(pki.server(), cafile=str(missing), client_certificate="required")

    assert (severity, place) == ("error", "listeners.tls.tls.cafile")
    assert "No such file or directory" in sentence


def test_an_intermediate_without_its_root(pki: Pki) -> None:
    path = pki.write("devices-only.pem", pki.devices.certificate)

    ((severity, place, _),) = check_tls(pki.server(), cafile=str(path), client_certificate="required")

    assert (severity, place) == ("warning", "listeners.tls.tls.cafile")


def test_authorities_that_nobody_is_asked_for(pki: Pki) -> None:
    assert check_tls(pki.server(), cafile=str(pki.cafile)) == [
        (
            "info",
            "listeners.tls.tls.cafile",
            "has no effect without client_certificate: optional or required",
        )
    ]


def test_revocation_lists_that_are_too_old(pki: Pki) -> None:
    now = datetime.now(UTC)
    old = pki.write("old.pem", pki.devices.crl(now=now, days=-1), pki.root.crl(now=now))

    found = check_tls(pki.server(), cafile=str(pki.cafile), crlfile=str(old), client_certificate="required")

    assert [(severity, place) for severity, place, _ in found] == [
        ("warning", "listeners.tls.tls.crlfile"),
        ("warning", "listeners.tls.tls.crlfile"),
    ]
    assert any("expired on" in sentence for _, _, sentence in found)


# addresses


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:1883", "127.0.0.1:1883"),
        (":1883", "127.0.0.1:1883"),
        ("127.0.0.1:1883", "0.0.0.0:1883"),
        ("[::]:1883", "[::1]:1883"),
        ("[::1]:1883", "[0:0::1]:1883"),
        ("localhost:1883", "127.0.0.1:1883"),
        ("localhost:1883", "[::1]:1883"),
        (":1883", "broker.example.com:1883"),
        ("broker.example.com:1883", "broker.example.com:1883"),
    ],
)
def test_two_listeners_that_want_the_same_port(one: str, other: str) -> None:
    found = check(a={"bind": one}, b={"bind": other})

    assert ("error", "listeners.b.bind", f"{other} is taken by listeners.a: choose another port") in found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:1883", "127.0.0.1:1884"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:1883", "127.0.0.2:1883"),
        ("0.0.0.0:1883", "[::]:1883"),
        ("127.0.0.1:1883", "[::1]:1883"),
    ],
)
def test_two_listeners_that_get_along(one: str, other: str) -> None:
    assert [finding for finding in check(a={"bind": one}, b={"bind": other}) if finding[0] == "error"] == []


@pytest.mark.parametrize("bind", ["0.0.0.0:1883", ":1883", "10.0.0.1:1883", "[::]:1883", "broker.example.com:1883"])
def test_passwords_in_the_clear_on_a_port_that_others_reach(bind: str) -> None:
    ((severity, place, sentence),) = check(plain={"bind": bind})

    assert (severity, place) == ("warning", "listeners.plain")
    assert "passwords travel unencrypted" in sentence


def test_a_load_balancer_may_have_done_the_tls() -> None:
    lb = {"bind": ":1883", "proxy_protocol": "required", "proxy_networks": ["10.0.0.0/24"]}

    assert check(lb=lb) == []
    assert check(plain={"bind": "127.0.0.1:1883"}) == []
