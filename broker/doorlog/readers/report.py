"""What an audit of a log has found, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from doorlog.text import safe_text

_SENTENCE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in a log.

    Attributes:
        kind: ``changed``, ``removed``, ``inserted``, ``reordered``, ``torn``, ``cut``, ``truncated``, ``counts``,
            ``checkpoint``, ``signature``, ``damaged``; or what the log declares itself, ``gap`` and ``interrupted``.
        file: The name of the file.
        line: The number of the line, from 1.
        sequence: ``event.sequence``, if it is known.
        sentence: What is wrong.
    """

    kind: str
    file: str
    line: int
    sequence: int | None
    sentence: str

    def __str__(self) -> str:
        """Say place and sentence in one line that is safe to print."""
        record = f", record {self.sequence}" if self.sequence is not None else ""
        return f"{self.file}:{self.line}{record}: {safe_text(self.sentence, _SENTENCE_LIMIT)}"


class Broken(Exception):
    """A log is not whole; ``finding`` says where it stops being so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(slots=True)
class Report:
    """What is known of a log.

    Attributes:
        files: Files that were read.
        records: Records that follow each other.
        first_sequence: ``event.sequence`` of the first one.
        last_sequence: Of the last one.
        is_complete: Whether it begins with the first record of all; else older segments are not here.
        checkpoints: How many there are.
        vouched: The sequence up to which a signature vouches; 0 for nothing.
        wanted_checkpoints: How many were to be there, since they were kept elsewhere.
        declared: Gaps and interruptions that the log itself tells of.
        notes: What else is worth knowing.
        fault: The first place where the log is not whole; None if it is.
    """

    files: int = 0
    records: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    is_complete: bool = False
    checkpoints: int = 0
    vouched: int = 0
    wanted_checkpoints: int = 0
    declared: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fault: Finding | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None

    def sentences(self, *, has_keys: bool) -> list[str]:
        """Say it for a person, a line each.

        Args:
            has_keys: Whether signatures were looked at.
        """
        said = [f"{self.records:,} records in {self.files} file{'s'[: self.files != 1]}" + self._span()]
        if not self.is_complete and self.records:
            said.append(f"it begins with record {self.first_sequence}: older segments are not here")
        said += [f"declared by the log: {finding}" for finding in self.declared]
        said += self.notes
        said.append(self._vouched(has_keys=has_keys))
        return said

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        fields = (name for name in self.__slots__ if name not in ("declared", "fault"))
        return {
            "whole": self.is_whole,
            **{name: getattr(self, name) for name in fields},
            "declared": [_plain(finding) for finding in self.declared],
            "fault": _plain(self.fault) if self.fault else None,
        }

    def _span(self) -> str:
        return f", sequence {self.first_sequence} to {self.last_sequence}" if self.records else ""

    def _vouched(self, *, has_keys: bool) -> str:
        if not has_keys:
            return f"{self.checkpoints:,} checkpoints, their signatures not looked at (--key)"
        if not self.vouched:
            return "no signature vouches for it"
        behind = self.last_sequence - self.vouched
        rest = f"; the {behind:,} behind it only by the chain" if behind else ""
        return f"vouched for by a signature up to record {self.vouched}{rest}"


def _plain(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in Finding.__slots__}
