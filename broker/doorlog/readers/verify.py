"""The walk over all lines of a log, to the first place where it is not whole.

Nearly all lines are as they should be, and only their bytes are looked at: the number, the hash of the line before,
and whether it is a ``connect`` record. What is not, and the few records in which the log speaks of itself, take the
slow way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from doorlog.errors import LogError
from doorlog.events.codes import Action
from doorlog.log.chain import NOTHING_BEFORE, unsigned
from doorlog.readers.around import LINES_AROUND, Ahead, last_lines, until
from doorlog.readers.breaks import Break, changed, explain, finding, spoiled
from doorlog.readers.counts import RunCounts
from doorlog.readers.gaps import accounts_for, gap_of, is_removal
from doorlog.readers.lines import LONGEST_LINE, blocks_of
from doorlog.readers.record import Line, value_at
from doorlog.readers.report import Finding, Kind, Report, counted
from doorlog.readers.usual import Usual
from doorlog.readers.vouching import Vouching

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from doorlog.readers.lines import Block, LogFile

GAPS_NAMED: Final = 1_000
_BLOCKS_KEPT: Final = 8
"""For looking back from a break; each has 256 KiB or less, or one line."""
_PARSED: Final = frozenset({Action.FLOOD, Action.AUDIT_GAP, Action.AUDIT_CHECKPOINT, Action.AUDIT_STOPPED})
_NO_LOG: Final = "is no log of doorlog: each line of one is a JSON record that ends in the hash of the line before"
_COMPARE: Final = "restore the lines from a sink or a backup"


def verify(
    files: Iterable[LogFile],
    keys: Iterable[Ed25519PublicKey] = (),
    kept: Mapping[int, frozenset[bytes]] | None = None,
    *,
    from_start: bool = False,
) -> Report:
    """Check a log.

    Args:
        files: Its files in order.
        keys: Whose signatures count; with none, signatures are not looked at.
        kept: Hashes of checkpoints that were kept elsewhere, by ``event.sequence``.
        from_start: Whether the first record of all must be there.

    Returns:
        What was found, up to the first place where the log is not whole.

    Raises:
        LogError: This is no log.
        Exception: What the chunks of a file raise, other than ``DamagedFile``.
    """
    return _Walk(Vouching(keys, kept or {}), from_start=from_start).over(files)


@dataclass(slots=True)
class _Walk:
    """One walk, and where it stands."""

    _vouching: Vouching
    from_start: bool
    _report: Report = field(default_factory=Report)
    _usual: Usual = field(default_factory=Usual)
    _counts: RunCounts = field(default_factory=RunCounts)
    _slow: int = 0
    """Lines that took the slow way."""
    _before_file: int = 0
    """Lines of the files before."""
    _first: Line | None = None
    _passed: deque[tuple[Block, int]] = field(default_factory=lambda: deque(maxlen=_BLOCKS_KEPT))
    """The last blocks with lines that were left, each with the number of its last line in its file."""

    @property
    def _lines(self) -> int:
        return self._usual.lines + self._slow

    @property
    def _number(self) -> int:
        """Of the next line in its file."""
        return self._lines - self._before_file + 1

    def over(self, files: Iterable[LogFile]) -> Report:
        """Go to the first finding, or to the end."""
        blocks = blocks_of(files)
        last: Block | None = None
        found: Finding | None = None
        for block in blocks:
            last = block
            if block.first:
                self._before_file = self._lines
                self._report.files += 1
            found = self._flaw(block) if block.flaw else self._through(block, blocks)
            if found:
                break
        self._sum_up(found, last)
        return self._report

    def _through(self, block: Block, blocks: Iterator[Block]) -> Finding | None:
        at = block.start
        while at < block.stop:
            at = self._usual.passed(block.data, at, block.stop)
            if at < block.stop:
                end = block.data.index(b"\n", at, block.stop)
                line = Line(block.file, self._number, block.data[at:end])
                ahead = Ahead(block, end + 1, line.number + 1, blocks)
                found = self._take(line, block, at, ahead)
                if found:
                    if at > block.start:
                        self._passed.append((until(block, at), line.number - 1))
                    return found
                self._slow += 1
                self._usual.follow(line)
                at = end + 1
        self._report.bytes += block.stop - block.start
        self._passed.append((block, self._number - 1))
        return None

    def _take(self, line: Line, block: Block, at: int, ahead: Ahead) -> Finding | None:
        """Look at one line in the slow way."""
        if self._first is None:
            return self._begin(line, ahead) or self._content(line, ahead)
        if line.is_record:
            if line.previous == self._usual.hash and line.sequence == self._usual.sequence + 1:
                return self._content(line, ahead)
            if self._is_declared(line):
                return self._content(line, ahead)
        earlier = self._earlier(until(block, at), line.number - 1)
        return _truncation(line) or explain(Break(earlier, line, ahead.lines()))

    def _begin(self, line: Line, ahead: Ahead) -> Finding | None:
        """Take the first line of all."""
        if not line.is_record:
            return _no_first_record(line, ahead.lines())
        report = self._report
        self._first = line
        report.first_sequence, report.first_time = line.sequence, line.time
        report.from_start = line.previous == NOTHING_BEFORE
        self._counts = RunCounts(line.run, complete=report.from_start or line.action == Action.AUDIT_STARTED)
        if self.from_start and not report.from_start:
            before = counted((line.sequence or 1) - 1, "record")
            sentence = f"the log does not begin with its first record: {before} before this one are not here"
            return Finding(Kind.REMOVED, line.file, line.number, 1, sentence, _COMPARE)
        return None

    def _is_declared(self, line: Line) -> bool:
        record = line.parsed() if line.action == Action.AUDIT_GAP else None
        if record is None or is_removal(record):
            return False
        return accounts_for(record, line, self._usual.sequence, self._usual.hash)

    def _content(self, line: Line, ahead: Ahead) -> Finding | None:
        """Look at what a line that fits says of the log."""
        self._count_usual()
        is_new_run = line.run is not None and line.run != self._counts.run
        if is_new_run or (line.action == Action.AUDIT_STARTED and line is not self._first):
            self._counts = RunCounts(line.run)
        if line.action == Action.CONNECT:
            self._counts.connects += 1
        if line.action not in _PARSED:
            return None
        record = line.parsed()
        found = changed(line, "it is no JSON") if record is None else self._say(line, record)
        if found is None:
            return None
        following = next(iter(ahead.lines()), None)
        return spoiled(line, self._usual.hash, following, found.sentence) or found

    def _count_usual(self) -> None:
        self._counts.connects += self._usual.connects
        self._usual.connects = 0

    def _say(self, line: Line, record: dict[str, Any]) -> Finding | None:
        if line.action == Action.FLOOD:
            self._counts.add_flood(record)
        if line.action == Action.AUDIT_GAP:
            return self._gap(line, record)
        found = self._checkpoint(line, record) if line.action == Action.AUDIT_CHECKPOINT else None
        if found is None and line.action in {Action.AUDIT_CHECKPOINT, Action.AUDIT_STOPPED}:
            fault = self._counts.fault(record, stopped=line.action == Action.AUDIT_STOPPED)
            found = finding(Kind.COUNTS, line, f"the counts do not add up: {fault}", _COMPARE) if fault else None
        return found

    def _gap(self, line: Line, record: dict[str, Any]) -> Finding | None:
        gap, report = gap_of(record, line), self._report
        has_all = report.from_start or (gap.first_sequence or 0) >= (report.first_sequence or 0) > 0
        if is_removal(record) and not (has_all and gap.first_sequence is not None):
            return _truncation(line)
        self._counts.add_gap(record)
        self._vouching.take_gap(gap)
        report.gap_count += 1
        report.missing += gap.records or 0
        if len(report.gaps) < GAPS_NAMED:
            report.gaps.append(gap)
        return None

    def _checkpoint(self, line: Line, record: dict[str, Any]) -> Finding | None:
        self._report.checkpoints += 1
        self._report.signed_checkpoints += unsigned(line.data)[1] is not None
        return self._vouching.take(line, record)

    def _earlier(self, block: Block, number: int) -> list[Line]:
        """Return the last lines of a block and those of the blocks before.

        Args:
            block: Ends behind the last line that is wanted.
            number: Of that line in its file.
        """
        blocks = [*self._passed, (block, number)]
        return [line for part, last in blocks for line in last_lines(part, last)][-LINES_AROUND:]

    def _flaw(self, block: Block) -> Finding | None:
        """Say what a file ends in that is no line."""
        number, size = self._number, len(block.data)
        if self._first is None and block.flaw != "damaged":
            raise LogError(f"{block.file}: {_NO_LOG}")
        match block.flaw:
            case "writing":
                what = "a record that is being written, or that a crash tore"
                self._report.notes.append(f"{block.file} ends in {counted(size, 'byte')} without a line feed: {what}")
                return None
            case "torn":
                kind, sentence = Kind.TORN, f"this record is torn: the file ends after {counted(size, 'byte')} of it"
            case "endless":
                kind, sentence = Kind.CHANGED, f"this is no record: it is longer than {LONGEST_LINE:,} bytes"
            case _:
                kind, sentence = Kind.TORN, "the compressed file is damaged here and can not be read on"
        return Finding(kind, block.file, number, self._usual.sequence + 1, sentence, _COMPARE)

    def _sum_up(self, found: Finding | None, block: Block | None) -> None:
        self._count_usual()
        report, first = self._report, self._first
        last = last_lines(*self._passed[-1])[-1] if first and self._passed else None
        report.records = self._lines
        if block is None:
            sentence = "the log holds no record: none was ever written, or somebody emptied it"
            found = Finding(Kind.REMOVED, "the log", 0, None, sentence, _COMPARE)
        if first and last:
            report.last_sequence, report.last_time = last.sequence, last.time
            found = found or _last_line(last) or self._vouching.unsigned(last) or self._vouching.missing(first, last)
            report.vouched = self._vouching.vouched(last.sequence or 0)
            report.kept_checkpoints = self._vouching.found
            older = self._vouching.older(first)
            if older:
                kept = f"{counted(older, 'checkpoint')} that {'was' if older == 1 else 'were'} kept elsewhere"
                report.notes.append(f"{kept}: older than the first record that is here, not compared")
        report.finding = found


def _no_first_record(line: Line, later: list[Line]) -> Finding:
    if not any(other.is_record for other in later):
        raise LogError(f"{line.file}: {_NO_LOG}")
    return explain(Break((), line, later))


def _last_line(line: Line) -> Finding | None:
    """Return what is wrong with the last line of all in itself: no line behind it tells."""
    record = line.parsed()
    if record is None:
        return changed(line, "it is no JSON")
    if line.action != Action.AUDIT_CHECKPOINT and value_at(record, "doorlog", "checkpoint") is not None:
        return changed(line, "it is signed as a checkpoint is, and says that it is something else")
    return None


def _truncation(line: Line) -> Finding | None:
    """Return that a gap says that lines which had been written are gone; None for other lines."""
    record = line.parsed() if line.action == Action.AUDIT_GAP else None
    if record is None or not is_removal(record):
        return None
    gap = gap_of(record, line)
    return Finding(
        Kind.REMOVED, line.file, line.number, gap.first_sequence, f"records were removed: {gap.sentence}", _COMPARE
    )
