"""What was found in a log: values for a program, sentences for a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    INSERTED = "inserted"
    REMOVED = "removed"
    REORDERED = "reordered"
    TORN = "torn"
    COUNTS = "counts"
    SIGNATURE = "signature"
    CHECKPOINT = "checkpoint"
    """It differs from a checkpoint that was kept elsewhere."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first place where a log is not whole."""

    kind: Kind
    file: str
    line: int
    """From 1; 0 for a file without lines."""
    sequence: int | None
    """``event.sequence`` there, or of the first missing record."""
    sentence: str
    """What is wrong."""
    look: str
    """What to look at next."""

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.file} line {self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Gap:
    """What the log itself says is missing."""

    file: str
    line: int
    sequence: int
    """Of the ``audit_gap`` record."""
    code: str
    records: int | None
    """How many are missing, None where nobody can know."""
    first_sequence: int | None
    last_sequence: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Vouched:
    """How much of a log signatures vouch for."""

    last_sequence: int
    """All records up to this one are."""
    time: str | None
    """``@timestamp`` of that record."""
    behind: int
    """Records that only the chain holds together."""
    keys: dict[str, int]
    """How many signatures there are of each key, by its id."""


@dataclass(slots=True)
class Report:
    """What ``verify`` says of a log."""

    files: int = 0
    records: int = 0
    """As far as the log was read."""
    bytes: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    first_time: str | None = None
    last_time: str | None = None
    from_start: bool = False
    """Whether it begins with the first record of all."""
    checkpoints: int = 0
    signed_checkpoints: int = 0
    kept_checkpoints: int = 0
    """How many checkpoints that were kept elsewhere it holds."""
    finding: Finding | None = None
    gaps: list[Gap] = field(default_factory=list)
    """The first 1,000 that the log declares."""
    gap_count: int = 0
    missing: int = 0
    """Records that its gaps declare missing."""
    vouched: Vouched | None = None
    """None without keys."""
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.finding is None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"whole": self.whole, **asdict(self)}


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Say a number of things: ``1 record``, ``1,204 records``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
