from __future__ import annotations

import json
import os
import shutil
import ssl
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from amqtt.broker import Broker, BrokerContext
from amqtt.plugins.authentication import FileAuthPlugin
from amqtt.session import Session
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from doorlog.certificates.chain import inspect_chain
from doorlog.certificates.development import DevelopmentPki, create_development_pki
from doorlog.certificates.facts import CertificateFacts, certificate_facts
from doorlog.errors import CertificateError
from support.pki import CertificateFiles, Pki
from support.pki_tls import client_context, handshake, server_context

NOW = datetime.now(UTC).replace(microsecond=0)
PRIVATE = ("ca.key", "intermediate.key", "server.key", "demo-device.key", "demo.password", "users.txt")


def create(folder: Path, *hostnames: str, now: datetime = NOW) -> DevelopmentPki:
    if hostnames:
        return create_development_pki(folder, hostnames=hostnames, now=now)
    return create_development_pki(folder, now=now)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(folder: Path, before: dict[str, bytes]) -> set[str]:
    after = contents(folder)
    return {name for name in before | after if before.get(name) != after.get(name)}


def files(certfile: Path, keyfile: Path) -> CertificateFiles:
    key = load_pem_private_key(keyfile.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return CertificateFiles(certfile, keyfile, x509.load_pem_x509_certificate(certfile.read_bytes()), key)


def leaf_of(certfile: Path) -> CertificateFacts:
    pem = certfile.read_text().partition("-----END CERTIFICATE-----")
    return certificate_facts(ssl.PEM_cert_to_DER_cert(pem[0] + pem[1]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, since hashing the password takes its time."""
    return create(tmp_path_factory.mktemp("made") / ".doorlog").folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return tmp_path / ".doorlog"


@pytest.fixture
def folder(made: Path, fresh: Path) -> Path:
    """The folder as a first run left it."""
    return shutil.copytree(made, fresh)


# what a newcomer gets


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_device_that_trusts_the_root_is_accepted_and_accepts_us(
    folder: Path, version: ssl.TLSVersion, host: str
) -> None:
    pki = create(folder)
    server = server_context(files(pki.server_chain, pki.server_key), client_cafile=pki.ca_certificate)
    device = client_context(pki.ca_certificate, files(pki.device_certificate, pki.device_key), version=version)
    device.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 has it by default
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    end = handshake(server, device, host=host)
    assert end.done
    der = end.server.getpeercert(binary_form=True)
    assert der is not None
    assert certificate_facts(der).subject_common_name == "demo-device"


def test_the_chain_is_complete_and_in_order(folder: Path) -> None:
    pki = create(folder)
    report = inspect_chain(pki.server_chain, pki.server_key, cafile=pki.ca_certificate, now=NOW)
    assert report.findings == ()
    assert len(report.chain) == 2
    assert report.chain[0].alternative_names == ("localhost", "127.0.0.1", "::1")
    assert (report.chain[0].public_key_algorithm, report.chain[0].public_key_size) == ("ECDSA", 256)


def test_the_demo_device_is_no_server_and_the_server_no_device(folder: Path) -> None:
    pki = create(folder, "localhost", "demo-device")
    device = files(pki.device_certificate, pki.device_key)
    server = files(pki.server_chain, pki.server_key)
    assert not handshake(server_context(device), client_context(pki.ca_certificate), host="demo-device").done
    context = server_context(server, client_cafile=pki.ca_certificate)
    assert not handshake(context, client_context(pki.ca_certificate, server)).done


async def test_amqtt_lets_the_demo_user_in_with_the_password_in_the_file(folder: Path) -> None:
    pki = create(folder)
    context = BrokerContext(Broker.__new__(Broker))  # the plugin asks its context for its own settings only
    context.config = FileAuthPlugin.Config(pki.users_file)  # type: ignore[assignment] # as amqtt's loader does
    plugin = FileAuthPlugin(context)
    session = Session()
    session.username, session.password = "demo", pki.password_file.read_text()
    assert await plugin.authenticate(session=session)
    session.password = "guess"
    assert not await plugin.authenticate(session=session)


def test_nobody_else_can_read_what_is_private(fresh: Path) -> None:
    before = os.umask(0)
    try:
        create(fresh)
    finally:
        os.umask(before)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    for name in PRIVATE:
        assert stat.S_IMODE((fresh / name).stat().st_mode) == 0o600, name


def test_a_folder_that_stood_open_is_closed(fresh: Path) -> None:
    fresh.mkdir(mode=0o755)
    create(fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


def test_two_machines_do_not_look_alike(tmp_path: Path) -> None:
    one, other = create(tmp_path / "one"), create(tmp_path / "other")
    assert leaf_of(one.ca_certificate).subject != leaf_of(other.ca_certificate).subject
    assert one.password_file.read_text() != other.password_file.read_text()


# the second run


def test_the_second_run_changes_nothing(folder: Path) -> None:
    first = create(folder)
    before = contents(folder)
    assert create(folder, now=NOW + timedelta(days=300)) == first
    assert create(folder, "::1", "127.0.0.1", "localhost") == first
    assert changed(folder, before) == set()


@pytest.mark.parametrize("days", [396.5, 400, 800])
def test_leaves_that_end_are_renewed_and_keep_their_keys(folder: Path, days: float) -> None:
    pki = create(folder)
    before = contents(folder)
    later = NOW + timedelta(days=days)
    create(folder, now=later)
    assert changed(folder, before) == {"server.crt", "demo-device.crt"}
    assert leaf_of(pki.server_chain).not_after == later + timedelta(days=397)
    assert inspect_chain(pki.server_chain, pki.server_key, cafile=pki.ca_certificate, now=later).findings == ()


def test_other_host_names_renew_the_server_only(folder: Path) -> None:
    pki = create(folder)
    before = contents(folder)
    create(folder, "broker.local", "192.168.1.7", "fe80::1%eth0")
    assert changed(folder, before) == {"server.crt"}
    assert leaf_of(pki.server_chain).alternative_names == ("broker.local", "192.168.1.7", "fe80::1")
    before = contents(folder)
    create(folder, "broker.local", "192.168.1.7", "fe80::1%eth0")
    assert changed(folder, before) == set()


def test_a_leaf_never_outlives_its_issuer(folder: Path) -> None:
    pki = create(folder)
    later = NOW + timedelta(days=3500)
    create(folder, now=later)
    assert leaf_of(pki.server_chain).not_after == leaf_of(pki.ca_certificate).not_after


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("server.key", b"junk"),
        ("server.key", None),
        ("server.crt", b""),
        ("server.crt", None),
        ("demo-device.crt", b"x"),
    ],
)
def test_a_broken_or_missing_leaf_is_made_anew(folder: Path, name: str, content: bytes | None) -> None:
    pki = create(folder)
    damage(folder / name, content)
    create(folder)
    assert inspect_chain(pki.server_chain, pki.server_key, cafile=pki.ca_certificate, now=NOW).findings == ()
    assert inspect_chain(pki.device_certificate, pki.device_key, now=NOW).ok


def damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def test_the_key_of_another_leaf_is_noticed(folder: Path) -> None:
    pki = create(folder)
    pki.server_key.write_bytes(pki.device_key.read_bytes())
    create(folder)
    assert inspect_chain(pki.server_chain, pki.server_key, now=NOW).ok


def test_an_rsa_key_in_the_way_is_replaced(folder: Path, tmp_path: Path) -> None:
    pki = create(folder)
    pki.server_key.write_bytes(Pki(tmp_path).server_rsa().keyfile.read_bytes())
    create(folder)
    assert inspect_chain(pki.server_chain, pki.server_key, now=NOW).ok


def test_without_root_everything_starts_anew(folder: Path) -> None:
    pki = create(folder)
    before = contents(folder)
    pki.ca_certificate.unlink()
    create(folder)
    kept = {"server.key", "demo-device.key", "users.txt", "demo.password"}
    assert changed(folder, before) == before.keys() - kept - {".lock"}
    assert inspect_chain(pki.server_chain, pki.server_key, cafile=pki.ca_certificate, now=NOW).findings == ()


# users


def test_other_users_are_kept(folder: Path) -> None:
    pki = create(folder)
    with pki.users_file.open("ab") as file:
        file.write(b"# ours\nm\xfcller:$argon2id$x\n")
    before = contents(folder)
    create(folder)
    assert changed(folder, before) == set()
    pki.password_file.unlink()
    create(folder)
    lines = pki.users_file.read_bytes().splitlines()
    assert lines[:2] == [b"# ours", b"m\xfcller:$argon2id$x"]
    (demo,) = [line for line in lines if line.startswith(b"demo:")]
    assert PasswordHasher().verify(demo.partition(b":")[2].decode(), pki.password_file.read_text())


def test_a_demo_user_that_was_removed_comes_back_with_a_new_password(folder: Path) -> None:
    pki = create(folder)
    old = pki.password_file.read_text()
    pki.users_file.write_text("")
    create(folder)
    assert pki.users_file.read_text().startswith("demo:$argon2id$")
    assert pki.password_file.read_text() != old


# faults


def truncated(pki: DevelopmentPki) -> None:
    pki.intermediate_certificate.write_bytes(pki.intermediate_certificate.read_bytes()[:200])


def swapped_key(pki: DevelopmentPki) -> None:
    pki.intermediate_key.write_bytes(pki.ca_key.read_bytes())


def foreign_root(pki: DevelopmentPki) -> None:
    pki.ca_certificate.write_bytes(create(pki.folder.parent / "foreign").ca_certificate.read_bytes())


def lost_key(pki: DevelopmentPki) -> None:
    pki.intermediate_key.unlink()


@pytest.mark.parametrize("spoil", [truncated, swapped_key, foreign_root, lost_key])
def test_a_root_that_devices_trust_is_never_replaced_silently(
    folder: Path, spoil: Callable[[DevelopmentPki], None]
) -> None:
    pki = create(folder)
    spoil(pki)
    before = contents(folder)
    with pytest.raises(CertificateError) as refused:
        create(folder)
    assert str(folder) in str(refused.value)
    assert f"remove {pki.ca_certificate}" in str(refused.value)
    assert changed(folder, before) == set()


@pytest.mark.parametrize("days", [-2, 3650, 4000])
def test_an_authority_that_is_not_valid_now_is_named_with_its_end(folder: Path, days: int) -> None:
    create(folder)
    with pytest.raises(CertificateError, match="clock of this machine") as refused:
        create(folder, now=NOW + timedelta(days=days))
    assert f"{NOW + timedelta(days=3650):%Y-%m-%d}" in str(refused.value)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("")
    with pytest.raises(CertificateError) as refused:
        create(path)
    assert str(path) in str(refused.value)
    assert "use another folder" in str(refused.value)


def test_a_folder_in_the_place_of_a_file_is_named_and_leaves_nothing_behind(fresh: Path) -> None:
    (fresh / "ca.key").mkdir(parents=True)
    with pytest.raises(CertificateError) as refused:
        create(fresh)
    assert "ca.key" in str(refused.value)
    assert {path.name for path in fresh.iterdir()} == {"ca.key", ".lock"}


@pytest.mark.parametrize("hostname", ["", "münchen.example", "two words", "line\nbreak"])
def test_what_is_no_host_name_is_refused_before_anything_is_made(fresh: Path, hostname: str) -> None:
    with pytest.raises(CertificateError, match="is no host name"):
        create(fresh, "localhost", hostname)
    assert not fresh.exists()


def test_no_host_name_is_refused(folder: Path) -> None:
    with pytest.raises(CertificateError, match="needs a host name"):
        create_development_pki(folder, hostnames=(), now=NOW)


def test_two_at_once_agree(fresh: Path) -> None:
    program = textwrap.dedent("""\
        import json, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from doorlog.certificates.development import create_development_pki

        sys.stdin.read(1)
        folder = Path(sys.argv[1])
        create_development_pki(folder, now=datetime.now(UTC))
        print(json.dumps({path.name: path.read_bytes().hex() for path in folder.iterdir()}))
        """)
    command = [sys.executable, "-c", program, str(fresh)]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        runs = [stack.enter_context(subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe)) for _ in range(3)]
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("!")
            run.stdin.flush()
        seen = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert seen[0] == seen[1] == seen[2]
    assert not [name for name in seen[0] if name.startswith(".") and name != ".lock"]
