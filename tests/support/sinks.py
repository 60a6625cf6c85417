"""Sinks of a third party, for tests: one that keeps its lines, one that fails, always or at first, one that stalls."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event as Signal
from typing import TYPE_CHECKING

from support.records import Record, parse_records

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kept:
    """Keeps what it is given."""

    name = "kept"

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.closed = 0

    @property
    def lines(self) -> list[bytes]:
        return [line for batch in self.batches for line in batch]

    @property
    def records(self) -> list[Record]:
        """Every line as a record that is valid against the schema."""
        return parse_records(self.lines)

    def write(self, lines: Sequence[bytes]) -> None:
        self.batches.append(list(lines))

    def close(self) -> None:
        self.closed += 1


class Failing(Kept):
    """Raises what it was made with, at every write and at the end."""

    name = "failing"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, lines: Sequence[bytes]) -> None:
        super().write(lines)
        raise self._error

    def close(self) -> None:
        super().close()
        raise self._error


class Ailing(Kept):
    """Raises one error of those it was made with at each write, and works when none is left.

    `heard` is given the lines of every write, failed ones too. A `SinkError` with `lost` keeps the lines before.
    """

    name = "ailing"

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.heard: SimpleQueue[list[bytes]] = SimpleQueue()
        self._errors = list(errors)

    def write(self, lines: Sequence[bytes]) -> None:
        self.heard.put(list(lines))
        if not self._errors:
            super().write(lines)
            return
        error = self._errors.pop(0)
        lost = getattr(error, "lost", None)
        super().write(lines[: len(lines) - (len(lines) if lost is None else lost)])
        raise error


class Stalled(Kept):
    """Does not return from its first write before `go` is set."""

    name = "stalled"

    def __init__(self) -> None:
        super().__init__()
        self.reached = Signal()
        self.go = Signal()

    def write(self, lines: Sequence[bytes]) -> None:
        self.reached.set()
        self.go.wait()
        super().write(lines)
