"""Accepted connections = records, for each start of a broker.

The log counts itself: ``doorlog.audit`` of each ``audit_checkpoint`` and ``audit_stopped`` holds what the broker has
counted since its start, to be compared with what stands in the lines up to there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from doorlog.events.codes import GapCause
from doorlog.readers.record import number_at, text_at
from doorlog.readers.report import counted

_WHAT: Final = {
    "connects": "connect records",
    "folded": "connections counted in flood records",
    "lost": "connect records that gaps declare missing",
}


@dataclass(slots=True)
class RunCounts:
    """What stands in the lines of one start of a broker so far."""

    run: bytes | None = None
    complete: bool = True
    """Whether its first lines were there; if not, only what was added since its first own count can be compared."""
    connects: int = 0
    folded: int = 0
    lost: int = 0
    unknown: set[str] = field(default_factory=set)
    """What a gap may have swallowed without saying how much: the broker may have counted more of it."""

    def add_flood(self, record: dict[str, Any]) -> None:
        """Count a ``flood`` record."""
        if text_at(record, "doorlog", "flood", "action") == "connect":
            self.folded += number_at(record, "doorlog", "flood", "count") or 0

    def add_gap(self, record: dict[str, Any]) -> None:
        """Count an ``audit_gap`` record; what a crash cost, the start before it had counted."""
        if text_at(record, "event", "code") == GapCause.INTERRUPTED:
            return
        records = number_at(record, "doorlog", "gap", "records")
        connects = number_at(record, "doorlog", "gap", "connects")
        self.lost += connects or 0
        if records == 0:
            return
        if connects is None:
            self.unknown.add("lost")
        if connects is None or records is None or records > connects:
            self.unknown.add("folded")

    def fault(self, record: dict[str, Any], *, stopped: bool) -> str | None:
        """Compare with what the broker has counted.

        Args:
            record: An ``audit_checkpoint`` or ``audit_stopped`` record.
            stopped: Whether no connection can be under way any more.

        Returns:
            What does not add up; None for nothing.
        """
        said = {name: number_at(record, "doorlog", "audit", name) for name in ("accepted", *_WHAT)}
        accepted = said.pop("accepted")
        if accepted is None or said["connects"] is None:
            return None  # it did not count
        told = {name: count or 0 for name, count in said.items()}
        if not self.complete:
            self._begin_at(told)
        for name, what in _WHAT.items():
            seen: int = getattr(self, name)
            if not (seen <= told[name] if name in self.unknown else seen == told[name]):
                return f"the broker had counted {told[name]:,} {what} since its start, here stand {seen:,}"
        total = sum(told.values())
        if total > accepted or (stopped and total < accepted):
            return f"{counted(accepted, 'connection')} were accepted since the start of the broker, {total:,} recorded"
        return None

    def _begin_at(self, told: dict[str, int]) -> None:
        self.connects, self.folded, self.lost = told["connects"], told["folded"], told["lost"]
        self.complete = True
