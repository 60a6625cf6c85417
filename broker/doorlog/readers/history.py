"""What a log holds of one device: the attempts that name it, those that may be its own, and what was confirmed later.

Nearly all lines are about others. They are not parsed, since the device's id does not stand in them.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from doorlog.events.codes import NEVER_ADMITTED, NEVER_HERE, Action, Code, Outcome
from doorlog.readers.filters import Filters, time_of
from doorlog.readers.pages import page_of
from doorlog.readers.record import text_at, value_at
from doorlog.readers.search import as_json, items_at, lines_with, parsed
from doorlog.readers.spans import files_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from doorlog.readers.files import OpenLog
    from doorlog.readers.lines import LogFile

MOST_CONFIRMED: Final = 5_000
"""Connections of earlier attempts that are looked for, the latest ones."""
MOST_AMBIGUOUS: Final = 1_000
"""Attempts of one of several devices that are counted, the latest ones."""
_CONNECTION: Final = re.compile(rb'"connection_id":("[^"\\]{1,64}")')

Mark = Literal["certain", "likely", "ambiguous", "claimed", "confirmed"]


class Entry(NamedTuple):
    """One record about a device."""

    mark: Mark
    """``claimed``: a refused CONNECT wrote its name from where it never was; ``confirmed``: explained later."""
    score: float | None
    """Of an ambiguous one: how likely it is this device's."""
    record: dict[str, Any]

    @property
    def time(self) -> str:
        """``@timestamp``."""
        return text_at(self.record, "@timestamp") or ""


@dataclass(slots=True)
class History:
    """What was found, the earliest first.

    Args:
        device: Whose it is: its id, as it stands in the records.
        last: How many entries are kept, the latest ones.
    """

    device: str
    last: int
    entries: deque[Entry] = field(init=False)
    found: int = 0
    """How many there are, also those that were not kept."""
    confirmed: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_CONFIRMED))
    """Connections that a later admission explained."""
    damaged: list[str] = field(default_factory=list)
    """Files of the log that could not be read to their end."""
    last_success: dict[str, Any] | None = None
    """The record of its last admission."""
    first_failure: dict[str, Any] | None = None
    """The record of its first failure since then."""
    first_unclear: dict[str, Any] | None = None
    """The record of the first failure since then that was its own or another one's."""

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.last)

    def add(self, entry: Entry) -> None:
        """Take an entry."""
        self.found += 1
        self.entries.append(entry)
        if not _is_connect(entry.record):
            return
        if entry.mark == "ambiguous":
            self.first_unclear = self.first_unclear or entry.record
        elif entry.mark in ("certain", "likely"):
            if text_at(entry.record, "event", "outcome") == Outcome.SUCCESS:
                self.last_success, self.first_failure, self.first_unclear = entry.record, None, None
            else:
                self.first_failure = self.first_failure or entry.record

    @property
    def first_trouble(self) -> dict[str, Any] | None:
        """The record of the first failure since its last admission: its own, or else one that may be."""
        return self.first_failure or self.first_unclear


class Ambiguous(NamedTuple):
    """Attempts that may be a device's own, or another one's."""

    found: int
    reached: str | None
    """``@timestamp`` of the earliest record that was looked at, if there are earlier ones."""


def history_of(files: Sequence[LogFile], device: str, *, last: int, since: datetime | None = None) -> History:
    """Read what a log holds of a device.

    Args:
        files: Of the log, in order.
        device: Its id, as it stands in the records.
        last: How many entries are kept.
        since: What happened before that is left out, and files that hold nothing else are not read.

    Raises:
        LogError: A file can not be read.
    """
    history = History(device, last)
    text, chosen = as_json(device), files_between(files, since, None)
    for line in lines_with(chosen, re.compile(b"(%b)" % re.escape(text)), {text}, history.damaged):
        record = parsed(line)
        found = _entry(record, device) if record is not None else None
        if record is None or found is None or _is_before(record, since):
            continue
        history.add(found)
        if value_at(record, "event", "action") == Action.DEVICE_CONFIRMED and found.mark in ("certain", "likely"):
            history.confirmed.extend(map(str, items_at(record, "doorlog", "confirmed", "connection_ids")))
    return history


