"""Full-size failures as the door sees them: made by handshakes that fail at a running broker, then multiplied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from bench import clients
from bench.servers import Setup, make_certificates, running
from doorlog.events.changes import changed
from doorlog.events.parts import UNKNOWN_DEVICE
from doorlog.events.records import ANY_EVENT, ConnectEvent

_KNOCKS = 20


def real_failures(folder: Path) -> list[ConnectEvent]:
    """Have a client refuse a broker's certificate a few times; return the events of that, as the door emitted them."""
    setup = Setup(folder, make_certificates(folder))
    foreign = clients.context(setup.certificates.foreign)
    with running(setup, ["doorlog_asyncio"]) as servers:
        server = servers["doorlog_asyncio"]
        for _ in range(_KNOCKS):
            clients.refuse_server(server.address("tls"), foreign)
        server.stop()
    shared: dict[str, Any] = {}
    lines = (server.folder / "doorlog.jsonl").read_bytes().splitlines()
    events = [ANY_EVENT.validate_json(line) for line in lines]
    return [_as_emitted(event, shared) for event in events if isinstance(event, ConnectEvent)]


def _as_emitted(event: ConnectEvent, shared: dict[str, Any]) -> ConnectEvent:
    """Take away what the log added; parts that are alike become one, as in the door."""
    tls = event.tls
    assert tls is not None
    parts = {name: shared.setdefault(repr(part := getattr(tls, name)), part) for name in ("client", "server", "alert")}
    return changed(
        event,
        message=None,
        service=None,
        device=None,
        event=changed(event.event, sequence=None, id=None, reason=None),
        doorlog=changed(event.doorlog, device=UNKNOWN_DEVICE, previous_sha256=None),
        tls=changed(tls, **parts),
    )


def many(kinds: list[ConnectEvent], number: int) -> list[ConnectEvent]:
    """Make that many events of their own."""
    make = maker(kinds)
    return [make() for _ in range(number)]


def maker(kinds: list[ConnectEvent]) -> Callable[[], ConnectEvent]:
    """Return what makes one event after the other, each of another connection."""
    return _events(kinds).__next__


def _events(kinds: list[ConnectEvent]) -> Iterator[ConnectEvent]:
    for number in count():
        kind = kinds[number % len(kinds)]
        yield changed(
            kind,
            timestamp=datetime.now(UTC),
            event=changed(kind.event, duration=5_000_000 + number),
            source=changed(kind.source, port=1024 + number % 60_000),
            tls=changed(kind.tls),
            doorlog=changed(kind.doorlog, connection_id=f"{number:016x}"),
        )
