"""The device directory of a running broker: lessons go in from any thread, one thread of its own writes them down."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, Self

from doorlog.errors import DirectoryError
from doorlog.identity.evidence import Departure, Sighting
from doorlog.identity.learner import Learner
from doorlog.identity.store import is_damaged, open_store, open_to_read, set_aside
from doorlog.identity.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from doorlog.identity.calibration import Calibration
    from doorlog.identity.evidence import Lesson
    from doorlog.identity.statistics import Statistics
    from doorlog.settings.models import DoorSettings

MOST_WAITING: Final = 50_000
"""Lessons of admitted devices; what comes beyond is dropped and counted. The log holds it: see ``devices rebuild``."""
MOST_FAILURES_WAITING: Final = 10_000
"""All else among them: anybody can fail as often as he likes, and must not crowd out what devices teach."""
GATHER_SECONDS: Final = 0.02
"""How long the first lesson waits for others, to be committed with them."""
_BATCH: Final = 2_000
_RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


def directory_path(settings: DoorSettings) -> Path | None:
    """Return the file of a configuration's device directory; None where no device is to be remembered."""
    if not settings.device.learn:
        return None
    file = settings.log.file
    return settings.device.directory or (file.path.with_name("devices.db") if file is not None else None)


class Directory:
    """What is known of the devices. Also a context manager that closes.

    Args:
        path: Its file. A damaged one is moved aside, and a new one begun: the log is the truth.
        remember: How many devices are kept.
        forget_days: How long an address is kept at which a device was not seen again, in days.
        hidden: Which names ``log.privacy`` hides, as ``client_id``: they are pseudonyms here, too.

    Attributes:
        view: What the resolver may ask; used by one thread at a time, whichever it is.
        statistics: What the fleet does as a rule.
        calibration: How true scores were.
        dropped: Lessons that could not be taken.

    Raises:
        DirectoryError: The file can not be used.
    """

    def __init__(
        self, path: Path, *, remember: int = 100_000, forget_days: float = 90.0, hidden: Sequence[str] = ()
    ) -> None:
        self._connection, self._learner = _open(path, remember, forget_days, hidden)
        self._version = self._data_version()
        self._reader = open_to_read(path)
        self.view = View(self._reader)
        self.dropped = 0
        self._waiting: deque[Lesson] = deque()
        self._is_busy = False
        self._is_hurried = False
        self._is_closing = False
        self._changed = Condition()
        self._said_fault = False
        self._thread = Thread(target=self._run, name="doorlog-directory", daemon=True)
        self._thread.start()

    @property
    def statistics(self) -> Statistics:
        """What the fleet does as a rule."""
        return self._learner.statistics

    @property
    def calibration(self) -> Calibration:
        """How true scores were."""
        return self._learner.calibration

    def learn(self, lesson: Lesson) -> None:
        """Take a lesson; never waits for the disk, never raises."""
        with self._changed:
            room = MOST_WAITING if isinstance(lesson, Sighting | Departure) else MOST_FAILURES_WAITING
            if len(self._waiting) >= room or self._is_closing:
                self.dropped += 1
                return
            self._waiting.append(lesson)
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was taken so far can be seen, or the directory is closed."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_closing or not (self._waiting or self._is_busy))

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._reader.close()
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the directory."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close it."""
        self.close()

    def _run(self) -> None:
        while lessons := self._next():
            self._write(lessons)
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _next(self) -> list[Lesson]:
        """Wait for lessons; none when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            self._changed.wait_for(lambda: self._is_hurried or self._is_closing, GATHER_SECONDS)
            self._is_hurried = False
            lessons = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._is_busy = bool(lessons)
            return lessons

    def _write(self, lessons: list[Lesson]) -> None:
        """Write a batch in one transaction; what can not be written is dropped and counted."""
        try:
            self._commit(lessons)
        except Exception as error:  # noqa: BLE001 - nothing may end the thread that flush waits for
            self.dropped += len(lessons)
            if not self._said_fault:
                _log.warning("the device directory can not be written: %s; devices are learned no more", error)
            self._said_fault = True
        else:
            if self._said_fault:
                _log.warning("the device directory is written again; doorlog devices rebuild gives what is missing")
            self._said_fault = False

    def _commit(self, lessons: list[Lesson]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._version != (version := self._data_version()):
                self._version = version
                self._learner.reload()
            for lesson in lessons:
                self._learner.learn(lesson)
            self._learner.store_counters()
            self._connection.execute("COMMIT")
        except BaseException:
            self._version = -1  # what was counted and not written is counted anew
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _data_version(self) -> int:
        """Return a number that changes when another program writes the directory."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def _open(path: Path, remember: int, forget_days: float, hidden: Sequence[str]) -> tuple[sqlite3.Connection, Learner]:
    try:
        return _begun(path, remember, forget_days, hidden)
    except DirectoryError as error:
        if not is_damaged(error):
            raise
        aside = set_aside(path)
        _log.warning("%s; it is now %s, and a new one is begun: doorlog devices rebuild", error, aside)
        return _begun(path, remember, forget_days, hidden)


def _begun(path: Path, remember: int, forget_days: float, hidden: Sequence[str]) -> tuple[sqlite3.Connection, Learner]:
    """Open a directory and read its counters: what is damaged beyond its first page shows only then."""
    connection = open_store(path)
    try:
        learner = Learner(connection, remember=remember, forget_days=forget_days)
        learner.begin_run(hidden)
    except sqlite3.Error as error:
        connection.close()
        raise DirectoryError(f"the device directory {path} can not be read: {error}") from error
    return connection, learner
