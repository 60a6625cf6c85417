"""The directory made anew from the log, which is the truth: all events go the way that they went when they happened."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from doorlog.errors import DirectoryError
from doorlog.events.codes import Action
from doorlog.events.records import Connection
from doorlog.identity.evidence import Sighting
from doorlog.identity.learner import Learner
from doorlog.identity.naming import Naming
from doorlog.identity.store import LEARNED, is_damaged, open_store, open_to_read, set_aside
from doorlog.identity.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.events.records import Event
    from doorlog.identity.calibration import Calibration
    from doorlog.identity.evidence import Lesson
    from doorlog.identity.statistics import Statistics
    from doorlog.settings.models import DeviceSettings

_BETWEEN_COMMITS: Final = 20_000
_WHICH: Final = {"statistic": "WHERE key <> 'hidden'"}
"""Rows of a table that the log gives again: what ``log.privacy`` hides, only the broker's settings say."""
_COPY: Final = [
    statement
    for table in LEARNED
    for statement in (
        f"DELETE FROM kept.{table} {_WHICH.get(table, '')}",  # noqa: S608 - names of ours
        f"INSERT INTO kept.{table} SELECT * FROM main.{table} {_WHICH.get(table, '')}",  # noqa: S608 - as above
    )
]


class Rebuild:
    """A directory that is being made anew beside the old one; the old one stays in use until ``replace``.

    Args:
        path: The directory.
        settings: Where a device's id is taken from, and how many are remembered.

    Attributes:
        view: As of ``Directory``; here, what was learned is seen at once.
        sightings: How many admissions it has learned from.

    Raises:
        DirectoryError: The file can not be made, or the old one is none of ours.
    """

    def __init__(self, path: Path, settings: DeviceSettings) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.rebuild")
        self._settings = settings
        _expect_replaceable(path)
        self._remove()
        self._connection = open_store(self._beside)
        with _telling(self._beside):
            self._connection.execute("PRAGMA journal_mode = OFF")  # it is thrown away if it is not finished
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute("BEGIN")
        self._learner = Learner(self._connection, remember=settings.remember, forget_days=settings.forget_days)
        self._naming = Naming(settings, self)
        self.view = View(self._connection)
        self.sightings = 0
        self._until_commit = _BETWEEN_COMMITS

    @property
    def statistics(self) -> Statistics:
        """What the fleet does as a rule."""
        return self._learner.statistics

    @property
    def calibration(self) -> Calibration:
        """How true scores were."""
        return self._learner.calibration

    def learn(self, lesson: Lesson) -> None:
        """Take a lesson at once.

        Raises:
            DirectoryError: It can not be written. A broker goes on without what it can not write down; what takes the
                place of a whole directory must be whole.
        """
        with _telling(self._beside):
            self._learner.learn(lesson)
        self.sightings += isinstance(lesson, Sighting)

    def take(self, event: Event) -> None:
        """Take an event of the log; in their order.

        Raises:
            DirectoryError: What it teaches can not be written.
        """
        if isinstance(event, Connection):
            self._naming(event)
            self._naming.afterwards()
            self._until_commit -= 1
        elif event.event.action is Action.AUDIT_STARTED:
            self._begin_run()
        if not self._until_commit:
            self._until_commit = _BETWEEN_COMMITS
            with _telling(self._beside):
                self._connection.execute("COMMIT")
                self._connection.execute("BEGIN")

    def replace(self) -> tuple[int, Path | None]:
        """Put what was learned in the place of what the old directory had; what was imported stays.

        Returns:
            How many devices are known now; and where the old directory is, if it was damaged and had to be moved, with
            all that was imported.

        Raises:
            DirectoryError: The old directory can not be written; it is as it was.
        """
        with _telling(self._beside):
            self._learner.store_counters()
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA foreign_keys = OFF")
        try:
            return self._copied(), None
        except DirectoryError as error:
            if not is_damaged(error):
                raise
        aside = set_aside(self._path)
        return self._copied(), aside

    def __enter__(self) -> Self:
        """Return the rebuild."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove what is left."""
        self._connection.close()
        self._remove()

    def _begin_run(self) -> None:
        """A broker begins: it knows of no session, and of no failure that waits for an explanation."""
        with _telling(self._beside):
            self._learner.begin_run()
        self._naming = Naming(self._settings, self)

    def _copied(self) -> int:
        """Copy in one transaction, over this very connection: another rebuild may have taken the file's name."""
        open_store(self._path).close()
        execute = self._connection.execute
        with _telling(self._path):
            execute("ATTACH ? AS kept", (str(self._path.absolute()),))
            try:
                execute("BEGIN IMMEDIATE")
                for statement in _COPY:
                    execute(statement)
                execute("COMMIT")
                return int(execute("SELECT count(*) FROM kept.device").fetchone()[0])
            finally:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                execute("DETACH kept")

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._beside.with_name(self._beside.name + suffix).unlink()


def _expect_replaceable(path: Path) -> None:
    """Raise before the log is read if the old directory could not be replaced afterwards; a damaged one can."""
    try:
        if path.exists() and path.stat().st_size:
            open_to_read(path).close()
    except DirectoryError as error:
        if not is_damaged(error):
            raise


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DirectoryError(f"the device directory {path} can not be written: {error}") from error
