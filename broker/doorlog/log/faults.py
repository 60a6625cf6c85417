"""What went wrong in the log itself: counted for each place, and said once instead of in a flood."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from doorlog.errors import SinkError
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable

SENTENCE_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """The faults of one place so far."""

    where: str
    """The sink's name, ``processors`` or ``log``."""
    count: int
    """How often it failed."""
    lost: int
    """How many records did not get there."""
    first: str
    """What was wrong at first, as one sentence."""


def say_on_stderr(sentence: str) -> None:
    """Print a sentence for the operator; a standard error that is gone is no reason to fail."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or None under pythonw and daemons
        sys.stderr.write(f"doorlog: log: {sentence}\n")
        sys.stderr.flush()


class Faults:
    """Counts faults; safe to use from any thread.

    Args:
        say: is given the first fault of each place, and the sums at the end.
        discreet: leaves out the texts of errors that are not ours: where ``log.privacy`` hides names, they could tell
            them.
    """

    def __init__(self, say: Callable[[str], None] = say_on_stderr, *, discreet: bool = False) -> None:
        self._say = say
        self._discreet = discreet
        self._lock = Lock()
        self._faults: dict[str, Fault] = {}

    def add(self, where: str, error: BaseException, *, lost: int) -> None:
        """Count one fault of a place and the records that it cost; say it if it is the first one there."""
        with self._lock:
            known = self._faults.get(where)
            first = known.first if known else self.describe(error)
            count, lost_before = (known.count, known.lost) if known else (0, 0)
            self._faults[where] = Fault(where, count + 1, lost_before + lost, first)
        if known is None:
            self._say(f"{where}: {first} (said once; further faults here are only counted)")

    def say(self, sentence: str) -> None:
        """Say something that is no fault to be counted."""
        self._say(sentence)

    def describe(self, error: BaseException) -> str:
        """Say an error in one line, as ``describe`` does, or by its type alone where names are hidden."""
        if self._discreet and not isinstance(error, SinkError):
            return type(error).__name__
        return describe(error)

    def all(self) -> tuple[Fault, ...]:
        """Return the faults of each place that had one, in the order of their first."""
        with self._lock:
            return tuple(self._faults.values())

    def say_sums(self) -> None:
        """Say how many records each place has lost, if any."""
        for fault in self.all():
            if fault.lost:
                self._say(f"{fault.where}: {fault.lost} records did not get there; it began with: {fault.first}")


def describe(error: BaseException) -> str:
    """Say an error in one line of at most 300 characters, whatever text it carries."""
    text = str(error) if isinstance(error, SinkError) else f"{type(error).__name__}: {error}"
    return safe_text(text, SENTENCE_LIMIT)
