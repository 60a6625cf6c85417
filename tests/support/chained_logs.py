"""Good logs to be spoiled: chained, signed, rotated, restarted and with honest gaps, as the broker writes them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorlog.events.codes import Action, Code, GapCause, Outcome
from doorlog.events.parts import (
    AuditPart,
    CheckpointPart,
    DestinationPart,
    DoorlogPart,
    EventPart,
    FloodPart,
    GapPart,
    SourcePart,
)
from doorlog.events.records import AuditEvent, FloodEvent
from doorlog.log.chain import NOTHING_BEFORE, chained, key_id, line_hash, signed
from doorlog.log.processors import render, unfold
from doorlog.log.segments import segment_name
from doorlog.readers.lines import LogFile
from support.events import SERVICE, WHEN, admitted_connect, ended_session, failed_connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.events.records import Event

LIVE: Final = "doorlog.jsonl"


@cache
def log_key(number: int = 1) -> Ed25519PrivateKey:
    """Return one of several keys that are the same in each run."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def _part(action: Action, code: str | None = None) -> EventPart:
    return EventPart(category=("process",), type=("info",), action=action, outcome=Outcome.SUCCESS, code=code)


@dataclass
class ChainedLog:
    """Writes a log line by line, and counts as the broker does."""

    key: Ed25519PrivateKey | None = None
    segments: list[list[bytes]] = field(default_factory=lambda: [[]])
    sequence: int = 0
    previous: bytes = NOTHING_BEFORE
    run: int = 0
    connects: int = 0
    folded: int = 0
    lost: int = 0
    under_way: int = 0
    since_checkpoint: int = 0

    @property
    def lines(self) -> list[bytes]:
        """All lines, oldest first."""
        return [line for segment in self.segments for line in segment]

    @property
    def last(self) -> bytes:
        """The last line."""
        return self.lines[-1]

    # what the broker records

    def start(self) -> ChainedLog:
        """Start a broker."""
        self.run += 1
        self.connects = self.folded = self.lost = 0
        return self.add(AuditEvent(timestamp=WHEN, event=_part(Action.AUDIT_STARTED), doorlog=DoorlogPart()))

    def connect(self, times: int = 1, **changes: Any) -> ChainedLog:
        """Record refused devices, full-size."""
        for _ in range(times):
            self.connects += 1
            self.add(failed_connect(**changes))
        return self

    def session(self) -> ChainedLog:
        """Record an admitted device and its end."""
        self.connects += 1
        return self.add(admitted_connect()).add(ended_session())

    def flood(self, count: int, action: str = "connect") -> ChainedLog:
        """Fold repeats."""
        self.folded += count if action == "connect" else 0
        part = FloodPart.model_validate({"action": action, "count": count, "first": WHEN, "last": WHEN, "ports": count})
        event = FloodEvent(
            timestamp=WHEN,
            event=_part(Action.FLOOD, Code.BAD_PASSWORD),
            source=SourcePart(ip="10.0.0.9"),
            destination=DestinationPart(port=8883),
            doorlog=DoorlogPart(flood=part),
        )
        return self.add(event)

    def checkpoint(self) -> ChainedLog:
        """Vouch for what was recorded."""
        named = key_id(self.key.public_key()) if self.key else None
        doorlog = DoorlogPart(
            audit=self.audit(self.under_way), checkpoint=CheckpointPart(records=self.since_checkpoint, key_id=named)
        )
        event = AuditEvent(timestamp=WHEN, event=_part(Action.AUDIT_CHECKPOINT), doorlog=doorlog)
        self.add(event, self.key)
        self.since_checkpoint = 0
        return self

    def stop(self) -> ChainedLog:
        """Stop the broker: its numbers, and a last checkpoint."""
        doorlog = DoorlogPart(audit=self.audit())
        self.add(AuditEvent(timestamp=WHEN, event=_part(Action.AUDIT_STOPPED), doorlog=doorlog))
        return self.checkpoint()

    def rotate(self) -> ChainedLog:
        """Close a segment."""
        self.checkpoint()
        self.segments.append([])
        return self

    # what gets lost, and is said to be

    def overflow(self, records: int, connects: int) -> ChainedLog:
        """Lose events before they were lines."""
        first, self.sequence = self.sequence + 1, self.sequence + records
        self.lost += connects
        return self.gap(
            GapCause.OVERFLOW, first_sequence=first, last_sequence=self.sequence, records=records, connects=connects
        )

    def write_failed(self, lost: ChainedLog) -> ChainedLog:
        """Lose what another log, which went on from this one, has written since."""
        first, connects = self.sequence + 1, lost.connects - self.connects
        after = line_hash(self.last).decode()
        self.sequence, self.previous = lost.sequence, lost.previous
        self.lost += connects
        return self.gap(
            GapCause.WRITE_FAILED,
            first_sequence=first,
            last_sequence=self.sequence,
            records=self.sequence + 1 - first,
            connects=connects,
            after_sha256=after,
        )

    def crash(self, torn: int = 0) -> ChainedLog:
        """Start a broker after one that was killed."""
        self.run += 1
        self.gap(GapCause.INTERRUPTED, torn_bytes=torn, torn_file="doorlog.torn" if torn else None)
        self.run -= 1
        return self.start()

    def gap(self, code: str, **fields: Any) -> ChainedLog:
        """Say what is missing."""
        doorlog = DoorlogPart(gap=GapPart(**fields))
        return self.add(AuditEvent(timestamp=WHEN, event=_part(Action.AUDIT_GAP, code), doorlog=doorlog))

    # how it gets there

    def audit(self, under_way: int = 0) -> AuditPart:
        """The numbers of this start."""
        accepted = self.connects + self.folded + self.lost + under_way
        return AuditPart(accepted=accepted, connects=self.connects, folded=self.folded or None, lost=self.lost or None)

    def add(self, event: Event, key: Ed25519PrivateKey | None = None) -> ChainedLog:
        """Write an event."""
        self.sequence += 1
        self.since_checkpoint += 1
        event = event.model_copy(update={"timestamp": WHEN + timedelta(seconds=self.sequence - 1)})
        facts = {"event": event, "message": "what happened", "service": SERVICE.model_dump()}
        number = {"sequence": self.sequence, "id": f"{self.run:012x}-{self.sequence}"}
        record = unfold(None, "info", {**facts, **number})
        record["doorlog"] = record.pop("doorlog")
        line = chained(render(None, "info", record), self.previous)
        return self.put(signed(line, key) if key else line)

    def put(self, line: bytes) -> ChainedLog:
        """Write a line as it is."""
        self.previous = line_hash(line)
        self.segments[-1].append(line)
        return self

    def fork(self) -> ChainedLog:
        """Return another log that goes on from here; its first line is the next of this one."""
        return ChainedLog(
            self.key,
            [[]],
            self.sequence,
            self.previous,
            self.run,
            self.connects,
            self.folded,
            self.lost,
            self.under_way,
        )

    # as files

    def files(self) -> list[LogFile]:
        """The files as values; the last one is live."""
        last = len(self.segments) - 1
        return [
            LogFile(LIVE if number == last else f"segment-{number}", [b"".join(lines)], live=number == last)
            for number, lines in enumerate(self.segments)
        ]

    def write(self, folder: Path, packed: str = "") -> Path:
        """Write the files; closed ones compressed as told by ``.zst`` or ``.gz``. Return the live one."""
        live = folder / LIVE
        *closed, last = self.segments
        for lines in closed:
            first = orjson.loads(lines[0])["event"]["sequence"]
            path = folder / segment_name(live, WHEN + timedelta(seconds=first), first)
            path.with_name(path.name + packed).write_bytes(pack(b"".join(lines), packed))
        live.write_bytes(b"".join(last))
        return live


