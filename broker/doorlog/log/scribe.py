"""What the log's thread does: events to chained lines, lines to the file and the sinks, and whatever is due."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from doorlog.errors import SettingsError
from doorlog.events.codes import Action
from doorlog.events.records import Connection
from doorlog.log import audit
from doorlog.log.backlog import Overflow
from doorlog.log.journal import RETRY_SECONDS
from doorlog.log.sink import deliver, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from doorlog.events.records import Event, FloodEvent
    from doorlog.log.faults import Faults
    from doorlog.log.log_file import LogFile
    from doorlog.log.pipeline import Pipeline
    from doorlog.log.signing import Checkpoints
    from doorlog.log.sink import Sink

SYNC_SECONDS: Final = 0.25
"""How long a line may wait until fsync begins: half of what ``durable`` promises, since the disk takes time too."""
_IDLE: Final = 1.0  # seconds until the next look at the file


class Scribe:
    """Writes the log. For one thread.

    Args:
        pipeline: Makes lines.
        sinks: Each is given every line, in order; released at the end.
        faults: Where what goes wrong is counted.
        checkpoints: When they are due, and what signs them.
        file: The log file, if there is one.
        floods: Gives the floods whose window has ended, or all that are open if it is asked for an infinite time.
        afterwards: Gives events that what refines them has to add; they are written after those that it refined.
        conceal: Hides names; called before anything else sees an event. Must not raise.
        reloads: What reads a file again at SIGHUP; may raise ``SettingsError``.
        on_recovery: Told when all that was written before the disk failed is on it, before anybody else is.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        pipeline: Pipeline,
        sinks: Sequence[Sink],
        faults: Faults,
        *,
        checkpoints: Checkpoints,
        file: LogFile | None = None,
        floods: Callable[[float], Iterable[FloodEvent]] = lambda _now: (),
        afterwards: Callable[[], Iterable[Event]] = lambda: (),
        conceal: Callable[[Event], Event] = lambda event: event,
        reloads: Iterable[Callable[[], None]] = (),
        on_recovery: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipeline = pipeline
        self._sinks = sinks
        self._faults = faults
        self._checkpoints = checkpoints
        self._file = file
        self._floods = floods
        self._afterwards = afterwards
        self._conceal = conceal
        self._on_recovery = on_recovery
        self._reloads = (checkpoints.reload, *reloads)
        self._is_out = False
        self._last: Action | None = None
        self.numbers = audit.Numbers()
        self.reload_wanted = False

    @property
    def failure(self) -> str | None:
        """Why the file can not be written; None while it can, or there is none."""
        fault = self._file.journal.fault if self._file else None
        return str(fault.strerror) if fault is not None else None

    @property
    def sequence(self) -> int:
        """``event.sequence`` of the last record."""
        return self._pipeline.sequence

    @property
    def unwritten(self) -> int:
        """Records that wait for a file that can not be written, and those that will be missing from it."""
        return self._file.journal.waiting + self._file.journal.missing if self._file else 0

    def begin(self) -> None:
        """Start: say so if the broker before did not close this log."""
        if self._file is None:
            return
        self._file.start()
        if not self._file.tail.was_closed:
            self._write([self._line(audit.interrupted_event(self._file.tail, self._file.torn_file))])

    def write(self, items: Iterable[Event | Overflow]) -> None:
        """Write events."""
        lines: list[bytes] = []
        for item in items:
            if isinstance(item, Connection):  # nearly all
                lines.append(self._line(item))
                self._last = item.event.action
            else:
                lines += self._lines(item)
        lines += map(self._pipeline.line, self._afterwards())
        self._write(lines)

    def sync(self) -> bool:
        """Put everything on disk; whether it is."""
        if self._file is not None:
            self._file.journal.sync()
        self._follow_failure()
        return self.failure is None

    def tick(self) -> None:
        """Do what is due: the disk again, floods, checkpoints, fsync, rotation, and a look at the file."""
        now = time.monotonic()
        self._recover()
        self.write(self._floods(now))
        due = self._checkpoints.due_at
        if due is not None and due <= now:
            self._check()
        if self.reload_wanted:
            self.reload_wanted = False
            self._reload()
        if self._file is not None:
            self._look_after(self._file, now)
        self._follow_failure()

    def patience(self) -> float:
        """Return how many seconds may pass until the next ``tick``."""
        if self._file is None:
            return _IDLE
        if self._file.journal.fault is not None:
            return RETRY_SECONDS  # what is not on disk can not be hurried
        if self._file.journal.dirty_since is None:
            return _IDLE
        return max(0.0, self._file.journal.dirty_since + SYNC_SECONDS - time.monotonic())

    def end(self) -> None:
        """Vouch for all of it, put it on disk and let go of everything."""
        self._recover(at_once=True)
        self.write(self._floods(float("inf")))
        if self._last is Action.AUDIT_STOPPED:
            self._check()
        if self._file is not None:
            self._file.journal.sync()
            release(self._file, self._faults)
        for sink in self._sinks:
            release(sink, self._faults)
        self._faults.say_sums()

    def _lines(self, item: Event | Overflow) -> Iterable[bytes]:
        if isinstance(item, Overflow):
            first = self._pipeline.sequence + 1
            self._pipeline.sequence += item.records
            self.numbers.lose(item.connects)
            yield self._line(audit.overflow_event(item, first))
            return
        action = getattr(getattr(item, "event", None), "action", None)
        if action is Action.AUDIT_STOPPED:  # its numbers must add up
            for flood in self._floods(float("inf")):
                yield self._line(flood)
            yield from map(self._pipeline.line, self._afterwards())
        yield self._line(item)
        self._last = action

    def _line(self, event: Event) -> bytes:
        return self._pipeline.line(self.numbers.count(self._conceal(event)))

    def _write(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        self._checkpoints.count(len(lines))
        if self._file is not None:
            self._file.write(lines)
        for sink in self._sinks:
            deliver(sink, lines, self._faults)

    def _check(self) -> None:
        event = self.numbers.count(audit.checkpoint_event(self._checkpoints.records, self._checkpoints.key_id))
        self._write([self._pipeline.checkpoint_line(event, self._checkpoints.key)])
        self._checkpoints.made()

    def _recover(self, *, at_once: bool = False) -> None:
        outage = self._file.journal.retry(at_once=at_once) if self._file else None
        if outage is None:
            return
        self._on_recovery()
        self.numbers.lose_written(outage.connects, outage.folded)
        self._write([self._line(audit.outage_event(outage))])

    def _look_after(self, file: LogFile, now: float) -> None:
        cut = file.look()
        if cut is not None:
            first, sentence = cut
            self._faults.say(sentence)
            self._write([self._line(audit.truncated_event(first, self._pipeline.sequence))])
        since = file.journal.dirty_since
        if since is not None and now - since >= SYNC_SECONDS:
            file.journal.sync()
        if file.wants_rotation:
            if self._checkpoints.records:
                self._check()
            file.rotate()

    def _reload(self) -> None:
        """At SIGHUP: the last word of the key before, then the file and the key that are there now."""
        if self._checkpoints.records:
            self._check()
        for reload in self._reloads:
            try:
                reload()
            except SettingsError as error:  # what was read before stays
                self._faults.say(str(error))
        if self._file is not None:
            self._file.reopen()

    def _follow_failure(self) -> None:
        """Say once that the file can not be written, and once that it can again."""
        failure = self.failure
        if (failure is not None) == self._is_out or self._file is None:
            return
        self._is_out = failure is not None
        name = self._file.name
        self._faults.say(f"{name} can not be written: {failure}" if failure else f"{name} is written again")
