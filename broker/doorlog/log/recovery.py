"""Where a log stopped: its last whole record, whether it was closed, and what a crash has left behind that record."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from doorlog.errors import SinkError
from doorlog.events.codes import Action
from doorlog.log.chain import NOTHING_BEFORE, line_hash
from doorlog.log.segments import closed_segments, sequence_of, whole_lines

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES: Final = 2_097_152
"""A record has 64 KiB at most; what a crash leaves behind the last one is a page or an extent."""

_BEGINNING: Final = b'{"@timestamp":"'


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log.

    Attributes:
        sequence: ``event.sequence`` of its last record, 0 for none.
        sha256: The hash of its last line.
        time: ``@timestamp`` of its last record, None for none.
        was_closed: Whether the broker that wrote it stopped in good order.
        good_bytes: Where the last whole record of the live file ends.
        torn_bytes: How many bytes stand behind it.
    """

    sequence: int = 0
    sha256: bytes = NOTHING_BEFORE
    time: datetime | None = None
    was_closed: bool = True
    good_bytes: int = 0
    torn_bytes: int = 0


def tail_of(live: Path, fd: int) -> Tail:
    """Find the end of a log.

    Args:
        live: Its live file.
        fd: That file, open for reading.

    Raises:
        SinkError: The file holds something that is no record of doorlog.
        OSError: It, or the closed segment before it, can not be read.
        zstandard.ZstdError, zlib.error, EOFError: That segment is damaged.
    """
    size = os.fstat(fd).st_size
    start = max(0, size - _TAIL_BYTES)
    data = os.pread(fd, size - start, start)
    lines = data.split(b"\n")[:-1]
    if start:
        lines = lines[1:]  # its first line was cut by us
    torn = len(data) - data.rfind(b"\n") - 1
    strange = not _may_be_torn(data[len(data) - torn :])
    while lines and _record(lines[-1]) is None:  # pages of zeros or of something else, after a loss of power
        strange = strange or bool(lines[-1].strip(b"\0"))
        torn += len(lines.pop()) + 1
    if not lines and (start or strange):
        raise SinkError(f"{live} is no log of doorlog: name another file")
    if not lines:
        return _before(live, torn)
    return _tail(lines[-2:], good_bytes=size - torn, torn_bytes=torn)


def _may_be_torn(data: bytes) -> bool:
    """Whether this may be the beginning of a record of ours, with or without the zeros of a crash."""
    beginning = data[: len(_BEGINNING)].rstrip(b"\0")
    return _BEGINNING.startswith(beginning)


def _before(live: Path, torn: int) -> Tail:
    """Look at the last closed segment: the live file is new, or a crash came between closing one and the next."""
    for segment in reversed(closed_segments(live)):
        last = deque(whole_lines(segment), maxlen=2)
        if last and _record(last[-1]) is not None:
            return _tail([line.removesuffix(b"\n") for line in last], good_bytes=0, torn_bytes=torn)
    return Tail(was_closed=torn == 0, torn_bytes=torn)


def _tail(last: Sequence[bytes], *, good_bytes: int, torn_bytes: int) -> Tail:
    record = _record(last[-1]) or {}
    return Tail(
        sequence=sequence_of(last[-1]) or 0,
        sha256=line_hash(last[-1]),
        time=_time(record),
        was_closed=torn_bytes == 0 and _is_end(last),
        good_bytes=good_bytes,
        torn_bytes=torn_bytes,
    )


def _is_end(last: Sequence[bytes]) -> bool:
    actions = [(_record(line) or {}).get("event", {}).get("action") for line in last]
    if actions[-1] == Action.AUDIT_CHECKPOINT:
        actions.pop()
    return actions[-1:] == [Action.AUDIT_STOPPED]


def _record(line: bytes) -> dict[str, Any] | None:
    if sequence_of(line) is None:
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), dict) else None


def _time(record: dict[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(record.get("@timestamp")))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
