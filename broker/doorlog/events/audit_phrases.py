"""What the log says of itself: its begin and end, what is missing, what it vouches for, and what was folded."""

from __future__ import annotations

from typing import Final

from doorlog.events.audit_parts import GapPart
from doorlog.events.codes import Action, GapCause
from doorlog.events.phrases import PHRASES, listener
from doorlog.events.records import Event, FloodEvent
from doorlog.events.words import bare, counted, seconds_between

_REASONS: Final[dict[Action, str]] = {
    Action.AUDIT_STARTED: "the broker started",
    Action.AUDIT_STOPPED: "the broker stopped",
    Action.AUDIT_GAP: "records were lost",
    Action.AUDIT_CHECKPOINT: "all records before this one are vouched for",
}
_GAPS: Final[dict[str, str]] = {
    GapCause.OVERFLOW: "more happened than the memory for waiting records holds",
    GapCause.WRITE_FAILED: "the log file could not be written for a while",
    GapCause.INTERRUPTED: "the broker before ended without closing the log",
    GapCause.TRUNCATED: "another program cut or removed the log file while it was being written",
}


def audit_reason(event: Event) -> str | None:
    """Say why the log speaks of itself; None for an action of a newer version."""
    gap = _GAPS.get(event.event.code or "") if event.event.action is Action.AUDIT_GAP else None
    return gap or _REASONS.get(event.event.action)


def audit_message(event: Event, given: str) -> str:
    """Say what the log says of itself.

    Args:
        event: An event of the log.
        given: The reason that it came with, if any.
    """
    match event.event.action:
        case Action.AUDIT_STARTED:
            return f"the log was started{_by(event)}"
        case Action.AUDIT_STOPPED:
            return f"the log was stopped{_numbers(event)}"
        case Action.AUDIT_CHECKPOINT:
            return f"checkpoint{_signed(event)}{_numbers(event)}"
        case _:
            return f"{given or audit_reason(event)}{_missing(event.doorlog.gap)}{_numbers(event)}"


def flood_message(event: FloodEvent) -> str:
    """Say how often something happened again; the records before have the details."""
    flood = event.doorlog.flood
    where = f"{PHRASES['who'](event)} at {listener(event)}: {bare(event.event.code or 'a failure')}"
    if flood is None:
        return f"{where} more often"
    seconds = max(1, round(seconds_between(flood.first, flood.last)))
    return f"{where} {counted(flood.count, 'more time')} within {counted(seconds, 'second')}"


def _by(event: Event) -> str:
    service = event.service
    if service is None:
        return ""
    return f" by {bare(service.name)} {bare(service.version)} (instance {bare(service.instance.id)})"


def _signed(event: Event) -> str:
    checkpoint = event.doorlog.checkpoint
    if checkpoint is None:
        return ""
    key = f", signed with key {bare(checkpoint.key_id)}" if checkpoint.key_id else ""
    return f" after {counted(checkpoint.records, 'record')}{key}"


def _missing(gap: GapPart | None) -> str:
    if gap is None:
        return ""
    if gap.records is None:
        torn = f"; {counted(gap.torn_bytes, 'byte')} of a torn record were moved away" if gap.torn_bytes else ""
        return f": its last records may be missing{torn}"
    if gap.records == 0:
        return ": nothing is missing"
    span = f" (sequence {gap.first_sequence} to {gap.last_sequence})" if gap.first_sequence is not None else ""
    return f": {counted(gap.records, 'record')} missing{span}"


def _numbers(event: Event) -> str:
    audit = event.doorlog.audit
    if audit is None:
        return ""
    folded, lost = audit.folded or 0, audit.lost or 0
    missing = audit.accepted - audit.connects - folded - lost
    parts = [f"{counted(audit.accepted, 'connection')} accepted", f"{audit.connects:,} recorded"]
    parts += [f"{folded:,} counted in floods"] if folded else []
    parts += [f"{lost:,} lost"] if lost else []
    parts += [f"{missing:,} {'without a record' if event.event.action is Action.AUDIT_STOPPED else 'under way'}"] * (
        missing > 0
    )
    return ": " + ", ".join(parts)
