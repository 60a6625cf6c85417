"""Is a log whole? The chain of hashes, the sequence, the numbers and the signatures, line by line; pure.

One pass, without parsing what needs no parsing: a line is right if it ends in the hash of the line before it and holds
the next sequence. Text that a client chose can not be taken for either: a quote within a JSON string is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from doorlog.log.chain import NOTHING_BEFORE, is_signed_by, line_hash, previous_of, unsigned
from doorlog.log.segments import sequence_of
from doorlog.readers.report import Broken, Finding, Report

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_LINK: Final = b',"previous_sha256":"'
_ACTION: Final = b'"action":"'
_CONNECT: Final = b'"action":"connect"'
_AUDIT: Final = b'"action":"audit_'
_FLOOD: Final = b'"action":"flood"'
_AHEAD: Final = 1_000
"""Lines behind a break in which a missing record is looked for: it may only stand elsewhere."""


class AuditTrail:
    """Follows a log from its first line to its last, or to the first that is not right.

    Args:
        keys: Public keys that may have signed its checkpoints, by their ids; none to leave signatures alone.
        elsewhere: Checkpoints that were kept on another machine: the hash of the line, by its sequence.

    Attributes:
        report: What was found so far.
        line: Lines of the current file that were read.
    """

    def __init__(
        self, keys: Mapping[str, Ed25519PublicKey] | None = None, elsewhere: Mapping[int, bytes] | None = None
    ) -> None:
        self._keys = keys or {}
        self._elsewhere = dict(elsewhere or {})
        self._hash: bytes | None = None
        self._sequence = 0
        self._is_counting = False
        self._connects = self._folded = self._lost = 0
        self._file, self._place = "", 0
        self.line = 0
        self.report = Report(wanted_checkpoints=len(self._elsewhere))

    def begin_file(self, name: str) -> None:
        """Go on in another file of the log."""
        self._file, self.line, self._place = name, 0, 0
        self.report.files += 1

    def read(self, lines: Sequence[bytes]) -> None:
        r"""Follow whole lines, each without its ``\n``.

        Raises:
            Broken: The first line that is not right; nothing may be read after it.
        """
        tail = _LINK + (self._hash or b"") + b'"}}'
        sequence = self._sequence
        for index, line in enumerate(lines):
            sequence += 1
            action = line.find(_ACTION)  # in "event", as the sequence a little behind it
            if line.endswith(tail) and line.find(b'"sequence":%d,' % sequence, action) > 0 and self._hash is not None:
                if line.startswith(_CONNECT, action):
                    self._connects += 1
                elif line.startswith((_AUDIT, _FLOOD), action):
                    self._at(index, sequence - 1)
                    self._hear(line, sequence)
            else:
                self._at(index, sequence - 1)
                sequence = self._irregular(line, lines[index + 1 : index + _AHEAD])
            self._hash = sha256(line).hexdigest().encode()
            tail = _LINK + self._hash + b'"}}'
            self._sequence = sequence
        self.line += len(lines)
        self._place = 0
        self.report.records += len(lines)
        self.report.last_sequence = sequence

    def end(self) -> None:
        """Say what can be said only at the end.

        Raises:
            Broken: A checkpoint that was kept elsewhere is not there.
        """
        first, last = self.report.first_sequence, self.report.last_sequence
        for sequence in sorted(self._elsewhere):
            if sequence > last:
                raise self._broken(
                    "cut",
                    f"the log ends with record {last}, but a checkpoint that was kept elsewhere is record {sequence}: "
                    "its end was cut off, or it is another log",
                )
            if sequence >= first:
                raise self._broken("checkpoint", f"record {sequence} was a checkpoint, and is none any more")
            self.report.notes.append(f"the checkpoint of record {sequence} is older than this log")

    def _at(self, index: int, sequence: int) -> None:
        self._place = index + 1
        self._sequence = sequence

    def _irregular(self, line: bytes, behind: Sequence[bytes]) -> int:
        """Look at a line that does not simply follow: the first, a signed one, or behind a gap; return its sequence."""
        sequence, previous = sequence_of(line), previous_of(line)
        if sequence is None or previous is None or _record(line) is None:
            raise self._broken("changed", "is no record of doorlog: changed, or torn by a crash that was never mended")
        if self._hash is None:
            self._begin(sequence, previous)
        elif previous != self._hash or sequence != self._sequence + 1:
            self._declared(line, sequence, previous, behind)
        self._hear(line, sequence)
        return sequence

    def _begin(self, sequence: int, previous: bytes) -> None:
        self.report.first_sequence = sequence
        self.report.is_complete = previous == NOTHING_BEFORE and sequence == 1

    def _declared(self, line: bytes, sequence: int, previous: bytes, behind: Sequence[bytes]) -> None:
        """Accept a break that the record behind it explains exactly; what else breaks the chain is a fault."""
        record = _record(line) or {}
        gap = _part(record, "doorlog", "gap")
        expected = self._sequence + 1
        says_so = gap.get("first_sequence") == expected and gap.get("last_sequence") == sequence - 1
        is_linked = previous == self._hash or str(gap.get("after_sha256")).encode() == self._hash
        if not (says_so and is_linked and _part(record, "event").get("action") == "audit_gap"):
            raise self._broken(*self._what(sequence, previous, behind), at=sequence)
        self.report.declared.append(self._finding("gap", str(record.get("message")), sequence))

    def _what(self, sequence: int, previous: bytes, behind: Sequence[bytes]) -> tuple[str, str]:
        expected = self._sequence + 1
        if sequence == expected:
            return "changed", f"record {sequence - 1}, the one before, was changed, or this one's link to it"
        if previous == self._hash:
            return "changed", f"its sequence is {sequence} where {expected} is due"
        if sequence < expected:
            return (
                "inserted",
                f"record {sequence} does not belong behind record {expected - 1}: inserted, or moved here",
            )
        if any(sequence_of(later) == expected for later in behind):
            return "reordered", f"record {sequence} stands before record {expected}"
        missing = sequence - expected
        which = f"record {expected} is" if missing == 1 else f"records {expected} to {sequence - 1} are"
        return "removed", f"{which} missing before it"

    def _hear(self, line: bytes, sequence: int) -> None:
        """Take what a record says of the log itself."""
        action = line.find(_ACTION)
        if line.startswith(_CONNECT, action):
            self._connects += 1
        if not line.startswith((_AUDIT, _FLOOD), action):
            return
        record = _record(line) or {}
        match _part(record, "event").get("action"):
            case "audit_started":
                self._is_counting, self._connects, self._folded, self._lost = True, 0, 0, 0
            case "flood":
                flood = _part(record, "doorlog", "flood")
                self._folded += flood.get("count", 0) if flood.get("action") == "connect" else 0
            case "audit_gap":
                self._gap(record, sequence)
            case "audit_checkpoint":
                self._numbers(record, sequence, is_end=False)
                self._checkpoint(line, record, sequence)
            case "audit_stopped":
                self._numbers(record, sequence, is_end=True)

    def _gap(self, record: Mapping[str, Any], sequence: int) -> None:
        self._lost += _part(record, "doorlog", "gap").get("connects", 0)
        code = _part(record, "event").get("code")
        if code == "truncated":
            raise self._broken("truncated", str(record.get("message")), at=sequence)
        if code == "interrupted":
            self.report.declared.append(self._finding("interrupted", str(record.get("message")), sequence))
            self._is_counting = False

    def _numbers(self, record: Mapping[str, Any], sequence: int, *, is_end: bool) -> None:
        audit = _part(record, "doorlog", "audit")
        if not self._is_counting or not audit:
            return
        said = tuple(audit.get(name, 0) for name in ("connects", "folded", "lost"))
        found = (self._connects, self._folded, self._lost)
        accepted = audit.get("accepted", 0)
        if said != found or accepted < sum(found) or (is_end and accepted != sum(found)):
            words = "{} connect records, {} attempts in floods and {} lost"
            told = words.format(*said)
            raise self._broken(
                "counts",
                f"tells of {accepted} accepted connections, {told}; found are {words.format(*found)}",
                at=sequence,
            )

    def _checkpoint(self, line: bytes, record: Mapping[str, Any], sequence: int) -> None:
        self.report.checkpoints += 1
        kept = self._elsewhere.pop(sequence, None)
        if kept is not None and kept != line_hash(line):
            raise self._broken("checkpoint", "is not the checkpoint that was kept elsewhere", at=sequence)
        if not self._keys:
            return
        signer = _part(record, "doorlog", "checkpoint").get("key_id")
        if unsigned(line)[1] is None:
            if self.report.vouched:
                raise self._broken("signature", "is not signed, although those before it are", at=sequence)
            return
        key = self._keys.get(str(signer))
        if key is None:
            raise self._broken("signature", f"is signed with key {signer}, which was not given", at=sequence)
        if not is_signed_by(line, key):
            raise self._broken("signature", f"is not signed by key {signer}, as it says", at=sequence)
        self.report.vouched = sequence

    def _finding(self, kind: str, sentence: str, sequence: int | None = None) -> Finding:
        return Finding(kind, self._file, self.line + self._place, sequence, sentence)

    def _broken(self, kind: str, sentence: str, at: int | None = None) -> Broken:
        return Broken(self._finding(kind, sentence, at))


def checkpoints_of(lines: Iterable[bytes]) -> dict[int, bytes]:
    """Read checkpoints that were kept elsewhere, whatever stands before the JSON of each line (a syslog header).

    Returns:
        The hash of each checkpoint's line, by its sequence.
    """
    found = {}
    for line in lines:
        record = line[max(0, line.find(b'{"@timestamp"')) :].rstrip()
        sequence = sequence_of(record)
        if sequence is not None and b'"action":"audit_checkpoint"' in record:
            found[sequence] = line_hash(record)
    return found


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _part(record: Mapping[str, Any], *path: str) -> dict[str, Any]:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
