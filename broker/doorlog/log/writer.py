"""The log: events go in on the event loop, lines come out on a thread of its own, in order and accounted for."""

from __future__ import annotations

import atexit
import time
from math import isfinite
from threading import RLock, Thread
from typing import TYPE_CHECKING, Final, Self

from doorlog.errors import DoorlogError
from doorlog.log.backlog import Backlog
from doorlog.log.chain import NOTHING_BEFORE
from doorlog.log.commits import Commits
from doorlog.log.faults import Faults
from doorlog.log.flood import Floodgate
from doorlog.log.pipeline import Pipeline
from doorlog.log.scribe import Scribe
from doorlog.log.signing import Checkpoints
from doorlog.log.status import LogStatus
from doorlog.settings.log_models import LogSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from structlog.typing import Processor

    from doorlog.events.parts import ServicePart
    from doorlog.events.records import Event, FloodEvent
    from doorlog.log.faults import Fault
    from doorlog.log.log_file import LogFile
    from doorlog.log.sink import Sink

MAX_BATCH: Final = 32
"""Events between two writes. A write lets the event loop have the interpreter, so this bounds how long it waits."""
MAX_GROUP: Final = 512
"""Events between two fsyncs of mode ``strict``, as many as came meanwhile."""
GATHER_SECONDS: Final = 0.025
"""How long the first event of a batch waits for others: waking the thread for each costs more than writing it."""


