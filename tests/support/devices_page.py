"""The examples of docs/devices.md: ten days of a small fleet, the day its certificate was rotated, and what is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from doorlog.application import commands_device, commands_devices
from doorlog.events.codes import Action, Code, DisconnectCause, Outcome
from doorlog.events.parts import EventPart, HashPart, MqttPart, SourcePart, UserPart
from doorlog.events.sentences import message_of
from doorlog.identity.naming import Naming
from doorlog.identity.rebuild import Rebuild
from doorlog.log.processors import render, unfold
from doorlog.settings.models import DeviceSettings
from support.commands import doorlog
from support.events import SERVICE, admitted_connect, ended_session, failed_connect, refused_password
from support.verify_page import working_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorlog.events.parts import TlsPart
    from doorlog.events.records import Event

ROTATED: Final = datetime(2026, 3, 11, 6, tzinfo=UTC)
NOW: Final = ROTATED + timedelta(hours=5)
CSV: Final = """\
id,name,site,model,serial,addresses,tags
pump-17,Pump 17,berlin,P2,A12,192.0.2.17,water basement
pump-18,Pump 18,berlin,P2,A13,192.0.2.18 2001:db8::18,water
meter-4,,rome,,,,
"""
WRONG: Final = """\
id,site,addresses
pump-17,berlin,192.0.2.300
pump-18,rome
pump-18,rome,
"""


def examples(folder: Path) -> list[str]:
    """Return each command of the page with what it says.

    Args:
        folder: Empty.
    """
    clock = SimpleNamespace(time=NOW.timestamp)
    with (
        working_in(folder),
        patch.object(commands_devices, "time", clock),
        patch.object(commands_device, "time", clock),
    ):
        _write(Path(".doorlog/log"))
        Path("devices.csv").write_text(CSV, encoding="utf-8")
        Path("wrong.csv").write_text(WRONG, encoding="utf-8")
        return [
            _said("devices rebuild"),
            _said("devices import wrong.csv"),
            _said("devices import devices.csv"),
            _said("devices"),
            _said("device pump-17 --last 5"),
            _said("device meter-4 --last 1"),
        ]


def _write(folder: Path) -> None:
    """Write the log as a broker would that has learned of these devices."""
    folder.mkdir(parents=True)
    settings = DeviceSettings()
    lines: list[bytes] = []
    with Rebuild(folder / "devices.db", settings) as directory:
        naming = Naming(settings, directory)
        for event in sorted(_events(), key=lambda event: event.timestamp):
            for told in (naming(event), *naming.afterwards()):
                number = {"sequence": len(lines) + 1, "id": f"1-{len(lines) + 1}"}
                facts = {"event": told, "message": message_of(told), "service": SERVICE.model_dump(), **number}
                lines.append(render(None, "info", unfold(None, "info", facts)))
    (folder / "doorlog.jsonl").write_bytes(b"".join(lines))


def _events() -> Iterator[Event]:
    for day in range(10, 0, -1):
        yield from _session("pump-17", "192.0.2.17", timedelta(days=day))
        yield from _session("pump-18", "192.0.2.18", timedelta(days=day, minutes=3))
        yield from _session("meter-4", "198.51.100.7", timedelta(days=day, minutes=7))
        yield from _session("meter-5", "198.51.100.7", timedelta(days=day, minutes=9))
    yield from _session("valve-2", "203.0.113.9", timedelta(days=10))
    yield _refusal("192.0.2.17", timedelta(hours=1))
    yield _refusal("192.0.2.17", timedelta(hours=3))
    yield _refusal("198.51.100.7", timedelta(hours=2))
    yield from _session("pump-18", "192.0.2.18", timedelta(hours=-1), lasts=timedelta(hours=6))
    yield _at(
        ROTATED + timedelta(hours=4),
        refused_password(**_device("pump-17", "203.0.113.66")),
    )


def _session(name: str, address: str, before: timedelta, lasts: timedelta = timedelta(hours=23)) -> Iterator[Event]:
    begin = ROTATED - before
    yield _at(begin, admitted_connect(**_device(name, address), tls=_tls("AB", established=True)))
    if begin + lasts < NOW:
        closed = EventPart(
            category=("network",), type=("connection",), action=Action.DISCONNECT, outcome=Outcome.SUCCESS,
            code=DisconnectCause.NORMAL,
        )  # fmt: skip
        yield _at(begin + lasts, ended_session(event=closed, **_device(name, address)))


def _refusal(address: str, after: timedelta) -> Event:
    assert failed_connect().event.code == Code.SERVER_CERTIFICATE_UNKNOWN_CA
    event = failed_connect(device=None, source=SourcePart(ip=address, port=51234), tls=_tls("CD", established=False))
    return _at(ROTATED + after, event)


def _device(name: str, address: str) -> dict[str, Any]:
    mqtt = MqttPart(client_id=name, protocol_version="3.1.1", keep_alive=60)
    return {"mqtt": mqtt, "user": UserPart(name="plant"), "source": SourcePart(ip=address, port=51234), "device": None}


def _tls(served: str, *, established: bool) -> TlsPart:
    refused = failed_connect().tls
    assert refused is not None
    assert refused.server is not None
    server = refused.server.model_copy(update={"hash": HashPart(sha256=served * 32)})
    changes = {"server": server, **({"established": True, "alert": None} if established else {})}
    return refused.model_copy(update=changes)


def _at(moment: datetime, event: Event) -> Event:
    connection = f"{int(moment.timestamp()):016x}"
    doorlog = event.doorlog.model_copy(update={"connection_id": connection, "device": None})
    return event.model_copy(update={"timestamp": moment, "doorlog": doorlog})


def _said(arguments: str) -> str:
    said = doorlog(*arguments.split())
    return "\n".join([f"$ doorlog {arguments}", *said.err, *said.out])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        print("\n\n".join(examples(Path(name))))  # noqa: T201 - to be pasted into the page