def ambiguous_of(log: OpenLog, device: str, since: datetime) -> Ambiguous:
    """Count the attempts in which a device is one of several candidates, with a bounded part of the log read.

    Args:
        log: As it is now; it is read from its end.
        device: Its id, as it stands in the records.
        since: How far back.

    Raises:
        LogError: A file can not be read.
    """
    filters = Filters(device=device, maybe=True, text="ambiguous", since=since)
    page = page_of(log, filters, MOST_AMBIGUOUS)
    entries = [_entry(found.record, device) for found in page.found if _is_connect(found.record)]
    found = sum(entry is not None and entry.mark == "ambiguous" for entry in entries)
    return Ambiguous(found, page.reached if page.older is not None else None)


def with_confirmed(files: Sequence[LogFile], history: History, since: datetime | None = None) -> History:
    """Return the history with the attempts that were explained later; the log is read once more, if there are any.

    Args:
        files: Of the log, in order.
        history: As ``history_of`` found it.
        since: As for ``history_of``.

    Raises:
        LogError: A file can not be read.
    """
    known = {_connection_of(entry.record) for entry in history.entries if entry.mark in ("certain", "likely")}
    wanted = set(history.confirmed) - known
    if not wanted:
        return history
    connects = _connects(files_between(files, since, None), wanted)
    explained = [Entry("confirmed", None, record) for record in connects if not _is_before(record, since)]
    kept = [
        entry for entry in history.entries if not (_is_connect(entry.record) and _connection_of(entry.record) in wanted)
    ]
    whole = History(history.device, history.last, confirmed=history.confirmed, damaged=history.damaged)
    for entry in sorted([*explained, *kept], key=lambda entry: entry.time):
        whole.add(entry)
    whole.found = history.found + sum(_entry(entry.record, history.device) is None for entry in explained)
    return whole


def _connects(files: Iterable[LogFile], connection_ids: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the ``connect`` records of these connections."""
    texts = {as_json(name) for name in connection_ids}
    for line in lines_with(files, _CONNECTION, texts, []):
        record = parsed(line)
        if record is not None and _is_connect(record) and _connection_of(record) in connection_ids:
            yield record


def _entry(record: dict[str, Any], device: str) -> Entry | None:
    """Return what a record has to do with a device; None if nothing, whatever stands in it."""
    evidence = value_at(record, "doorlog", "device")
    if text_at(record, "device", "id") == device:
        method, confidence = text_at(evidence, "method"), text_at(evidence, "confidence")
        if confidence == "certain":
            return Entry("certain", None, record)
        is_written = method in ("client_id", "user_name") and text_at(record, "event", "code") != Code.ADMITTED
        return Entry("claimed" if is_written and not _is_plausible(evidence) else "likely", None, record)
    for candidate in items_at(evidence, "candidates"):
        if text_at(candidate, "id") == device:
            score = value_at(candidate, "score")
            is_score = isinstance(score, float | int) and not isinstance(score, bool)
            return Entry("ambiguous", score if is_score else None, record)
    return None


def _is_before(record: dict[str, Any], since: datetime | None) -> bool:
    if since is None:
        return False
    moment = time_of(text_at(record, "@timestamp"))
    return moment is not None and moment < since


def _is_plausible(evidence: Any) -> bool:
    """Whether a name that a refused CONNECT wrote came from where the device was admitted before."""
    reasons = items_at(evidence, "evidence")
    return bool(reasons) and not {NEVER_ADMITTED, NEVER_HERE} & set(map(str, reasons))


def _connection_of(record: dict[str, Any]) -> str | None:
    return text_at(record, "doorlog", "connection_id")


def _is_connect(record: dict[str, Any]) -> bool:
    return bool(value_at(record, "event", "action") == Action.CONNECT)
