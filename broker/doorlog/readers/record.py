"""What a line says of its place in the log, found in its bytes without parsing all of it.

Text that a client chose can not be taken for a key: within a JSON string a quote is escaped, so that ``"sequence":``
with both its quotes stands in a line only where a key of that name does. ``event`` comes before all objects that have
keys of the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from doorlog.events.codes import Action
from doorlog.log.chain import line_hash, previous_of
from doorlog.log.segments import sequence_of

_ACTION: Final = re.compile(rb'"action":"([a-z_]{1,64})"')
_RUN: Final = re.compile(rb'"sequence":\d{1,19},"id":"([0-9A-Za-z_-]{1,64})-\d{1,19}"')
_AFTER: Final = re.compile(rb'"after_sha256":"([0-9a-f]{64})"')
_TIME: Final = re.compile(rb'\{"@timestamp":"([0-9TZ:.-]{20,32})"')


@dataclass(frozen=True)
class Line:
    r"""One line of a log, without its ``\n``."""

    file: str
    number: int
    """From 1, in its file."""
    data: bytes

    @cached_property
    def sequence(self) -> int | None:
        """``event.sequence``."""
        return sequence_of(self.data)

    @cached_property
    def previous(self) -> bytes | None:
        """The hash that it holds of the line before, 64 hexadecimal digits."""
        return previous_of(self.data)

    @cached_property
    def follows(self) -> frozenset[bytes]:
        """Hashes of what it may follow: the line before, and for a gap the last one that was written before it."""
        after = _AFTER.findall(self.data) if self.action == Action.AUDIT_GAP else []
        return frozenset([self.previous or b"", *after])

    @cached_property
    def hash(self) -> bytes:
        """Its own hash."""
        return line_hash(self.data)

    @cached_property
    def action(self) -> str | None:
        """``event.action``."""
        found = _ACTION.search(self.data)
        return found[1].decode() if found else None

    @cached_property
    def run(self) -> bytes | None:
        """Which start of a broker wrote it: ``event.id`` up to its last hyphen."""
        found = _RUN.search(self.data)
        return found[1] if found else None

    @cached_property
    def time(self) -> str | None:
        """``@timestamp``."""
        found = _TIME.match(self.data)
        return found[1].decode() if found else None

    @property
    def is_record(self) -> bool:
        """Whether it has all that a chained record has."""
        begins = self.data.startswith(b'{"')
        return begins and None not in (self.sequence, self.previous, self.action)

    def parsed(self) -> dict[str, Any] | None:
        """Return all of it; None when it is no JSON object."""
        try:
            record = orjson.loads(self.data)
        except orjson.JSONDecodeError:
            return None
        return record if isinstance(record, dict) else None


def value_at(record: Any, *path: str) -> Any:
    """Return what stands at a path in a parsed record; None where there is nothing."""
    for key in path:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def number_at(record: Any, *path: str) -> int | None:
    """Return a count that stands at a path; None where there is none, or something that is no count."""
    value = value_at(record, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def text_at(record: Any, *path: str) -> str | None:
    """Return a text that stands at a path; None where there is none."""
    value = value_at(record, *path)
    return value if isinstance(value, str) else None
