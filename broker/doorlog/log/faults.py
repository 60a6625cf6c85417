"""What went wrong in the log itself: counted for each place, and said once instead of in a flood."""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from doorlog.errors import SinkError
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

SENTENCE_LIMIT = 300

QUIET_SECONDS = 60.0
"""How long nothing more is said of a place that works again, so that one which comes and goes is no flood."""


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


@dataclass(slots=True)
class _Outage:
    """What was said of a place since it last worked."""

    quiet_until: float = 0.0
    """On the monotonic clock."""
    fault_said: bool = False
    loss_said: bool = False
    lost: int = 0
    """Records since then."""


def say_on_stderr(sentence: str) -> None:
    """Print a sentence for the operator; a standard error that is gone or stalled is no reason to fail or to wait."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or None under pythonw and daemons
        if not _has_room(sys.stderr):
            return
        sys.stderr.write(f"doorlog: log: {sentence}\n")
        sys.stderr.flush()


def _has_room(stream: TextIO) -> bool:
    try:
        fd = stream.fileno()
    except ValueError:  # no file behind it (io.UnsupportedOperation): nothing that could stall
        return True
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


class Faults:
    """Counts faults; safe to use from any thread.

    Args:
        say: is given the first fault and the first loss of each place (a queue can be full before a timeout says why),
            that it works again, what is wrong the next time, and the sums at the end.
        clock: the monotonic clock, in seconds.
        discreet: leaves out the texts of errors that are not ours: where ``log.privacy`` hides names, they could tell
            them.
    """

    def __init__(
        self,
        say: Callable[[str], None] = say_on_stderr,
        clock: Callable[[], float] = time.monotonic,
        *,
        discreet: bool = False,
    ) -> None:
        self._say = say
        self._clock = clock
        self._discreet = discreet
        self._lock = Lock()
        self._faults: dict[str, Fault] = {}
        self._outages: dict[str, _Outage] = {}

    def add(self, where: str, error: BaseException, *, lost: int) -> None:
        """Count one fault of a place and the records that it cost; say the first without a loss, and the first with."""
        with self._lock:
            known = self._faults.get(where)
            first = known.first if known else self.describe(error)
            count, lost_before = (known.count, known.lost) if known else (0, 0)
            self._faults[where] = Fault(where, count + 1, lost_before + lost, first)
            news = self._is_news(where, lost)
        if news:
            self._say(f"{where}: {self.describe(error)} (said once; further faults here are only counted)")

    def recovered(self, where: str) -> None:
        """Say that a place works again, if it was said that it did not.

        Its next fault is said again, but of one place never more than one outage a minute.
        """
        with self._lock:
            outage = self._outages.get(where)
            if outage is None or not (outage.fault_said or outage.loss_said):
                return
            self._outages[where] = _Outage(quiet_until=self._clock() + QUIET_SECONDS)
        cost = f"; {outage.lost} records did not get there" if outage.lost else ""
        self._say(f"{where}: works again{cost}")

    def _is_news(self, where: str, lost: int) -> bool:
        outage = self._outages.setdefault(where, _Outage())
        outage.lost += lost
        if self._clock() < outage.quiet_until or (outage.loss_said if lost else outage.fault_said):
            return False
        if lost:
            outage.loss_said = True
        else:
            outage.fault_said = True
        return True

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
