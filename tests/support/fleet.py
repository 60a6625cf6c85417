"""Devices for tests of identity: how each is admitted, how it leaves, and how it fails without saying who it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from doorlog.events.codes import Code
from doorlog.events.parts import (
    UNKNOWN_DEVICE,
    DevicePart,
    HashPart,
    MqttPart,
    SourcePart,
    TlsClientPart,
    TlsPart,
    TlsServerPart,
    UserPart,
)
from doorlog.events.records import ConnectEvent, DisconnectEvent
from doorlog.identity.directory import Directory
from doorlog.identity.evidence import Evidence
from doorlog.identity.naming import Naming
from doorlog.identity.overview import summaries
from doorlog.identity.places import place_of
from doorlog.identity.store import open_to_read
from doorlog.identity.view import Known
from doorlog.settings.models import DeviceSettings
from support.events import admitted_connect, ended_session, failed_connect, refused_password

BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
ESP: Final = "t12d120600_2a2a57e16fd0_a44c6288192a"
NODE: Final = "t13d311000_e8f1e7e78f70_1f22a2ca17c4"
OLD, NEW = "AA" * 32, "BB" * 32
"""The certificates that we serve, before and after a rotation: their SHA-256."""


def at(hours: float) -> datetime:
    """Return a moment so many hours after the beginning."""
    return BEGIN + timedelta(hours=hours)


def tls(ja4: str | None = ESP, served: str = OLD, *, established: bool = True, **more: Any) -> TlsPart:
    client = TlsClientPart(ja4=ja4, server_name="mqtt.example.org", tickets=more.pop("tickets", None))
    server = TlsServerPart(hash=HashPart(sha256=served))
    return TlsPart(established=established, version="1.3", client=client, server=server, **more)


def admitted(device: str, hours: float = 0.0, ip: str = "192.0.2.1", **hello: Any) -> ConnectEvent:
    """A device is admitted."""
    event = admitted_connect(
        timestamp=at(hours),
        source=SourcePart(ip=ip, port=50_000),
        tls=tls(**hello),
        mqtt=MqttPart(client_id=device, protocol_version="3.1.1", keep_alive=60, clean_session=True),
        user=UserPart(name=f"user of {device}"),
    )
    return _with_id(event, f"{device}-{hours}")


def left(device: str, hours: float) -> DisconnectEvent:
    """Its session ends."""
    return ended_session(timestamp=at(hours), mqtt=MqttPart(client_id=device))


def failed(
    hours: float, ip: str = "192.0.2.1", *, code: Code = Code.SERVER_CERTIFICATE_UNKNOWN_CA, **hello: Any
) -> ConnectEvent:
    """Somebody refuses our certificate and says nothing else."""
    event = failed_connect(
        timestamp=at(hours),
        source=SourcePart(ip=ip, port=50_001),
        tls=tls(**{"served": NEW, "established": False, **hello}),
        device=None,
    )
    event = event.model_copy(update={"event": event.event.model_copy(update={"code": code})})
    doorlog = event.doorlog.model_copy(update={"device": UNKNOWN_DEVICE})
    return _with_id(event.model_copy(update={"doorlog": doorlog}), f"failed-{ip}-{hours}")


def wrong_password(device: str, hours: float, ip: str) -> ConnectEvent:
    """Somebody writes a device's name and does not know its password."""
    event = refused_password(
        timestamp=at(hours), source=SourcePart(ip=ip, port=50_002), tls=tls(), mqtt=MqttPart(client_id=device)
    )
    return _with_id(event, f"claim-{hours}")


def _with_id(event: ConnectEvent, connection_id: str) -> ConnectEvent:
    return event.model_copy(update={"doorlog": event.doorlog.model_copy(update={"connection_id": connection_id})})


def evidence(hours: float = 24.0, ip: str = "192.0.2.1", look: str | None = "esp", **more: Any) -> Evidence:
    facts: dict[str, Any] = {"moment": at(hours).timestamp(), "place": place_of(ip), "look": look, "served": "new"}
    return Evidence(**(facts | more))


def known(device: str, hours: float = 23.0, ip: str = "192.0.2.1", look: str = "esp", **more: Any) -> Known:
    """A device that was last seen at that hour at that address, if not told otherwise for ten days."""
    place, last = place_of(ip), at(hours).timestamp()
    facts: dict[str, Any] = {
        "id": device, "last_seen": last, "connects": 10, "address": place.address, "network": place.network,
        "look": look, "former_look": None, "served": "old", "first_here": last - 10 * DAY, "last_here": last,
        "count_here": 10,
    }  # fmt: skip
    return Known(**(facts | more))


class House:
    """A directory and what names devices by it, as the log's thread has them."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        self.directory = Directory(path)
        self.naming = Naming(DeviceSettings(**settings), self.directory)

    def see(self, *events: ConnectEvent | DisconnectEvent) -> None:
        """Let things happen one after another, each learned before the next."""
        for event in events:
            self.name(event)

    def name(self, event: ConnectEvent | DisconnectEvent) -> Any:
        """Return the event with its device."""
        named = self.naming(event)
        self.directory.flush()
        return named

    def who(self, event: ConnectEvent) -> tuple[str | None, str]:
        """Return the device that a failure is given, and how sure that is."""
        named = self.name(event)
        device: DevicePart | None = named.device
        return device.id if device is not None else None, named.doorlog.device.confidence

    def rows(self, *tables: str) -> list[tuple[Any, ...]]:
        """Return all that stands in these tables."""
        with closing(open_to_read(self.path)) as connection:
            return [row for table in tables for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]

    def states(self, hour: float) -> dict[str, str]:
        """What ``doorlog devices`` would say, so many hours after the beginning."""
        self.directory.flush()
        with closing(open_to_read(self.path)) as connection:
            return {one.id: one.state for one in summaries(connection, at(hour).timestamp())}


@contextmanager
def house(path: Path, **settings: Any) -> Iterator[House]:
    """Open a directory for a test."""
    made = House(path / "devices.db", **settings)
    try:
        yield made
    finally:
        made.directory.close()


def regular(device: str, ip: str = "192.0.2.1", *, days: int = 10, **hello: Any) -> list[Any]:
    """A device that comes every six hours for a moment."""
    return [
        event
        for hour in range(0, 24 * days, 6)
        for event in (admitted(device, hour, ip, **hello), left(device, hour + 0.01))
    ]
