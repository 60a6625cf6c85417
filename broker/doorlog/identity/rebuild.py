"""The directory made anew from the log, which is the truth: all events go the way that they went when they happened."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from doorlog.errors import DirectoryError
from doorlog.events.records import Connection
from doorlog.identity.learner import Learner
from doorlog.identity.naming import Naming
from doorlog.identity.store import LEARNED, open_store
from doorlog.identity.view import View

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.events.records import Event
    from doorlog.identity.calibration import Calibration
    from doorlog.identity.evidence import Lesson
    from doorlog.identity.statistics import Statistics
    from doorlog.settings.models import DeviceSettings

_BETWEEN_COMMITS: Final = 20_000


class Rebuild:
    """A directory that is being made anew beside the old one; the old one stays in use until ``replace``.

    Args:
        path: The directory.
        settings: Where a device's id is taken from, and how many are remembered.

    Attributes:
        view: As of ``Directory``; here, what was learned is seen at once.
        sightings: How many admissions it has learned from.

    Raises:
        DirectoryError: The file can not be made.
    """

    def __init__(self, path: Path, settings: DeviceSettings) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.rebuild")
        self._remove()
        self._connection = open_store(self._beside)
        self._connection.execute("PRAGMA synchronous = OFF")  # it is thrown away if it is not finished
        self._learner = Learner(self._connection, remember=settings.remember, forget_days=settings.forget_days)
        self._naming = Naming(settings, self)
        self.view = View(self._connection)
        self.sightings = 0
        self._until_commit = _BETWEEN_COMMITS
        self._connection.execute("BEGIN")

    @property
    def statistics(self) -> Statistics:
        """What the fleet does as a rule."""
        return self._learner.statistics

    @property
    def calibration(self) -> Calibration:
        """How true scores were."""
        return self._learner.calibration

    def learn(self, lesson: Lesson) -> None:
        """Take a lesson at once."""
        self._learner.learn(lesson)

    def take(self, event: Event) -> None:
        """Take an event of the log; in their order."""
        if not isinstance(event, Connection):
            return
        before = self.statistics.sums.get("admissions", 0.0)
        self._naming(event)
        self._naming.afterwards()
        self.sightings += self.statistics.sums.get("admissions", 0.0) > before
        self._until_commit -= 1
        if not self._until_commit:
            self._until_commit = _BETWEEN_COMMITS
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")

    def replace(self) -> int:
        """Put what was learned in the place of what the old directory had; what was imported stays.

        Returns:
            How many devices are known now.

        Raises:
            DirectoryError: The old directory can not be written.
        """
        self._learner.store_counters()
        self._connection.execute("COMMIT")
        self._connection.close()
        target = open_store(self._path)
        try:
            target.execute("PRAGMA foreign_keys = OFF")
            target.execute("ATTACH ? AS made", (str(self._beside),))
            target.execute("BEGIN IMMEDIATE")
            for table in LEARNED:
                target.execute(f"DELETE FROM main.{table}")  # noqa: S608 - a name of ours
                target.execute(f"INSERT INTO main.{table} SELECT * FROM made.{table}")  # noqa: S608 - as above
            target.execute("COMMIT")
            return int(target.execute("SELECT count(*) FROM device").fetchone()[0])
        except sqlite3.Error as error:
            raise DirectoryError(f"the device directory {self._path} can not be replaced: {error}") from error
        finally:
            target.close()

    def __enter__(self) -> Self:
        """Return the rebuild."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove what is left."""
        self._connection.close()
        self._remove()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._beside.with_name(self._beside.name + suffix).unlink()
