"""Failures over time: a count for each code in each of equal spans, with what else happened at the broker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from doorlog.readers.table import Table

_STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 172_800, 604_800)
)
_COUNTS: Final = """
SELECT floor(epoch(time - $since) / $step)::BIGINT AS slot, CASE WHEN outcome = 'success' THEN 'admitted' ELSE code END,
       sum(attempts)
FROM records WHERE time >= $since AND time <= $until AND attempts > 0 GROUP BY ALL
"""
_EVENTS: Final = """
SELECT time, action, listener, generation, served_issuer FROM records
WHERE time >= $since AND time <= $until AND action IN ('certificate_served', 'audit_started')
ORDER BY time DESC, sequence DESC LIMIT 200
"""


class Mark(NamedTuple):
    """Something that happened at the broker."""

    time: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened over time.

    Attributes:
        since: When the first span begins.
        step: How long each span is.
        slots: For each span how often each code came, ``admitted`` included.
        marks: Starts of the broker and certificates that it began to serve, the earliest first.
    """

    since: datetime
    step: timedelta
    slots: list[Counter[str]]
    marks: list[Mark]

    @property
    def codes(self) -> list[str]:
        """The codes of failures, the most frequent first."""
        total = sum(self.slots, Counter())
        return sorted((code for code in total if code != "admitted"), key=lambda code: (-total[code], code))


def timeline_of(table: Table, since: datetime, until: datetime, most: int) -> Timeline:
    """Count failures over time.

    Args:
        table: The log, opened for the span.
        since: Where it begins.
        until: Where it ends.
        most: How many spans, at most.

    Raises:
        LogError: A file of the log can not be read.
    """
    step = next((step for step in _STEPS if (until - since) / step <= most), _STEPS[-1])
    begins = datetime.fromtimestamp(since.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    span = {"since": begins, "until": until}
    slots: list[Counter[str]] = [Counter() for _ in range(int((until - begins) / step) + 1)]
    for slot, code, count in table.rows(_COUNTS, span | {"step": step.total_seconds()}):
        slots[min(int(slot), len(slots) - 1)][code or "unknown"] += int(count)
    return Timeline(begins, step, slots, marks_of(table, begins, until))


def marks_of(table: Table, since: datetime, until: datetime) -> list[Mark]:
    """Return what happened at the broker: its starts and new certificates, the latest ones, the earliest first.

    Args:
        table: The log, opened for the span.
        since: Where it begins.
        until: Where it ends.

    Raises:
        LogError: A file of the log can not be read.
    """
    rows = table.rows(_EVENTS, {"since": since, "until": until})
    return [Mark(time.replace(tzinfo=UTC), _told(*rest)) for time, *rest in reversed(rows)]


def _told(action: str, listener: str | None, generation: int | None, issuer: str | None) -> str:
    if action == "audit_started":
        return "the broker started"
    return f"{listener} serves generation {generation}, issued by {issuer}"
