"""What vouches for a log beside its own chain: signatures, and checkpoints that were kept elsewhere.

The chain holds a log together, but whoever can write the file can make it anew. A signature that verifies pins all
records before it, down to the first, since their hashes hang on its line; so does a checkpoint that was kept where the
writer of the file does not come to.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

from doorlog.log.chain import is_signed_by, key_id, unsigned
from doorlog.readers.breaks import finding
from doorlog.readers.record import text_at
from doorlog.readers.report import Finding, Kind, Vouched, counted
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from doorlog.readers.record import Line
    from doorlog.readers.report import Gap

_KEYS: Final = "give every key that signed this log with --key; if that was done, the file was written by somebody else"
_CUT: Final = "see who could write the file; the missing records are where the checkpoint was kept, if all records are"
_REWRITTEN: Final = "the log was written anew from somewhere before here; restore it from a sink or a backup"


class Vouching:
    """Follows the checkpoints of a log.

    Args:
        keys: Whose signatures count; none: signatures are not looked at.
        kept: Hashes of the checkpoints that were kept elsewhere, by ``event.sequence``.
    """

    def __init__(self, keys: Iterable[Ed25519PublicKey], kept: Mapping[int, frozenset[bytes]]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._kept = dict(kept)
        self._signed: Line | None = None
        self._signatures: dict[str, int] = {}
        self._in_gaps: dict[int, int] = {}
        self.pinned = 0
        """Up to which ``event.sequence`` something vouches for the records."""
        self.found = 0
        """How many kept checkpoints the log holds."""

    def take(self, line: Line, record: dict[str, Any]) -> Finding | None:
        """Look at an ``audit_checkpoint`` record that fits the chain; return what is wrong with it."""
        return (self._take_signature(line, record) if self._keys else None) or self._take_kept(line)

    def _take_signature(self, line: Line, record: dict[str, Any]) -> Finding | None:
        _body, signature = unsigned(line.data)
        if signature is None:
            if self._signed is None:
                return None  # the time before there was a key
            sentence = f"this checkpoint is not signed, though that of record {self._signed.sequence:,} is"
            return finding(Kind.SIGNATURE, line, sentence, _KEYS)
        named = text_at(record, "doorlog", "checkpoint", "key_id") or ""
        key = self._keys.get(named)
        if key is None:
            given = ", ".join(self._keys)
            sentence = f"this checkpoint is signed with key {safe_text(named, 64) or 'unknown'}; given are {given}"
            return finding(Kind.SIGNATURE, line, sentence, _KEYS)
        if not _is_canonical(signature) or not is_signed_by(line.data, key):
            sentence = f"the signature of this checkpoint is not one of key {named} over this line"
            return finding(Kind.SIGNATURE, line, sentence, _KEYS)
        self._signatures[named] = self._signatures.get(named, 0) + 1
        self._signed, self.pinned = line, line.sequence or 0
        return None

    def _take_kept(self, line: Line) -> Finding | None:
        hashes = self._kept.pop(line.sequence or 0, None)
        if hashes is None:
            return None
        if hashes != {line.hash}:
            sentence = f"this checkpoint is not the one of record {line.sequence:,} that was kept elsewhere"
            return finding(Kind.CHECKPOINT, line, sentence, _REWRITTEN)
        self.pinned, self.found = line.sequence or 0, self.found + 1
        return None

    def take_gap(self, gap: Gap) -> None:
        """Note which kept checkpoints a gap declares missing: sinks had them, the file never did."""
        span = range(gap.first_sequence or 0, (gap.last_sequence or 0) + 1)
        self._in_gaps.update({sequence: gap.sequence for sequence in self._kept if sequence in span})

    def missing(self, first: Line, last: Line) -> Finding | None:
        """Return which kept checkpoint is not in the log, once it was read to its end.

        Args:
            first: Its first line.
            last: Its last line.
        """
        end = last.sequence or 0
        for sequence in sorted(self._kept):
            if sequence < (first.sequence or 0):
                continue  # deleted by retention
            if self._in_gaps.get(sequence, self.pinned + 1) <= self.pinned:
                continue  # something vouches for the gap
            if sequence > end:
                sentence = f"the log ends with record {end:,}, but a checkpoint of record {sequence:,} was kept"
                cut = f"{sentence} elsewhere: at least {counted(sequence - end, 'record')} were cut off at the end"
                return Finding(Kind.REMOVED, last.file, last.number, end + 1, cut, _CUT)
            sentence = f"record {sequence:,} is not the checkpoint that was kept elsewhere"
            return Finding(Kind.CHECKPOINT, last.file, last.number, sequence, sentence, _REWRITTEN)
        return None

    def older(self, first: Line) -> int:
        """Return how many kept checkpoints are older than the first line of the log."""
        return sum(sequence < (first.sequence or 0) for sequence in self._kept)

    def unsigned(self, last: Line) -> Finding | None:
        """Return that nothing is signed, where keys were given, once the log was read to its end."""
        if not self._keys or self._signed is not None:
            return None
        sentence = f"no checkpoint of this log is signed with {' or '.join(self._keys)}: nobody vouches for it"
        return Finding(Kind.SIGNATURE, last.file, last.number, last.sequence, sentence, _KEYS)

    def vouched(self, last_sequence: int) -> Vouched | None:
        """Return how much is signed; None without keys, or where nothing is.

        Args:
            last_sequence: Of the last line that was read.
        """
        if self._signed is None:
            return None
        end = self._signed.sequence or 0
        return Vouched(end, self._signed.time, last_sequence - end, dict(self._signatures))


def _is_canonical(signature: bytes) -> bool:
    """Whether base64 has no other spelling that means the same: the last line of a log has none behind it to tell."""
    try:
        return b64encode(b64decode(signature, validate=True)) == signature
    except ValueError:
        return False