def pack(data: bytes, suffix: str) -> bytes:
    """Compress as the name of a file says."""
    match suffix:
        case ".zst":
            return zstandard.ZstdCompressor().compress(data)
        case ".gz":
            return gzip.compress(data)
        case _:
            return data


def eventful_log(key: Ed25519PrivateKey | None = None) -> ChainedLog:
    """Return a good log of several segments and starts, with every honest gap, floods and a change of keys."""
    log = ChainedLog(key).start().connect(3).session().flood(40).rotate()
    log.connect(2).overflow(5, 4).connect(2).stop()
    log.start().connect(3)
    log.write_failed(log.fork().connect(3).checkpoint())
    log.connect(1).rotate().session()
    log.crash(torn=17)
    log.key = log_key(2) if key else None
    log.under_way = 2
    log.connect(4).flood(7, "authorize").rotate()
    log.under_way = 0
    return log.connect(2).stop()


def renumbered(line: bytes, sequence: int) -> bytes:
    """Return a line with another number."""
    record = orjson.loads(line)
    old = record["event"]["sequence"]
    return line.replace(b'"sequence":%d,' % old, b'"sequence":%d,' % sequence, 1)


def rechained(lines: list[bytes]) -> Iterator[bytes]:
    """Yield the lines as whoever can write the file would make their chain anew; signatures are left out."""
    previous: bytes | None = None
    for line in lines:
        body, chain, rest = line.rpartition(b',"previous_sha256":"')
        made = body + chain + (previous or rest[:64]) + b'"}}\n'
        previous = line_hash(made)
        yield made
