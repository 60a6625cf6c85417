"""The client drivers against servers that are not ours: what each stack says when it is admitted, and when not."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.clients import EXOTIC, LOGIN_CLIENTS, Client, Curl, MbedTls, MosquittoPub, OpenSslClient, Target, usable
from support.clients.servers import Mosquitto, mosquitto, s_server
from support.pki import Pki
from support.processes import run, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.clients.base import TlsVersion

each_client = pytest.mark.parametrize("client", LOGIN_CLIENTS, ids=repr)
each_client_and_version = pytest.mark.parametrize(
    ("client", "version"),
    [(client, version) for client in LOGIN_CLIENTS for version in client.tls_versions],
    ids=repr,
)

# what the device's log says of a broker whose CA it does not trust, and what the broker hears of it
DISTRUST = {
    "mosquitto_pub": ("certificate verify failed", "alert unknown ca"),
    "paho-mqtt": ("CERTIFICATE_VERIFY_FAILED", "alert unknown ca"),
    "Python ssl": ("CERTIFICATE_VERIFY_FAILED", "alert unknown ca"),
    "openssl s_client": ("unable to get local issuer certificate", "alert unknown ca"),
    "gnutls-cli": ("The certificate issuer is unknown", "alert bad certificate"),
    "Node.js mqtt.js": ("unable to get local issuer certificate", "unexpected eof while reading"),
    "mbedTLS": ("The certificate is not correctly signed by the trusted CA", "alert unknown ca"),
}

# alert 40 has many causes: what OpenSSL's server says of each offer, and the number that its client reads
ANSWERS = {
    "tls_1_1_only": ("unsupported protocol", 70),
    "cipher_1_2": ("no shared cipher", 40),
    "cipher_1_3": ("no shared cipher", 40),
    "group_1_2": ("no shared cipher", 40),
    "group_1_3": ("no suitable key share", 40),
    "signature_1_2": ("no shared signature algorithms", 40),
    "signature_1_3": ("no suitable signature algorithm", 40),
    "alpn": ("no application protocol", 120),
    "fallback": ("inappropriate fallback", 86),
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def broker(pki: Pki, tmp_path: Path) -> AsyncIterator[Mosquitto]:
    files = pki.server()
    users = {"pump": "s3cret"}
    async with mosquitto(
        tmp_path, certfile=files.certfile, keyfile=files.keyfile, cafile=pki.cafile, users=users
    ) as running:
        yield running


@each_client
async def test_untrusted_ca_is_refused_in_the_words_of_the_stack(client: Client, broker: Mosquitto, pki: Pki) -> None:
    said, heard = DISTRUST[client.name]
    result = await usable(client).run(broker.tls, cafile=pki.other_cafile, username="pump", password="s3cret")
    assert not result.connected
    assert result.exit_code != 0
    assert said in (result.refused_text or ""), result
    await broker.server.line(heard)


@each_client
async def test_wrong_password_is_refused_after_the_handshake(client: Client, broker: Mosquitto, pki: Pki) -> None:
    result = await usable(client).run(broker.tls, cafile=pki.cafile, username="pump", password="guess")
    assert not result.connected
    assert "not authori" in (result.refused_text or "").lower(), result
    await broker.server.line(r"Sending CONNACK to .* \(0, 5\)")


@each_client_and_version
async def test_good_login_is_connected(client: Client, version: TlsVersion, broker: Mosquitto, pki: Pki) -> None:
    result = await usable(client).run(
        broker.tls,
        cafile=pki.cafile,
        tls_version=version,
        username="pump",
        password="s3cret",
        client_id="pump-17",
    )
    assert result.connected, result
    assert (result.exit_code, result.refused_text) == (0, None)
    await broker.server.line(r"as pump-17 .*u'pump'")
    await broker.server.line("Received DISCONNECT from pump-17")


@each_client_and_version
async def test_client_certificate_is_shown(client: Client, version: TlsVersion, broker: Mosquitto, pki: Pki) -> None:
    device = pki.client("device-17")
    result = await usable(client).run(
        broker.mtls,
        cafile=pki.cafile,
        certfile=device.certfile,
        keyfile=device.keyfile,
        tls_version=version,
        username="pump",
        password="s3cret",
    )
    assert result.connected, result


@pytest.mark.parametrize("client", [c for c in LOGIN_CLIENTS if c.plain], ids=repr)
async def test_login_without_tls(client: Client, broker: Mosquitto) -> None:
    result = await usable(client).run(broker.plain, tls=False, username="pump", password="s3cret")
    assert result.connected, result


@pytest.mark.parametrize("client", [c for c in LOGIN_CLIENTS if c.websocket], ids=repr)
async def test_login_over_websocket(client: Client, broker: Mosquitto, pki: Pki) -> None:
    result = await usable(client).run(broker.wss, websocket=True, cafile=pki.cafile, username="pump", password="s3cret")
    assert result.connected, result


@each_client
async def test_nobody_listens(client: Client, pki: Pki) -> None:
    with socket.socket() as bound:  # bound, but not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        result = await usable(client).run(Target(*bound.getsockname()), cafile=pki.cafile)
    assert not result.connected
    assert result.refused_text


@each_client
async def test_a_silent_server_costs_no_more_than_the_timeout(client: Client, pki: Pki) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        result = await usable(client).run(Target(*deaf.getsockname()), cafile=pki.cafile, timeout=0.5)
    assert not result.connected
    assert "timed out" in (result.refused_text or ""), result


async def test_curl_speaks_http_inside_and_outside_of_tls(broker: Mosquitto, pki: Pki) -> None:
    inside = await usable(Curl()).run(broker.tls, cafile=pki.cafile)
    assert "Empty reply from server" in (inside.refused_text or ""), inside
    outside = await Curl().run(broker.tls, tls=False)
    assert not outside.connected
    await broker.server.line("http request")


@pytest.mark.parametrize("offer", EXOTIC)
async def test_offers_that_no_server_takes(offer: str, pki: Pki) -> None:
    server_says, alert = ANSWERS[offer]
    files = pki.server()
    limits = ("-no_tls1", "-no_tls1_1", "-groups", "X25519:P-256", "-alpn", "mqtt")
    async with s_server(files.certfile, files.keyfile, *limits) as (target, log):
        result = await usable(OpenSslClient(EXOTIC[offer])).run(target, cafile=pki.cafile)
        assert f"SSL alert number {alert}" in result.output
        assert "alert" in (result.refused_text or "")
        await log.line(server_says)


async def test_what_a_stack_cannot_do_is_an_error_of_the_test() -> None:
    nowhere = Target("127.0.0.1", 1)
    with pytest.raises(ValueError, match="without TLS"):
        await OpenSslClient().run(nowhere, tls=False)
    with pytest.raises(ValueError, match="WebSocket"):
        await MosquittoPub().run(nowhere, websocket=True)
    with pytest.raises(ValueError, match=r"TLS 1\.3"):
        await MbedTls().run(nowhere, tls_version="1.3")


async def test_a_name_that_cannot_be_dialled_is_not_looked_up() -> None:
    with pytest.raises(ValueError, match=r"broker\.example"):
        await MosquittoPub().run(Target("127.0.0.1", 1), hostname="broker.example")


def test_missing_client_is_skipped_here_but_fails_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(MosquittoPub):
        name = "nowhere"
        programs = ("no-such-program",)

    monkeypatch.delenv("DOORLOG_REQUIRE_CLIENTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        usable(Nowhere())
    monkeypatch.setenv("DOORLOG_REQUIRE_CLIENTS", "1")
    with pytest.raises(pytest.fail.Exception, match="nowhere is required"):
        usable(Nowhere())


# programs


async def test_a_program_that_says_too_much_is_read_to_its_end_and_cut() -> None:
    flood = await run([sys.executable, "-c", "print('x' * 3_000_000)"])
    assert flood.exit_code == 0
    assert len(flood.output) == 256 * 1024


async def test_a_server_that_does_not_start_is_an_error_with_its_own_words() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        async with serving([sys.executable, "-c", "print('no such thing')"], ready="ready"):
            pytest.fail("it was not ready")
