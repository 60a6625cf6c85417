"""What the monitor tells: the log, the door, all that was counted, the event loop and the devices."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from doorlog.application.cohort_counter import CohortCounter
from doorlog.application.loop_probe import LoopProbe
from doorlog.errors import DirectoryError
from doorlog.events.records import ConnectEvent
from doorlog.identity.overview import states
from doorlog.identity.store import open_to_read
from doorlog.watch.alert_rules import Sample
from doorlog.watch.tally import Counts, Durations, Tally
from doorlog.watch.witnesses import Witnesses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from doorlog.events.records import Event
    from doorlog.log.status import LogStatus
    from doorlog.settings.cohort_models import CohortSettings

DEVICES_SECONDS: Final = 60.0
"""How long the states of the devices are told again before the directory is asked once more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the monitor tells.

    Attributes:
        log: How the log does.
        accepted: Sockets accepted so far.
        connects: ``connect`` events so far.
        counts: What was counted.
        delays: How late the event loop came since the start.
        longest_delay: Seconds, of the last minute.
        devices: How many are in each state; None where no device is remembered, or nobody can tell.
        alerts: The rules of the alerts that fire, one name for each; None where no alerts are sent.
    """

    log: LogStatus
    accepted: int
    connects: int
    counts: Counts = field(default_factory=lambda: Tally(()).counts())
    delays: Durations = field(default_factory=lambda: LoopProbe().delays())
    longest_delay: float = 0.0
    devices: Mapping[str, int] | None = None
    alerts: tuple[str, ...] | None = None


class Instruments:
    """What measures a broker.

    Args:
        listeners: Their names.
        directory: The file of the device directory, if there is one.
        cohorts: Groups of devices that are counted apart.
        alerts: Whether alerts are told, which name devices.
    """

    def __init__(
        self,
        listeners: Iterable[str],
        directory: Path | None,
        cohorts: Iterable[CohortSettings] = (),
        *,
        alerts: bool = False,
    ) -> None:
        self.tally = Tally(listeners)
        self._witnesses = Witnesses() if alerts else None
        self.cohorts = CohortCounter(cohorts, self.tally, self._witnesses)
        self.probe = LoopProbe()
        self._devices = DeviceStates(directory) if directory is not None else None

    def counting(self, record: Callable[[Event], bool]) -> Callable[[Event], None]:
        """Return what counts an event and then records it: before the log folds repeats.

        Args:
            record: Says whether the event has a record of its own; False if it was folded.
        """

        def count_and_record(event: Event) -> None:
            self.tally.count(event)
            if not isinstance(event, ConnectEvent):
                record(event)
                return
            self.cohorts.count(event)
            if not record(event):
                self.cohorts.count_folded(event)

        return count_and_record

    def counting_refined(self, refine: Callable[[Event], Event]) -> Callable[[Event], Event]:
        """Return what refines an event and counts what only shows then, on the log's thread: gaps, and whose it was."""

        def refine_and_count(event: Event) -> Event:
            self.tally.count_gap(event)
            refined = refine(event)
            if isinstance(refined, ConnectEvent):
                self.cohorts.count_named(refined)
            return refined

        return refine_and_count

    def sample(self, log: LogStatus, new_certificates: frozenset[str]) -> Sample:
        """Return what alerts are decided by, on any thread."""
        moment = time.monotonic()
        witnesses = self._witnesses or Witnesses()
        return Sample(
            moment=moment,
            now=time.time(),
            counts=self.tally.counts(),
            unknown=witnesses.unknown(),
            devices=witnesses.devices(moment),
            failure=log.failure,
            lag=log.lag,
            new_certificates=new_certificates,
        )

    def facts(self, log: LogStatus, accepted: int, connects: int, alerts: tuple[str, ...] | None = None) -> Facts:
        """Return all facts, on the monitor's thread."""
        return Facts(
            log=log,
            accepted=accepted,
            connects=connects,
            counts=self.tally.counts(),
            delays=self.probe.delays(),
            longest_delay=self.probe.longest,
            devices=self._devices() if self._devices is not None else None,
            alerts=alerts,
        )


class DeviceStates:
    """Asks the directory how many devices are in each state; once a minute, however often it is asked.

    Args:
        path: The file of the directory.
        clock: Seconds that only ever grow.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._asked: float | None = None
        self._last: Mapping[str, int] | None = None

    def __call__(self) -> Mapping[str, int] | None:
        """Return how many devices are in each state; None where the directory can not be read."""
        now = self._clock()
        if self._asked is None or now - self._asked >= DEVICES_SECONDS:
            self._asked, self._last = now, self._read()
        return self._last

    def _read(self) -> Mapping[str, int] | None:
        try:
            with closing(open_to_read(self._path)) as connection:
                return {str(state): number for state, number in states(connection, time.time()).items()}
        except (DirectoryError, sqlite3.Error):
            return None
