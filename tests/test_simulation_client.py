"""A simulated device's side of a connection, as the door sees it."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from doorlog.simulation.client import TlsClient, dial
from doorlog.simulation.packets import connect_packet
from doorlog.simulation.profiles import PROFILES, client_context
from support.doors import FREE, OpenDoor, open_door
from support.pki import Pki

Listeners = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def listeners(pki: Pki) -> Listeners:
    server = pki.server()
    return {"tls": {"bind": FREE, "tls": {"certfile": server.certfile, "keyfile": server.keyfile}}}


async def client_of(opened: OpenDoor, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> TlsClient:
    connected = await dial("127.9.8.7", ("127.0.0.1", opened.target("tls").port))
    return TlsClient(connected, context, "localhost", session)


async def test_it_is_admitted_from_its_address_and_says_goodbye(pki: Pki, listeners: Listeners) -> None:
    async with open_door(listeners=listeners) as opened:
        client = await client_of(opened, client_context(PROFILES["openssl-3"], pki.cafile))
        port = client.port
        assert await client.connect(connect_packet("pump-17", keep_alive=90, clean_session=False))
        connect = await opened.connect()
        await client.disconnect()

        assert connect.mqtt
        assert (connect.mqtt.client_id, connect.mqtt.keep_alive, connect.mqtt.clean_session) == ("pump-17", 90, False)
        assert (connect.source.ip, connect.source.port) == ("127.9.8.7", port)
        assert (await opened.disconnect()).event.code == "normal"


@pytest.mark.parametrize(("how", "code"), [("close", "closed"), ("reset", "reset")])
async def test_a_session_is_lost(pki: Pki, listeners: Listeners, how: str, code: str) -> None:
    async with open_door(listeners=listeners) as opened:
        client = await client_of(opened, client_context(PROFILES["openssl-3"], pki.cafile))
        await client.connect(connect_packet("pump-17", keep_alive=90, clean_session=True))
        client.close(how)  # type: ignore[arg-type]  # one of the two above

        assert (await opened.disconnect()).event.code == code


@pytest.mark.parametrize("profile", ["mbedtls-2", "rtos-1.3"])
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("alert", "server_certificate_unknown_ca"),
        ("close", "closed_after_server_certificate"),
        ("reset", "reset_after_server_certificate"),
    ],
)
async def test_it_turns_the_server_down(pki: Pki, listeners: Listeners, profile: str, refusal: str, code: str) -> None:
    async with open_door(listeners=listeners) as opened:
        client = await client_of(opened, client_context(PROFILES[profile], pki.other_cafile))
        with pytest.raises(ssl.SSLError):
            await client.connect(connect_packet("pump-17", keep_alive=90, clean_session=True))
        await client.refuse(refusal)  # type: ignore[arg-type]  # one of the three above

        assert (await opened.connect()).event.code == code


@pytest.mark.parametrize("profile", ["jsse-8", "jsse-17"])
async def test_it_resumes_its_session(pki: Pki, listeners: Listeners, profile: str) -> None:
    context = client_context(PROFILES[profile], pki.cafile)
    async with open_door(listeners=listeners) as opened:
        first = await client_of(opened, context)
        await first.connect(connect_packet("pump-17", keep_alive=90, clean_session=True))
        session = first.session
        await first.disconnect()
        again = await client_of(opened, context, session)
        await again.connect(connect_packet("pump-17", keep_alive=90, clean_session=True))
        await again.disconnect()

        resumed = [(await opened.connect(number)).tls for number in (1, 2)]
        assert [tls.resumed for tls in resumed if tls] == [False, True]


async def test_the_server_turns_it_down(pki: Pki, listeners: Listeners) -> None:
    listeners["tls"]["tls"] |= {"cafile": pki.cafile, "client_certificate": "required"}
    async with open_door(listeners=listeners) as opened:
        client = await client_of(opened, client_context(PROFILES["rtos-1.3"], pki.cafile))

        assert not await client.connect(connect_packet("pump-17", keep_alive=90, clean_session=True))
        client.close("close")
        assert (await opened.connect()).event.code == "client_certificate_missing"


async def test_a_port_where_nobody_listens_leaves_nothing_open() -> None:
    with pytest.raises(OSError, match=r"[Rr]efused|111"):
        await dial("127.9.8.7", ("127.0.0.1", 1))
