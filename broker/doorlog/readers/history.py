"""What a log holds of one device: the attempts that name it, those that may be its own, and what was confirmed later.

Nearly all lines are about others. They are not parsed, since the device's id does not stand in them.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from doorlog.events.codes import Action, Code
from doorlog.readers.lines import blocks_of
from doorlog.readers.record import text_at, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from doorlog.readers.lines import LogFile

MOST_CONFIRMED: Final = 5_000
"""Connections of earlier attempts that are looked for, the latest ones."""

Mark = Literal["certain", "likely", "ambiguous", "claimed", "confirmed"]


class Entry(NamedTuple):
    """One record about a device."""

    mark: Mark
    """``claimed``: a refused CONNECT wrote its name; ``confirmed``: known by what came later."""
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
        last: How many entries are kept, the latest ones.
    """

    last: int
    entries: deque[Entry] = field(init=False)
    found: int = 0
    """How many there are, also those that were not kept."""
    confirmed: dict[str, None] = field(default_factory=dict)
    """Connections that a later admission explained."""

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.last)

    def add(self, entry: Entry) -> None:
        """Take an entry."""
        self.found += 1
        self.entries.append(entry)


def history_of(files: Iterable[LogFile], device: str, *, last: int) -> History:
    """Read what a log holds of a device.

    Args:
        files: Of the log, in order.
        device: Its id, as it stands in the records.
        last: How many entries are kept.
    """
    history = History(last)
    for line in _lines_with(files, [orjson.dumps(device)]):
        record = _parsed(line)
        found = _entry(record, device) if record is not None else None
        if record is None or found is None:
            continue
        history.add(found)
        for connection_id in value_at(record, "doorlog", "confirmed", "connection_ids") or ():
            history.confirmed[str(connection_id)] = None
    return history


def with_confirmed(files: Iterable[LogFile], history: History) -> History:
    """Return the history with the attempts that were explained later; the log is read once more, if there are any."""
    known = {_connection_of(entry.record) for entry in history.entries if entry.mark in ("certain", "likely")}
    wanted = [name for name in history.confirmed if name not in known][-MOST_CONFIRMED:]
    if not wanted:
        return history
    explained = [Entry("confirmed", None, record) for record in _connects(files, wanted)]
    ids = set(wanted)
    kept = [
        entry for entry in history.entries if not (_is_connect(entry.record) and _connection_of(entry.record) in ids)
    ]
    whole = History(history.last)
    for entry in sorted([*kept, *explained], key=lambda entry: entry.time):
        whole.add(entry)
    whole.found += history.found - len(history.entries)
    return whole


def _connects(files: Iterable[LogFile], connection_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the ``connect`` records of these connections."""
    wanted = set(connection_ids)
    for line in _lines_with(files, [orjson.dumps(name) for name in connection_ids]):
        record = _parsed(line)
        if record is not None and _is_connect(record) and _connection_of(record) in wanted:
            yield record


def _entry(record: dict[str, Any], device: str) -> Entry | None:
    """Return what a record has to do with a device; None if nothing, whatever stands in it."""
    evidence = value_at(record, "doorlog", "device")
    if text_at(record, "device", "id") == device:
        method, confidence = text_at(evidence, "method"), text_at(evidence, "confidence")
        if confidence == "certain":
            return Entry("certain", None, record)
        is_claim = method in ("client_id", "user_name") and text_at(record, "event", "code") != Code.ADMITTED
        return Entry("claimed" if is_claim else "likely", None, record)
    for candidate in value_at(evidence, "candidates") or ():
        if text_at(candidate, "id") == device:
            score = value_at(candidate, "score")
            return Entry("ambiguous", score if isinstance(score, float | int) else None, record)
    return None


def _lines_with(files: Iterable[LogFile], needles: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the lines that hold one of these texts."""
    search = re.compile(b"|".join(map(re.escape, needles))).search
    for block in blocks_of(files):
        data, at, stop = block.data, block.start, block.stop
        while (found := search(data, at, stop)) is not None:
            begin = data.rfind(b"\n", at, found.start()) + 1 or at
            at = data.find(b"\n", found.end(), stop) + 1 or stop
            yield data[begin:at]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:  # a line that somebody changed, or a crash tore
        return None
    return record if isinstance(record, dict) else None


def _connection_of(record: dict[str, Any]) -> str | None:
    return text_at(record, "doorlog", "connection_id")


def _is_connect(record: dict[str, Any]) -> bool:
    return bool(value_at(record, "event", "action") == Action.CONNECT)
