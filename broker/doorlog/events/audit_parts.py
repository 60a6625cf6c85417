"""The nested objects of what the log says of itself: its numbers, what is missing, what it vouches for, floods."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from doorlog.events.base import Count, Part, Text


class AuditPart(Part):
    """The log about itself: the promise in numbers."""

    accepted: Count
    """Sockets accepted since the start of the instance."""
    connects: Count
    """``connect`` records since the start of the instance."""
    folded: Count | None = None
    """Attempts that stand in ``flood`` records instead of a record of their own, since the start of the instance."""
    lost: Count | None = None
    """``connect`` records that ``audit_gap`` records count as missing, since the start of the instance."""


class GapPart(Part):
    """What is missing from this log, as exactly as it can be known (``audit_gap`` only)."""

    first_sequence: Count | None = None
    """``event.sequence`` of the first missing record."""
    last_sequence: Count | None = None
    """``event.sequence`` of the last missing record."""
    records: Count | None = None
    """How many are missing, 0 for none; absent when nobody can know (a crash)."""
    connects: Count | None = None
    """How many of them were ``connect`` records, or counted by ``flood`` records among them."""
    began: datetime | None = None
    """When the log could not be written any more, or the time of the last record before a crash."""
    ended: datetime | None = None
    """When it could be written again."""
    after_sha256: str | None = None
    """The hash of the last record before the gap, where the chain of hashes is broken by it."""
    torn_bytes: Count | None = None
    """Bytes behind the last whole record that a crash left; they were moved to ``torn_file``."""
    torn_file: Text | None = None
    """The name of that file, beside the log."""


class CheckpointPart(Part):
    """All records before this one are vouched for (``audit_checkpoint`` only)."""

    records: Count
    """Records since the checkpoint before, this one not counted."""
    key_id: str | None = None
    """Which key signed it: the first 16 hexadecimal digits of the SHA-256 of the raw public key (RFC 8032)."""


class FloodPart(Part):
    """Repeats of one failure that have no record of their own (``flood`` only); ``event.code`` is theirs."""

    action: Literal["connect", "authorize"]
    """``event.action`` that they would have had."""
    count: Annotated[int, Field(ge=1)]
    """How many there were, exactly."""
    first: datetime
    last: datetime
    ports: Count
    """Distinct source ports; one for each connection, as a rule."""
