"""A log on the disk as a broker, a crash and logrotate leave it, written by hand: what reads it is what is tested."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import zstandard

from doorlog.log.segments import closed_segments, first_line, segment_name, sequence_of

RUN = "6bc2c0eddce3"
BEGUN = datetime(2026, 3, 1, 15, 2, 11, tzinfo=UTC)


def record_line(
    sequence: int, run: str = RUN, *, instance: str = "edge-1", device: str | None = None, **more: Any
) -> bytes:
    """Return a record, shaped like ours; one with a device is one that was admitted."""
    record: dict[str, Any] = {
        "@timestamp": "2026-03-01T15:02:17.250000Z",
        "message": f"record {sequence}",
        "event": {"kind": "event", "action": "connect", "sequence": sequence, "id": f"{run}-{sequence}"},
        "service": {"name": "doorlog", "instance": {"id": instance}},
        "doorlog": {"schema_version": 1},
    }
    if device is not None:
        record["device"] = {"id": device}
        record["doorlog"]["device"] = {"confidence": "certain", "evidence": []}
    record.update(more)
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def record_lines(first: int, last: int, run: str = RUN, **facts: Any) -> list[bytes]:
    """Return the records from one sequence to another, both included."""
    return [record_line(sequence, run, **facts) for sequence in range(first, last + 1)]


class WrittenLog:
    """A log that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.live = folder / "doorlog.jsonl"
        self.written: list[bytes] = []
        """Every record so far, those that were deleted again included."""
        self.sequence = 0

    def append(self, count: int = 1, run: str = RUN, **facts: Any) -> list[bytes]:
        """Append records with the next sequences."""
        lines = record_lines(self.sequence + 1, self.sequence + count, run, **facts)
        self.sequence += count
        self.append_raw(b"".join(lines))
        self.written += lines
        return lines

    def append_raw(self, data: bytes) -> None:
        with self.live.open("ab") as file:
            file.write(data)

    def rotate(self) -> Path | None:
        """Rename the live file to a closed segment, unless nothing is in it; a new one comes with the next record."""
        first = sequence_of(first_line(self.live)) if self.live.exists() else None
        if first is None:
            return None
        return self.live.rename(self.live.with_name(segment_name(self.live, BEGUN, first)))

    def compress(self) -> None:
        """Compress every closed segment as the broker does: the new file is whole before the old one goes."""
        for path in self.closed:
            if path.suffix == ".jsonl":
                packed = path.with_name(f"{path.name}.zst")
                half = path.with_name(f"{path.name}.zst.new")
                half.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
                half.rename(packed)
                path.unlink()

    def logrotate(self, *, compress: bool = False) -> None:
        """Rename as logrotate does: ``.2`` to ``.3``, ``.1`` to ``.2``, the live file to ``.1``."""
        for number in range(8, 0, -1):
            for suffix in ("", ".gz"):
                older = self.live.with_name(f"{self.live.name}.{number}{suffix}")
                if older.exists():
                    older.rename(self.live.with_name(f"{self.live.name}.{number + 1}{suffix}"))
        first = self.live.with_name(f"{self.live.name}.1")
        self.live.rename(first)
        if compress:
            first.with_name(f"{first.name}.gz").write_bytes(gzip.compress(first.read_bytes()))
            first.unlink()

    @property
    def closed(self) -> list[Path]:
        return closed_segments(self.live)
