"""Which it is where two lines do not fit: changed, inserted, removed, reordered or torn.

A line that was changed is no longer what the next one holds the hash of; a line that was put in is no line's
predecessor; a line that was taken out leaves its number and its successor's hash. So the lines around a break tell,
where one thing was done. Where several were, the first is named by the signs that it left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action
from doorlog.log.chain import NOTHING_BEFORE
from doorlog.readers.gaps import sequences_fit
from doorlog.readers.report import Finding, Kind, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.readers.record import Line

_COMPARE: Final = "compare with another copy of the log (a sink, a backup)"
_WHO: Final = f"{_COMPARE}, and see who could write the file"
_BEGINNING: Final = b'{"@timestamp":"'
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
    def due(self) -> int:
        """The number that the line should have."""
        return (self.before.sequence or 0) + 1

    @property
    def own(self) -> int:
        """The number that it has."""
        return self.line.sequence or 0

    @property
    def is_due(self) -> bool:
        """Whether its number is right, or it says why it is another."""
        if self.own == self.due:
            return True
        record = self.line.parsed() if self.line.action == Action.AUDIT_GAP else None
        return record is not None and sequences_fit(record, self.due - 1, self.own)

    @property
    def fits(self) -> bool:
        """Whether it holds the hash of the line before."""
        return self.before.hash in self.line.follows

    @property
    def is_followed(self) -> bool:
        """Whether the next line holds its hash, so that it stands as it was written."""
        return self.next is not None and self.line.hash in self.next.follows


def explain(at: Break) -> Finding:
    """Name what was done to a log where it breaks."""
    return (
        _torn(at)
        or _no_record(at)
        or _stranger(at)
        or _changed_number(at)
        or _reordered(at)
        or _removed(at)
        or _changed(at)
    )


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
    """Whether the record behind it holds another hash than its own."""
    return following is not None and following.is_record and line.hash not in following.follows


def spoiled(line: Line, before: bytes, following: Line | None, why: str) -> Finding | None:
    """Return whether a line that says something wrong, though it fits the one before, is not the broker's.

    Args:
        line: The line.
        before: The hash of the line before it.
        following: The line behind it.
        why: What is wrong with it.
    """
    if following is None or not is_changed(line, following):
        return None
    if before in following.follows:
        return finding(Kind.INSERTED, line, f"this line was put in: the record behind it follows the one before; {why}")
    return changed(line, why)


def _torn(at: Break) -> Finding | None:
    if at.line.data.find(_BEGINNING, 1) < 0:
        return None
    return finding(Kind.TORN, at.line, "this record is torn: another one begins in the middle of its line", _COMPARE)


def _no_record(at: Break) -> Finding | None:
    data = at.line.data
    if at.line.is_record:
        return None
    if at.earlier and at.next is not None and at.before.hash in at.next.follows:
        why = "it is no record, and the record behind it follows the one before it"
        return finding(Kind.INSERTED, at.line, f"this line was put in: {why}")
    if data.startswith(b'{"') and not data.endswith(b'"}}') and _CHAIN_KEY not in data[-_TAIL:]:
        return finding(Kind.TORN, at.line, "this record is torn: its beginning is here, its end is not", _COMPARE)
    return changed(at.line, "it is no record of a chained log")


def _stranger(at: Break) -> Finding | None:
    """A line that was put in is a copy, or has no successor: the record behind it follows the one before it."""
    line, behind = at.line, at.next
    for other in (*at.earlier, *at.later):
        if other.hash == line.hash:
            return finding(Kind.INSERTED, line, f"this line was put in: it is a copy of {place(other)}")
    if behind is not None and at.before.hash in behind.follows and not _belongs(at):
        return finding(Kind.INSERTED, line, "this line was put in: the record behind it follows the one before it")
    for number, genuine in enumerate(at.earlier[:-1]):
        if genuine.hash in line.follows:
            return _put_in_before(at, genuine, at.earlier[number + 1 :])
    return None


def _belongs(at: Break) -> bool:
    """Whether a line is part of the log, if not here: another one follows it, or is followed by it."""
    follows = frozenset() if at.fits else at.line.follows
    return any(at.line.hash in other.follows or other.hash in follows for other in at.later)


def _put_in_before(at: Break, genuine: Line, strangers: Sequence[Line]) -> Finding:
    lines = "this line was" if len(strangers) == 1 else f"{counted(len(strangers), 'line')} from here on were"
    return finding(
        Kind.INSERTED, strangers[0], f"{lines} put in: the record in {place(at.line)} follows that in {place(genuine)}"
    )


def _changed_number(at: Break) -> Finding | None:
    """The chain fits, the number does not."""
    if not at.fits:
        return None
    if at.next is not None and not at.is_followed:
        return changed(at.line, f"its event.sequence is {at.own:,} where {at.due:,} is due")
    if at.own > at.due:
        return _hole(at, "; the chain was made anew behind them")
    back = f"event.sequence goes back from {at.due - 1:,} to {at.own:,}"
    return finding(Kind.REORDERED, at.line, f"{back}, and the chain was made anew")


def _reordered(at: Break) -> Finding | None:
    """A line that was moved has a predecessor, and a number, that come later."""
    for other in at.later:
        if other.hash in at.line.follows or (other.sequence == at.due and other.is_record and at.own > at.due):
            where = f"record {at.due:,} is due here, and {at.own:,} stands here; {place(other)} comes too late"
            return finding(Kind.REORDERED, at.line, f"the records are not in their order: {where}")
    return None


def _removed(at: Break) -> Finding | None:
    return _hole(at, "") if at.own > at.due and not at.is_due and not _is_first_changed(at) else None


def _hole(at: Break, more: str) -> Finding:
    due, own = at.due, at.own
    span = f"record {due:,} is" if own - due == 1 else f"{own - due:,} records ({due:,} to {own - 1:,}) are"
    gap = "; the audit_gap here does not account for it" if at.line.action == Action.AUDIT_GAP else ""
    sentence = f"{span} missing between {place(at.before)} and this line{gap}{more}"
    return Finding(Kind.REMOVED, at.line.file, at.line.number, due, sentence, _FILES)


def _is_first_changed(at: Break) -> bool:
    """Whether the line before is the first of all with another number than 1: no line before it could tell."""
    return at.before.previous == NOTHING_BEFORE and at.before.sequence != 1


def _changed(at: Break) -> Finding:
    before, line = at.before, at.line
    if at.is_due and is_changed(line, at.next):
        return changed(line, f"it does not hold the hash of {place(before)}, nor the next line its own")
    if at.is_due and at.next is None:
        return finding(Kind.CHANGED, line, f"this line was changed, or {place(before)}: their hashes do not fit")
    if at.is_due or _is_first_changed(at):
        return changed(before, f"its hash is not the one that {place(line)} holds")
    if at.is_followed:
        back = f"event.sequence goes back from {at.due - 1:,} to {at.own:,}"
        return finding(Kind.REORDERED, line, f"the records are not in their order: {back}", _FILES)
    return finding(Kind.INSERTED, line, f"this line was put in: record {at.due:,} is due here, not {at.own:,}")
