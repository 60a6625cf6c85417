"""Everything that a log holds of one connection, found by the id of the connection or of one of its records."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from doorlog.events.codes import Action
from doorlog.readers.record import text_at, value_at
from doorlog.readers.search import as_json, items_at, lines_with, parsed
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from doorlog.readers.lines import LogFile

MOST_RECORDS: Final = 1_000
"""Records of one connection that are kept, the first ones: a session may be refused many topics."""


@dataclass(slots=True)
class Shown:
    """What was found, the earliest first.

    Attributes:
        connection: The connection's id; None where nothing was found, or a record of no connection.
        records: Its records.
        left_out: How many more there are.
        damaged: Files of the log that could not be read to their end.
        is_cut: Whether only a part of the log was looked at, and more can be in the rest.
    """

    connection: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    damaged: list[str] = field(default_factory=list)
    is_cut: bool = False

    @property
    def has_attempt(self) -> bool:
        """Whether the ``connect`` is among the records."""
        return any(text_at(record, "event", "action") == Action.CONNECT for record in self.records)


def shown(files: Callable[[], Iterable[LogFile]], name: str) -> Shown:
    """Find the records of a connection, and those that explain it later; the log is read twice for an ``event.id``.

    Args:
        files: Gives the files of the log, in order, each time that it is read.
        name: ``doorlog.connection_id``, or ``event.id`` of one of its records.

    Raises:
        LogError: A file can not be read.
    """
    found = shown_in(files(), name)
    connection = connection_of(found, name)
    if connection not in (None, name):
        found = shown_in(files(), str(connection))
    found.connection = connection if found.records else None
    return found


def connection_of(found: Shown, name: str) -> str | None:
    """Return the connection that a name stands for, if it is the ``event.id`` of what was found; else the name."""
    named = next((record for record in found.records if text_at(record, "event", "id") == name), None)
    return text_at(named, "doorlog", "connection_id") if named is not None else name


def pretty(record: dict[str, Any], longest: int) -> list[str]:
    r"""Return a record as lines of JSON; what could move a cursor or hide a word stands there as ``\uXXXX``.

    Args:
        record: Any.
        longest: Characters of a line, at most.
    """
    return [safe_text(line, longest) for line in json.dumps(record, indent=2, ensure_ascii=False).split("\n")]


def is_about(record: dict[str, Any], name: str) -> bool:
    """Whether a record has this id, is of the connection with this id, or explains that one."""
    ids = (text_at(record, "event", "id"), text_at(record, "doorlog", "connection_id"))
    return name in ids or name in items_at(record, "doorlog", "confirmed", "connection_ids")


def shown_in(files: Iterable[LogFile], name: str, found: Shown | None = None) -> Shown:
    """Find the records with this id, of the connection with this id, and those that explain it.

    Args:
        files: Of the log, in order.
        name: The id.
        found: What was found before, and takes more.

    Raises:
        LogError: A file can not be read.
    """
    found = found or Shown()
    text = as_json(name)
    for line in lines_with(files, re.compile(b"(%b)" % re.escape(text)), {text}, found.damaged):
        record = parsed(line)
        if record is None or not isinstance(value_at(record, "event"), dict) or not is_about(record, name):
            continue
        if len(found.records) < MOST_RECORDS:
            found.records.append(record)
        else:
            found.left_out += 1
    return found