class Log:
    """Records events. Also a context manager that starts and closes.

    Args:
        processors: turn an event into a line, see ``processors.record_processors``.
        sinks: each is given every line, in order, a batch at a time; closed with the log.
        service: which broker, for every record.
        faults: where faults of processors and sinks are counted.
        settings: what is promised of the log.
        file: the log file; None for none.
        afterwards: gives events that are to be written after those that were, on the log's thread: what the
            processors found out.
        conceal: hides names in an event, on the log's thread, before anything else looks at it.
        reloads: called by ``reload``, on the log's thread.

    Raises:
        SettingsError: the key that signs checkpoints can not be used.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        processors: Sequence[Processor],
        sinks: Sequence[Sink],
        *,
        service: ServicePart,
        faults: Faults | None = None,
        settings: LogSettings | None = None,
        file: LogFile | None = None,
        afterwards: Callable[[], Iterable[Event]] = lambda: (),
        conceal: Callable[[Event], Event] = lambda event: event,
        reloads: Sequence[Callable[[], None]] = (),
    ) -> None:
        settings = settings or LogSettings()
        self._settings = settings
        self._is_strict = settings.mode == "strict"
        self._faults = faults or Faults()
        self._sinks = tuple(sinks)
        tail = file.tail if file else None
        pipeline = Pipeline(
            processors,
            service,
            self._faults,
            sequence=tail.sequence if tail else 0,
            previous=tail.sha256 if tail else NOTHING_BEFORE,
        )
        self._scribe = Scribe(
            pipeline,
            self._sinks,
            self._faults,
            checkpoints=Checkpoints(settings.checkpoint),
            file=file,
            floods=self._floods,
            afterwards=afterwards,
            conceal=conceal,
            reloads=reloads,
            on_recovery=lambda: self._commits.reached(self._backlog.taken),
        )
        self._backlog = Backlog(settings.queue_records, self._pressed)
        self._commits = Commits()
        self._lock = RLock()  # re-entrant, as that of the backlog
        self._floodgate = Floodgate(settings.flood.after, settings.flood.window) if settings.folds else None
        # A daemon, so that a program which dies without close() ends; what it recorded is written all the same.
        self._thread = Thread(target=self._run, name="doorlog-log", daemon=True)
        self._on_pressure: Callable[[bool], None] = lambda _high: None
        self._on_failure: Callable[[str], None] = lambda _why: None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What went wrong so far, one for each sink that failed, for ``processors`` and for ``log``."""
        return self._faults.all()

    @property
    def backlog(self) -> int:
        """How many events wait for the writer thread."""
        return len(self._backlog)

    @property
    def admits(self) -> bool:
        """Whether anybody may be admitted: not while the file can not be written, unless the log is set to go on."""
        return self._settings.reaction == "continue" or self._scribe.failure is None

    @property
    def waits(self) -> bool:
        """Whether an answer has to wait for its record to be on disk."""
        return self._is_strict

    async def on_disk(self) -> bool:
        """Wait until all that was recorded so far is on disk, where mode ``strict`` asks for it.

        Returns:
            Whether it is; True at once in the other modes.
        """
        return await self._commits.wait(self._backlog.recorded) if self._is_strict else True

    def attach(
        self,
        *,
        accepted: Callable[[], int],
        on_pressure: Callable[[bool], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """Tell the log whom it serves; before the first connection.

        Args:
            accepted: Tells how many sockets were accepted so far.
            on_pressure: Told True when connections should be accepted more slowly, False when no more; any thread.
            on_failure: Told why, when the file can not be written and the broker is to stop; the log's thread.
        """
        self._scribe.numbers.accepted = accepted
        self._on_pressure = on_pressure
        self._on_failure = on_failure

    def start(self) -> None:
        """Start the writer thread; events recorded before wait for it. Once more does nothing."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
                atexit.register(self.close)

    def record(self, event: Event) -> bool:
        """Take an event: from any thread, in constant time, never waits for a sink, never raises.

        An event after ``close`` is counted as lost under ``log``.

        Returns:
            Whether it is to have a record of its own; False if it was only counted, for a ``flood``.
        """
        if self._floodgate is not None:
            with self._lock:
                if not self._floodgate.passes(event, time.monotonic()):
                    return False
        if not self._backlog.put(event):
            self._faults.add("log", DoorlogError("an event came after the log was closed"), lost=1)
        return True

    def reload(self) -> None:
        """Open the file at its path again, and read the keys again (SIGHUP)."""
        self._scribe.reload_wanted = True
        self._backlog.wake()

    def status(self) -> LogStatus:
        """Say how the log does, from any thread."""
        return LogStatus(
            mode=self._settings.mode,
            failure=self._scribe.failure,
            sequence=self._scribe.sequence,
            waiting=len(self._backlog),
            unwritten=self._scribe.unwritten,
            lag=self._backlog.lag(),
            sinks=tuple(sink.status() for sink in self._sinks if hasattr(sink, "status")),
        )

    def close(self) -> None:
        """Write everything recorded so far, close the sinks, and end the thread. Once more only waits."""
        self.start()
        self._backlog.close()
        self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        self._guarded(self._scribe.begin)
        while not self._backlog.is_over:
            self._guarded(self._turn)
        self._guarded(self._scribe.end)

    def _turn(self) -> None:
        gather = 0.0 if self._is_strict else GATHER_SECONDS
        items = self._backlog.take(MAX_BATCH, self._scribe.patience(), gather=gather)
        self._scribe.write(items)
        if self._is_strict:
            self._commit(len(items))
        self._scribe.tick()
        failure = self._scribe.failure
        if failure is not None and self._settings.reaction == "stop":
            self._on_failure(failure)

    def _commit(self, written: int) -> None:
        """Write what came meanwhile, then put all of it on disk at once: whoever waits shares one fsync."""
        while written < MAX_GROUP and (more := self._backlog.take(MAX_BATCH, 0.0)):
            self._scribe.write(more)
            written += len(more)
        ticket = self._backlog.taken
        if self._scribe.sync():
            self._commits.reached(ticket)
        else:
            self._commits.failed()

    def _floods(self, now: float) -> Iterable[FloodEvent]:
        """Return the floods whose window has ended; all that are open, for an infinite time."""
        if self._floodgate is None:
            return ()
        with self._lock:
            return self._floodgate.due(now) if isfinite(now) else self._floodgate.close()

    def _pressed(self, high: bool) -> None:  # noqa: FBT001 - what it says is its name
        if self._settings.mode != "best_effort":
            self._on_pressure(high)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Our own faults must not end the thread that everybody relies on."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - as above
            self._faults.add("log", error, lost=0)
            time.sleep(GATHER_SECONDS)  # whatever it is, it must not take the whole processor
