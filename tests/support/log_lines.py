"""Lines of a log without the log: numbered, chained, and with a message of a wanted length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorlog.log.chain import NOTHING_BEFORE, line_hash, previous_of
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.segments import sequence_of
from support.events import SERVICE, failed_connect, stopped_audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from doorlog.events.records import Event


def quiet() -> Faults:
    return Faults(lambda _: None)


def lines_of(
    *events: Event, count: int = 3, size: int = 0, sequence: int = 0, previous: bytes = NOTHING_BEFORE
) -> list[bytes]:
    """Return lines of these events, or of so many failed attempts.

    Args:
        events: What is recorded.
        count: How many attempts instead.
        size: Characters of each message, 2,048 at most.
        sequence: Of the record before.
        previous: The hash of the line before.
    """
    pipeline = Pipeline(record_processors(lambda _: "x" * size), SERVICE, quiet(), sequence=sequence, previous=previous)
    return [pipeline.line(event) for event in events or [failed_connect()] * count]


def after(lines: Sequence[bytes], count: int = 1) -> list[bytes]:
    """Return more attempts, behind others."""
    return lines_of(count=count, sequence=sequence_of(lines[-1]) or 0, previous=line_hash(lines[-1]))


def closed_log(count: int = 3) -> list[bytes]:
    """Return the lines of a log that was closed in good order, but for its checkpoint."""
    return lines_of(*[failed_connect()] * count, stopped_audit())


def check_chain(lines: Iterable[bytes]) -> None:
    """No number is missing or doubled, and each line holds the hash of the line before it."""
    previous = NOTHING_BEFORE
    for sequence, line in enumerate(lines, 1):
        assert (sequence_of(line), previous_of(line)) == (sequence, previous)
        previous = line_hash(line)
