"""What an ``audit_gap`` record accounts for: honest holes in a log.

The next line behind a hole is the record of it. It says which sequences are missing and, where they had already been
chained (``write_failed``), the hash of the last line that is there, so that a gap can not be moved to where it hides
more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doorlog.events.codes import GapCause
from doorlog.readers.record import number_at, text_at
from doorlog.readers.report import Gap, counted
from doorlog.text import safe_text

if TYPE_CHECKING:
    from doorlog.readers.record import Line

_SENTENCES = {
    GapCause.OVERFLOW: "more happened than the memory for waiting records holds",
    GapCause.WRITE_FAILED: "the log file could not be written for a while",
    GapCause.INTERRUPTED: "the broker before ended without closing the log",
    GapCause.TRUNCATED: "another program cut or removed the log file",
}


def accounts_for(record: dict[str, Any], line: Line, sequence: int, hash_before: bytes) -> bool:
    """Whether an ``audit_gap`` record explains why its line does not follow the line before it.

    Args:
        record: The record, parsed.
        line: Its line.
        sequence: ``event.sequence`` of the line before it in the log.
        hash_before: The hash of that line.
    """
    own = line.sequence
    return own is not None and sequences_fit(record, sequence, own) and _chain_fits(record, line, hash_before)


def sequences_fit(record: dict[str, Any], before: int, own: int) -> bool:
    """Whether a gap names exactly the sequences that are missing between the line before and its own."""
    if own == before + 1:
        return True
    first, last, records = (
        number_at(record, "doorlog", "gap", key) for key in ("first_sequence", "last_sequence", "records")
    )
    return first == before + 1 and last == own - 1 and first <= last and records in {None, last - first + 1}


def _chain_fits(record: dict[str, Any], line: Line, before: bytes) -> bool:
    if line.previous == before:
        return True
    code, after = text_at(record, "event", "code"), text_at(record, "doorlog", "gap", "after_sha256")
    return code == GapCause.WRITE_FAILED and after == before.decode()


def is_removal(record: dict[str, Any]) -> bool:
    """Whether a gap says that lines which had been written are gone."""
    return text_at(record, "event", "code") == GapCause.TRUNCATED


def gap_of(record: dict[str, Any], line: Line) -> Gap:
    """Return what a gap declares missing."""
    code = safe_text(text_at(record, "event", "code") or "unknown", 64)
    records = number_at(record, "doorlog", "gap", "records")
    first, last = (number_at(record, "doorlog", "gap", key) for key in ("first_sequence", "last_sequence"))
    why = _SENTENCES.get(GapCause(code)) if code in set(GapCause) else None
    return Gap(
        line.file, line.number, line.sequence or 0, code, records, first, last, f"{why or code}: {_size(record)}"
    )


def _size(record: dict[str, Any]) -> str:
    records = number_at(record, "doorlog", "gap", "records")
    if records is None:
        torn = number_at(record, "doorlog", "gap", "torn_bytes")
        moved = f"; {counted(torn, 'byte')} of a torn record were moved away" if torn else ""
        return f"its last records may be missing{moved}"
    first, last = (number_at(record, "doorlog", "gap", key) for key in ("first_sequence", "last_sequence"))
    if records == 0:
        return "nothing is missing"
    span = f" (sequence {first} to {last})" if first is not None and last is not None else ""
    return f"{counted(records, 'record')} missing{span}"
