"""The last records of a log that are wanted: read from its end, and no further than need be."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from doorlog.log.cursor import Position, position_of
from doorlog.readers.filters import time_of
from doorlog.readers.lines import LONGEST_LINE, blocks_of
from doorlog.readers.record import text_at
from doorlog.readers.search import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from doorlog.readers.files import OpenLog
    from doorlog.readers.filters import Filters
    from doorlog.readers.lines import LogFile

_CHUNK: Final = 262_144


class Found(NamedTuple):
    r"""A record, and the line that it is, without its ``\n``."""

    line: bytes
    record: dict[str, Any]


@dataclass(slots=True)
class Tail:
    """The end of a log.

    Attributes:
        found: The wanted records, the earliest first.
        last: The last record of all, wanted or not; None where there is none.
        damaged: Files that could not be read to their end.
    """

    found: deque[Found] = field(default_factory=deque)
    last: Position | None = None
    damaged: list[str] = field(default_factory=list)


def tail_of(log: OpenLog, filters: Filters, count: int) -> Tail:
    """Read the last records that are wanted.

    Args:
        log: As it is now.
        filters: What is wanted. Reading ends where records are older than ``since``.
        count: How many, at most.

    Raises:
        LogError: A file can not be read.
    """
    tail = Tail()
    is_old = log.live is not None and _take_live(log.live, filters, count, tail)
    for file in reversed(log.files if log.live is None else log.files[:-1]):
        if is_old or (tail.last is not None and len(tail.found) >= count):
            break
        is_old = _take_closed(file, filters, count, tail)
    return tail


def wanted(line: bytes, filters: Filters) -> Found | None:
    """Return the record of a line; None if it is not wanted, or no record at all: torn, changed, no text."""
    if len(line) > LONGEST_LINE or not filters.may_match(line):
        return None
    record = parsed(line)
    return Found(line, record) if record is not None and "event" in record and filters.match(record) else None


def blocks_backwards(file: BinaryIO, chunk: int = _CHUNK) -> Iterator[bytes]:
    r"""Yield the whole lines of a file, some at a time, from its end on; within a block they are in order.

    What stands behind the last ``\n`` is left out, and so is a line that is longer than any of ours.

    Args:
        file: One that is not compressed, and may grow meanwhile.
        chunk: Bytes that are read at once.
    """
    descriptor, rest = file.fileno(), b""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - chunk)
        data = os.pread(descriptor, end - start, start) + rest
        stop = data.rfind(b"\n") + 1
        # Only at the start of the file is the first line known to be whole.
        begin = data.find(b"\n") + 1 if start else 0
        if begin < stop:
            yield data[begin:stop]
        rest = data[:begin] if begin <= LONGEST_LINE else b""
        end = start


def _take_live(file: BinaryIO, filters: Filters, count: int, tail: Tail) -> bool:
    """Take from the live file; return whether records older than what is wanted were reached."""
    for block in blocks_backwards(file):
        is_old = is_older(block[: block.index(b"\n")], filters)
        if tail.last is None or filters.may_match(block):
            _take_backwards(block, filters, count, tail)
        if tail.last is not None and (len(tail.found) >= count or is_old):
            return is_old
    return False


def _take_backwards(block: bytes, filters: Filters, count: int, tail: Tail) -> None:
    for line in reversed(block.split(b"\n")[:-1]):
        tail.last = tail.last or position_of(line)
        if len(tail.found) < count and (found := wanted(line, filters)) is not None:
            tail.found.appendleft(found)
        if tail.last is not None and len(tail.found) >= count:
            return


def _take_closed(file: LogFile, filters: Filters, count: int, tail: Tail) -> bool:
    """Take from a closed segment, which may be compressed and is read from its beginning; as ``_take_live``."""
    room = count - len(tail.found)
    found: deque[Found] = deque(maxlen=room)
    last, is_old = None, False
    for block in blocks_of([file]):
        data = block.data[block.start : block.stop]
        if data:
            is_old = is_old or is_older(data[: data.index(b"\n")], filters)
            last = _last_position(data, last) if tail.last is None else None
        if room > 0 and filters.may_match(data):
            found.extend(filter(None, (wanted(line, filters) for line in data.split(b"\n")[:-1])))
        if block.flaw not in (None, "writing"):
            tail.damaged.append(block.file)
    tail.last = tail.last or last
    tail.found.extendleft(reversed(found))
    return is_old


def _last_position(lines: bytes, before: Position | None) -> Position | None:
    return next(filter(None, map(position_of, reversed(lines.split(b"\n")[:-1]))), before)


def is_older(line: bytes, filters: Filters, than: datetime | None = None) -> bool:
    """Whether a record is older than a moment; than ``since``, if none is given. None of both: it is not."""
    limit = than or filters.since
    if limit is None:
        return False
    moment = time_of(text_at(parsed(line), "@timestamp"))
    return moment is not None and moment < limit
