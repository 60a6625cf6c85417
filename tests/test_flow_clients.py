"""Every client stack at the door: what it says when it is admitted and when not, and what the record says of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from support.broker import FREE, Running, running, tls
from support.clients import LOGIN_CLIENTS, Client, Curl, MbedTls, OpenSslClient, usable
from support.clients.base import TlsVersion
from support.pki import SERVER, Pki
from support.records import Record, action_is
from support.users import our_auth, write_users

USER, PASSWORD = "anna", "wonderland-17"
JA4 = re.compile(r"t1[23]d\d{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")

each_client_and_version = pytest.mark.parametrize(
    ("client", "version"),
    [(client, version) for client in LOGIN_CLIENTS for version in client.tls_versions],
    ids=repr,
)

# What each stack prints when it does not trust our issuer, and what reaches us of that.
VERIFY_FAILED = "certificate verify failed"
DISTRUST = {
    "mosquitto_pub": (VERIFY_FAILED, 48),
    "paho-mqtt": ("CERTIFICATE_VERIFY_FAILED", 48),
    "Python ssl": ("CERTIFICATE_VERIFY_FAILED", 48),
    "openssl s_client": ("unable to get local issuer certificate", 48),
    "gnutls-cli": ("The certificate issuer is unknown", 42),
    "Node.js mqtt.js": ("unable to get local issuer certificate", None),
    "mbedTLS": ("The certificate is not correctly signed by the trusted CA", 48),
}
CODE_OF_ALERT = {
    48: ("handshake", "server_certificate_unknown_ca"),
    42: ("handshake", "server_certificate_bad"),
}
# Node.js sends no alert; with TLS 1.2 it looks at our certificate only when the handshake is over.
CODE_OF_SILENCE = {
    "1.3": ("handshake", "closed_after_server_certificate"),
    "1.2": ("connect", "closed_before_connect"),
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    auth = our_auth(write_users(tmp_path / "users.txt", {USER: PASSWORD}))
    # A listener for each version, since "--tls-version tlsv1.2" of mosquitto_pub means 1.2 or newer.
    listeners = {
        f"tls-{version}": {"bind": FREE, "tls": tls(pki.server(), minimum_version=version, maximum_version=version)}
        for version in ("1.2", "1.3")
    }
    async with running(tmp_path, listeners, auth=auth) as broker:
        yield broker


def stopped_at(record: Record) -> tuple[str, str]:
    return record["doorlog"]["stage"], record["event"]["code"]


async def only_connect(broker: Running) -> Record:
    """Wait for the record of the only client that there was."""
    record = await broker.record(action_is("connect"))
    assert broker.service.door.accepted == 1
    return record


def check_hello(record: Record, version: TlsVersion) -> None:
    """What the ClientHello of every stack tells, however the attempt ends."""
    assert record["source"]["ip"] == "127.0.0.1"
    assert record["tls"]["version"] == version
    assert record["tls"]["client"]["server_name"] == "localhost"
    assert JA4.fullmatch(record["tls"]["client"]["ja4"])
    assert version in record["tls"]["client"]["supported_versions"]


@each_client_and_version
async def test_a_good_login(client: Client, version: TlsVersion, broker: Running, pki: Pki) -> None:
    result = await usable(client).run(
        broker.target(f"tls-{version}"),
        cafile=pki.cafile,
        tls_version=version,
        username=USER,
        password=PASSWORD,
        client_id="pump-17",
    )

    assert result.connected, result
    record = await only_connect(broker)
    assert stopped_at(record) == ("session", "admitted")
    check_hello(record, version)
    assert record["tls"]["established"] is True
    assert "alert" not in record["tls"]
    assert (record["mqtt"]["client_id"], record["user"]["name"]) == ("pump-17", USER)
    assert record["doorlog"]["auth"]["method"] == "password"
    ended = await broker.record(action_is("disconnect"))
    assert ended["event"]["code"] == "normal", "each of these clients says DISCONNECT"


@each_client_and_version
async def test_an_untrusted_authority(client: Client, version: TlsVersion, broker: Running, pki: Pki) -> None:
    said, alert = DISTRUST[client.name]
    result = await usable(client).run(
        broker.target(f"tls-{version}"),
        cafile=pki.other_cafile,
        tls_version=version,
        username=USER,
        password=PASSWORD,
        client_id="pump-17",
    )

    assert not result.connected
    assert said in (result.refused_text or ""), result
    record = await only_connect(broker)
    check_hello(record, version)
    assert "mqtt" not in record, "no client gets as far as to name itself"
    assert record["tls"]["server"]["hash"]["sha256"] == pki.server().sha256
    if alert is None:
        assert stopped_at(record) == CODE_OF_SILENCE[version]
        assert "alert" not in record["tls"]
    else:
        assert stopped_at(record) == CODE_OF_ALERT[alert]
        assert record["tls"]["established"] is False
        assert (record["tls"]["alert"]["code"], record["tls"]["alert"]["direction"]) == (alert, "received")


@each_client_and_version
async def test_a_wrong_password(client: Client, version: TlsVersion, broker: Running, pki: Pki) -> None:
    result = await usable(client).run(
        broker.target(f"tls-{version}"),
        cafile=pki.cafile,
        tls_version=version,
        username=USER,
        password="guess-1",
        client_id="pump-17",
    )

    assert not result.connected
    assert "bad user" in (result.refused_text or "").lower(), result
    record = await only_connect(broker)
    assert stopped_at(record) == ("credentials", "bad_password")
    check_hello(record, version)
    assert record["tls"]["established"] is True
    assert record["mqtt"]["connack"]["code"] == 4
    assert (record["mqtt"]["client_id"], record["user"]["name"]) == ("pump-17", USER)


# A browser or a health check that has the wrong port.


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_a_browser_speaks_http_over_tls(version: TlsVersion, broker: Running, pki: Pki) -> None:
    result = await usable(Curl()).run(broker.target(f"tls-{version}"), cafile=pki.cafile, tls_version=version)

    assert result.refused_text is not None
    assert "Empty reply from server" in result.refused_text, result
    record = await only_connect(broker)
    assert stopped_at(record) == ("connect", "not_mqtt")
    check_hello(record, version)
    assert record["tls"]["established"] is True
    assert record["tls"]["client"]["alpn"] == ["http/1.1"]


async def test_a_browser_speaks_http_to_the_tls_port(broker: Running) -> None:
    result = await usable(Curl()).run(broker.target("tls-1.3"), tls=False)

    assert not result.connected
    record = await only_connect(broker)
    assert stopped_at(record) == ("hello", "plaintext_http")
    assert record["source"]["ip"] == "127.0.0.1"


async def test_a_browser_does_not_trust_us(broker: Running, pki: Pki) -> None:
    result = await usable(Curl()).run(broker.target("tls-1.3"), cafile=pki.other_cafile)

    assert "certificate" in (result.refused_text or ""), result
    record = await only_connect(broker)
    assert stopped_at(record) == ("handshake", "server_certificate_unknown_ca")


# The story that this project is about.


@dataclass(frozen=True, slots=True)
class Pinned:
    """A device that was told to trust one certificate of the old chain, and not the root.

    Attributes:
        client: Its TLS stack.
        pin: Which one.
    """

    client: Client
    pin: Literal["intermediate", "leaf"]

    def cafile(self, pki: Pki) -> Path:
        trusted = pki.servers.certificate if self.pin == "intermediate" else pki.server().certificate
        return pki.write(f"pinned-{self.pin}.pem", trusted)

    def __repr__(self) -> str:
        return f"{self.client}-{self.pin}"


@pytest.mark.parametrize(
    "device",
    [
        Pinned(MbedTls(), "intermediate"),
        Pinned(OpenSslClient(("-partial_chain",)), "intermediate"),
        Pinned(OpenSslClient(("-partial_chain",)), "leaf"),
    ],
    ids=repr,
)
async def test_a_rotated_certificate_and_a_device_that_pinned_the_old_one(
    device: Pinned, tmp_path: Path, pki: Pki
) -> None:
    old = pki.server()
    new = pki.issue("renewed", SERVER, pki.authority("Example Server CA 2", pki.root))
    said = []
    records: list[Record] = []
    for day, chain in enumerate((old, new, old)):
        listeners = {"tls": {"bind": FREE, "tls": tls(chain)}}
        async with running(tmp_path / str(day), listeners) as broker:
            result = await usable(device.client).run(
                broker.target("tls"), cafile=device.cafile(pki), client_id="pump-17"
            )
            said.append(result.connected)
            records.append(await only_connect(broker))

    before, rotated, rolled_back = records
    assert said == [True, False, True]
    assert before["event"]["code"] == rolled_back["event"]["code"] == "admitted"
    assert stopped_at(rotated) == ("handshake", "server_certificate_unknown_ca")
    assert rotated["source"]["ip"] == "127.0.0.1"
    assert rotated["tls"]["alert"] == {"code": 48, "description": "unknown_ca", "direction": "received"}
    assert rotated["tls"]["server"]["x509"]["issuer"]["common_name"] == ["Example Server CA 2"]
    assert rotated["tls"]["server"]["hash"]["sha256"] == new.sha256
    assert rotated["tls"]["client"]["ja4"] == before["tls"]["client"]["ja4"], "the same device, by its offer"
    assert rotated["message"] == (
        '127.0.0.1 refused our certificate: it does not trust its issuer "Example Server CA 2" (alert unknown_ca)'
    )
