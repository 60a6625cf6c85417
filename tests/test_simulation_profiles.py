"""TLS profiles: each is a client of its own to the door, and each gets in."""

from __future__ import annotations

import ssl

import pytest

from doorlog.events.codes import Action
from doorlog.simulation.client import TlsClient, dial
from doorlog.simulation.models import MODELS
from doorlog.simulation.packets import connect_packet
from doorlog.simulation.profiles import PROFILES, client_context
from support.doors import FREE, OpenDoor, open_door
from support.pki import Pki


def at(opened: OpenDoor) -> tuple[str, int]:
    return "127.0.0.1", opened.target("tls").port


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def test_there_are_many_profiles_and_every_model_has_some() -> None:
    used = {firmware.profile for model in MODELS for firmware in model.releases}

    assert len(used) >= 12
    assert used < set(PROFILES)


async def test_each_profile_connects_with_a_ja4_of_its_own(pki: Pki) -> None:
    server = pki.server()
    tls = {"certfile": server.certfile, "keyfile": server.keyfile}
    async with open_door(listeners={"tls": {"bind": FREE, "tls": tls}}) as opened:
        for name, profile in PROFILES.items():
            connected = await dial("127.0.7.7", at(opened))
            host = "localhost" if profile.server_name else None
            client = TlsClient(connected, client_context(profile, pki.cafile), host)
            assert await client.connect(connect_packet(name, keep_alive=60, clean_session=True))
            await client.disconnect()
        await opened.event(Action.DISCONNECT, len(PROFILES))
        connects = [await opened.connect(number + 1) for number in range(len(PROFILES))]

    assert {connect.source.ip for connect in connects} == {"127.0.7.7"}
    fingerprints = {}
    for connect in connects:
        assert connect.tls
        assert connect.tls.client
        assert connect.mqtt
        fingerprints[connect.mqtt.client_id] = connect.tls.client.ja4
    assert set(fingerprints) == set(PROFILES)
    assert len(set(fingerprints.values())) == len(PROFILES)


async def test_what_is_pinned_is_trusted_alone(pki: Pki) -> None:
    server = pki.server()
    tls = {"certfile": server.certfile, "keyfile": server.keyfile}
    async with open_door(listeners={"tls": {"bind": FREE, "tls": tls}}) as opened:
        client = TlsClient(
            await dial("127.0.0.9", at(opened)), client_context(PROFILES["go"], pki.other_cafile), "localhost"
        )
        with pytest.raises(ssl.SSLError):
            await client.handshake()
        await client.refuse("alert")

        assert (await opened.connect()).event.code == "server_certificate_unknown_ca"
