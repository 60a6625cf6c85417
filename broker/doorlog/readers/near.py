"""The records of one connection, looked for near where they are thought to be: in a bounded part of any log."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action, Code
from doorlog.log.segments import sequence_in, sequence_of
from doorlog.readers.filters import time_of
from doorlog.readers.lines import DamagedFile, LogFile
from doorlog.readers.record import text_at
from doorlog.readers.search import parsed
from doorlog.readers.show import Shown, connection_of, shown_in
from doorlog.readers.spans import begun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from doorlog.readers.files import OpenLog

_EVENT_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}-(\d{1,19})")


def shown_near(opened: Callable[[], OpenLog], name: str, budget: int, at: datetime | None = None) -> Shown:
    """Find the records of a connection near one of them.

    The file that holds that one is read, then later ones until nothing more is to come, then earlier ones until the
    ``connect`` is found: in each direction, another file is begun while the budget is not used up.

    Args:
        opened: Opens the log, each time that it is read.
        name: ``doorlog.connection_id``, or ``event.id`` of one of its records.
        budget: Bytes that are looked at in each direction, and then to the end of the file.
        at: ``@timestamp`` of one of its records. Without it the number in an ``event.id`` tells the file, and anything
            else is looked for from the end of the log.

    Raises:
        LogError: A file can not be read.
    """
    place = _place_of(opened().files, name, at)
    if _EVENT_ID.fullmatch(name):
        named = shown_in(opened().files[place : place + 1], name)
        connection = connection_of(named, name)
        if connection is None:
            return named
        name = connection
    found = _around(opened().files, place, name, budget)
    connection = connection_of(found, name)
    if connection not in (None, name):  # the record was in another file than it was thought to be
        found = _around(opened().files, place, str(connection), budget)
    found.connection = connection if found.records else None
    return found


def _around(files: Sequence[LogFile], place: int, name: str, budget: int) -> Shown:
    found = _looked(files[place:], name, budget, _is_over)
    if not found.has_attempt:
        earlier = _looked(reversed(files[:place]), name, budget, lambda found: found.has_attempt)
        found.records[:0] = sorted(earlier.records, key=lambda record: text_at(record, "@timestamp") or "")
        found.is_cut |= earlier.is_cut
        found.damaged += earlier.damaged
    return found


def _place_of(files: Sequence[LogFile], name: str, at: datetime | None) -> int:
    """Return the number of the file in which a record must be, by what each of them begins with."""
    numbered = _EVENT_ID.fullmatch(name)
    sequence = int(numbered[1]) if numbered else None
    if at is None and sequence is None:
        return len(files) - 1
    for number, file in reversed(list(enumerate(files))):
        first, moment = _beginning(file)
        if at is not None:
            if moment is not None and moment <= at:
                return number
        elif first is not None and sequence is not None and first <= sequence:
            return number
    return 0


def _beginning(file: LogFile) -> tuple[int | None, datetime | None]:
    """Return the sequence and the time of the first record of a file, as the name of a closed one says."""
    first, moment = sequence_in(file.name), begun(file.name)
    if first is not None and moment is not None:
        return first, moment
    with suppress(DamagedFile):
        line = next(iter(file.chunks), b"").partition(b"\n")[0]
        return sequence_of(line), time_of(text_at(parsed(line), "@timestamp"))
    return None, None


def _looked(files: Iterable[LogFile], name: str, budget: int, is_enough: Callable[[Shown], bool]) -> Shown:
    found, used = Shown(), 0

    def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal used
        for chunk in chunks:
            used += len(chunk)
            yield chunk

    for file in files:
        if is_enough(found):
            break
        if used >= budget:
            found.is_cut = True
            break
        found = shown_in([replace(file, chunks=counted(file.chunks))], name, found)
    return found


def _is_over(found: Shown) -> bool:
    """Whether nothing more is to come: a session has ended, or it is certain whose the failed attempt was."""
    ended = any(text_at(record, "event", "action") == Action.DISCONNECT for record in found.records)
    certain = any(text_at(record, "doorlog", "device", "confidence") == "certain" for record in found.records)
    failed = found.has_attempt and not any(text_at(one, "event", "code") == Code.ADMITTED for one in found.records)
    return ended or (certain and failed)
