"""A log page by page, the latest record first: each page costs a bounded part of the log, however long that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from doorlog.log.segments import sequence_in, sequence_of
from doorlog.readers.filters import time_of
from doorlog.readers.lines import blocks_of
from doorlog.readers.record import text_at
from doorlog.readers.search import parsed
from doorlog.readers.spans import begun
from doorlog.readers.tail import Found, blocks_backwards, is_older, wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from doorlog.readers.files import OpenLog
    from doorlog.readers.filters import Filters
    from doorlog.readers.lines import LogFile

BUDGET: Final = 268_435_456
"""Bytes of records that are looked at for one page: about half a second."""
_BEGINNABLE: Final = 4
"""The part of the budget, as 1 in so many, up to which a further segment is begun."""


@dataclass(slots=True)
class Page:
    """Some records, the latest first.

    Attributes:
        found: Those that are wanted.
        older: Go on below this sequence; None where the log, or the span that is wanted, begins.
        reached: ``@timestamp`` of the earliest record that was looked at.
        looked_at: Bytes.
        damaged: Files that could not be read to their end.
        is_cut: Whether looking ended for want of budget.
    """

    found: list[Found] = field(default_factory=list)
    older: int | None = None
    reached: str | None = None
    looked_at: int = 0
    damaged: list[str] = field(default_factory=list)
    is_cut: bool = False


def page_of(log: OpenLog, filters: Filters, count: int, below: int | None = None, budget: int = BUDGET) -> Page:
    """Read one page.

    Args:
        log: As it is now.
        filters: What is wanted. Reading ends where records are older than ``since``.
        count: Records, at most.
        below: Only records with a lower ``event.sequence``; None for the end of the log.
        budget: Bytes that are looked at, at most. A closed segment is read as a whole: it is begun while less than a
            quarter of that is used.

    Raises:
        LogError: A file can not be read.
    """
    page = Page()
    block = b""
    for block in _earlier(_blocks(log, filters, below, page, budget), filters, below):
        first = block[: block.index(b"\n")]
        page.looked_at += len(block)
        for found in _wanted_of(block, filters, below):
            if len(page.found) == count:
                page.older = _sequence(page.found[-1].line)
                page.reached = text_at(page.found[-1].record, "@timestamp")
                return page
            page.found.append(found)
        page.reached = text_at(parsed(first), "@timestamp") or page.reached
        if is_older(first, filters):
            return page
        if page.looked_at >= budget:
            page.is_cut = True
            break
    page.older = sequence_of(block) if page.is_cut else None  # a broken line has none, and then the next one's counts
    return page


def _wanted_of(block: bytes, filters: Filters, below: int | None) -> Iterator[Found]:
    if not filters.may_match(block):
        return
    for line in reversed(block.split(b"\n")[:-1]):
        if (below is None or _sequence(line) < below) and (found := wanted(line, filters)) is not None:
            yield found


def _blocks(log: OpenLog, filters: Filters, below: int | None, page: Page, budget: int) -> Iterator[bytes]:
    """Yield the lines of a log, the last ones first, without those that are too late by the name of their file."""
    if log.live is not None:
        yield from blocks_backwards(log.live)
    for file in reversed(log.files if log.live is None else log.files[:-1]):
        if _may_hold(file, filters, below):
            if page.looked_at * _BEGINNABLE > budget:
                page.is_cut = True
                return
            yield from _closed(file, page)


def _earlier(blocks: Iterable[bytes], filters: Filters, below: int | None) -> Iterator[bytes]:
    """Leave out blocks that begin too late: they end later still."""
    for block in blocks:
        first = block[: block.index(b"\n")]
        if below is not None and _sequence(block) >= below:
            continue
        if filters.until is not None:
            moment = time_of(text_at(parsed(first), "@timestamp"))
            if moment is not None and moment >= filters.until:  # a broken line has none, and those behind it count
                continue
        yield block


def _may_hold(file: LogFile, filters: Filters, below: int | None) -> bool:
    first = sequence_in(file.name)
    moment = begun(file.name)
    is_too_late = filters.until is not None and moment is not None and moment > filters.until
    return not is_too_late and (below is None or first is None or first < below)


def _closed(file: LogFile, page: Page) -> Iterator[bytes]:
    """Yield the lines of a closed segment, which can be compressed and is read from its beginning."""
    blocks: list[bytes] = []
    for block in blocks_of([file]):
        if block.start < block.stop:
            blocks.append(block.data[block.start : block.stop])
        if block.flaw not in (None, "writing"):
            page.damaged.append(block.file)
    yield from reversed(blocks)


def _sequence(line: bytes) -> int:
    return sequence_of(line) or 0
