"""How the log does, in numbers, for the health endpoint and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doorlog.log.sink import SinkStatus


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the log does.

    Attributes:
        mode: ``log.mode``.
        failure: Why the file can not be written; None while it can.
        sequence: ``event.sequence`` of the last record.
        waiting: Events that wait for the log's thread.
        lag: Seconds that the oldest of these has waited.
        unwritten: Records that wait for a file that can not be written, or will be missing from it.
        sinks: How each other sink does.
    """

    mode: str
    failure: str | None
    sequence: int
    waiting: int
    unwritten: int
    sinks: tuple[SinkStatus, ...] = ()
    lag: float = 0.0
