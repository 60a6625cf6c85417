"""The door of a simulation, started again with another chain."""

from __future__ import annotations

from pathlib import Path

from doorlog.events.records import ConnectEvent, Event
from doorlog.simulation.client import TlsClient, dial
from doorlog.simulation.host import Host
from doorlog.simulation.packets import connect_packet
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan
from doorlog.simulation.profiles import PROFILES, client_context


async def test_it_keeps_its_ports_and_serves_the_other_chain(tmp_path: Path) -> None:
    events: list[Event] = []
    pki = Pki(tmp_path, Plan())
    host, context = Host(pki, events.append), client_context(PROFILES["go"], pki.root)
    targets, left = set(), []
    for generation, chain in enumerate((1, 2), start=1):
        await host.start(chain, generation)
        targets.add((host.target(mutual=False), host.target(mutual=True)))
        client = TlsClient(await dial("127.1.1.1", host.target(mutual=False)), context, "mqtt.example.com")
        left.append(client)
        assert await client.connect(connect_packet("pump-1", keep_alive=30, clean_session=True))
        await host.stop()
    for client in left:
        client.close("close")

    assert len(targets) == 1
    connects = [event for event in events if isinstance(event, ConnectEvent)]
    served = [connect.tls.server for connect in connects if connect.tls and connect.tls.server]
    assert [part.generation for part in served] == [1, 2]
    assert len({part.x509.serial_number for part in served if part.x509}) == 2
    assert [event.event.code for event in events] == ["admitted", "server_shutdown"] * 2
