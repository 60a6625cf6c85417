"""Which it is where two lines do not fit: changed, inserted, removed, reordered or torn.

A line that was changed is no longer what the next one holds the hash of; a line that was put in is no line's
predecessor; a line that was taken out leaves its number and its successor's hash. So the lines around a break tell,
where one thing was done. Where several were, the first is named by the signs that it left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from doorlog.log.chain import NOTHING_BEFORE
from doorlog.readers.report import Finding, Kind, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.readers.record import Line

_COMPARE: Final = "compare with another copy of the log (a sink, a backup)"
_WHO: Final = f"{_COMPARE}, and see who could write the file"
_CHAIN_KEY: Final = b'"previous_sha256":"'
_TAIL: Final = 300
"""Bytes in which the chain and a signature find room."""
_FILES: Final = f"see whether a segment is missing, or lies here under another name; {_COMPARE}"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a line does not follow the one before."""

    earlier: Sequence[Line]
    """Lines before it that fit, oldest first, as many as are at hand; the last of them is the one just before."""
    line: Line
    later: Sequence[Line]
    """Lines behind it, as many as are at hand."""

    @property
    def before(self) -> Line:
        """The last line that fits."""
        return self.earlier[-1]

    @property
    def next(self) -> Line | None:
        """The line behind it."""
        return self.later[0] if self.later else None

    @property
    def is_followed(self) -> bool:
        """Whether the next line holds this one's hash, so that it stands as it was written."""
        return self.next is not None and self.next.previous == self.line.hash


def explain(at: Break) -> Finding:
    """Name what was done to a log where it breaks."""
    if not at.line.is_record:
        return _no_record(at)
    return _copied(at) or _inserted(at) or _changed_number(at) or _reordered(at) or _removed(at) or _changed(at)


def finding(kind: Kind, line: Line, sentence: str, look: str = _WHO) -> Finding:
    """Return a finding at a line."""
    return Finding(kind, line.file, line.number, line.sequence, sentence, look)


def place(line: Line) -> str:
    """Say where a line is."""
    return f"{line.file} line {line.number}"


def changed(line: Line, why: str) -> Finding:
    """Return that a line is not what was written."""
    return finding(Kind.CHANGED, line, f"this line was changed: {why}")


def is_changed(line: Line, following: Line | None) -> bool:
    """Whether the line behind it holds another hash than its own, without a reason."""
    if following is None or following.previous == line.hash or not following.is_record:
        return False
    return line.sequence is None or following.sequence == line.sequence + 1


def _no_record(at: Break) -> Finding:
    if at.earlier and at.next is not None and at.next.previous == at.before.hash:
        why = "it is no record, and the record behind it follows the one before it"
        return finding(Kind.INSERTED, at.line, f"this line was put in: {why}")
    data = at.line.data
    if data.startswith(b'{"') and not data.endswith(b'"}}') and _CHAIN_KEY not in data[-_TAIL:]:
        return finding(Kind.TORN, at.line, "this record is torn: its beginning is here, its end is not", _COMPARE)
    return changed(at.line, "it is no record of a chained log")


def _copied(at: Break) -> Finding | None:
    for other in (*at.earlier, *at.later):
        if other.hash == at.line.hash:
            return finding(Kind.INSERTED, at.line, f"this line was put in: it is a copy of {place(other)}")
    return None


def _inserted(at: Break) -> Finding | None:
    """A line that was put in has no successor; the record behind it follows the one before it."""
    behind = at.next
    skipped = behind is not None and behind.previous == at.before.hash
    if skipped and not _is_followed_by_one_of(at.later, at.line) and behind and at.line.previous != behind.hash:
        return finding(Kind.INSERTED, at.line, "this line was put in: the record behind it follows the one before it")
    for number, genuine in enumerate(at.earlier[:-1]):
        if at.line.previous == genuine.hash:
            return _put_in_before(at, genuine, at.earlier[number + 1 :])
    return None


def _put_in_before(at: Break, genuine: Line, strangers: Sequence[Line]) -> Finding:
    lines = "this line was" if len(strangers) == 1 else f"{counted(len(strangers), 'line')} from here on were"
    return finding(
        Kind.INSERTED, strangers[0], f"{lines} put in: the record in {place(at.line)} follows that in {place(genuine)}"
    )


def _reordered(at: Break) -> Finding | None:
    """A line that was moved has a predecessor, and a number, that come later."""
    due = (at.before.sequence or 0) + 1
    for other in at.later:
        if other.hash == at.line.previous or (other.sequence == due and other.is_record and not _fits(at)):
            where = f"record {due:,} is due here, and {at.line.sequence:,} stands here; {place(other)} comes too late"
            return finding(Kind.REORDERED, at.line, f"the records are not in their order: {where}")
    return None


def _changed_number(at: Break) -> Finding | None:
    """The chain fits, the number does not."""
    due, own = (at.before.sequence or 0) + 1, at.line.sequence or 0
    if not _fits(at):
        return None
    if is_changed(at.line, at.next) or (at.next is not None and not at.is_followed):
        return changed(at.line, f"its event.sequence is {own:,} where {due:,} is due")
    if own > due:
        return _hole(at, due, own, "; the chain was made anew behind them")
    return finding(
        Kind.REORDERED, at.line, f"event.sequence goes back from {due - 1:,} to {own:,}: the chain was made anew here"
    )


def _removed(at: Break) -> Finding | None:
    due, own = (at.before.sequence or 0) + 1, at.line.sequence or 0
    return _hole(at, due, own, "") if own > due else None


def _hole(at: Break, due: int, own: int, more: str) -> Finding:
    span = f"record {due:,} is" if own - due == 1 else f"{own - due:,} records ({due:,} to {own - 1:,}) are"
    gap = "; the audit_gap here does not account for it" if at.line.action == "audit_gap" else ""
    sentence = f"{span} missing between {place(at.before)} and this line{gap}{more}"
    return Finding(Kind.REMOVED, at.line.file, at.line.number, due, sentence, _FILES)


def _changed(at: Break) -> Finding:
    before, line = at.before, at.line
    due = (before.sequence or 0) + 1
    if line.sequence == due and is_changed(line, at.next):
        return changed(line, f"it does not hold the hash of {place(before)}, nor the next line its own")
    first = before.previous == NOTHING_BEFORE and before.sequence != 1
    if line.sequence == due or first:
        either = "" if at.is_followed else ", or the hash in that one was"
        return changed(before, f"its hash is not the one that {place(line)} holds{either}")
    if at.is_followed:
        back = f"event.sequence goes back from {due - 1:,} to {line.sequence:,}"
        return finding(Kind.REORDERED, line, f"the records are not in their order: {back}", _FILES)
    return finding(Kind.INSERTED, line, f"this line was put in: record {due:,} is due here, not {line.sequence:,}")


def _fits(at: Break) -> bool:
    return at.line.previous == at.before.hash


def _is_followed_by_one_of(lines: Sequence[Line], line: Line) -> bool:
    return any(other.previous == line.hash for other in lines)
