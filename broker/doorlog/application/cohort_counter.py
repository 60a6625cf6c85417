"""Counts attempts by cohort: at once where the attempt shows it, else once its device has been named."""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from doorlog.events.codes import Outcome
from doorlog.settings.cohort_models import MOST_COHORTS, SITE_PREFIX
from doorlog.watch.alert_rules import REFUSALS
from doorlog.watch.cohorts import NOBODY, Cohorts, Owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from doorlog.events.records import ConnectEvent
    from doorlog.settings.cohort_models import CohortSettings
    from doorlog.watch.tally import Tally
    from doorlog.watch.witnesses import Key, Witnesses

FRESH_SECONDS: Final = 10.0
"""How long what the directory said of a device is believed: an import has effect within this time."""
MOST_ASKED: Final = 2_000
"""Devices, or sets of candidates, of which it is believed meanwhile."""
MOST_REMEMBERED: Final = 10_000
"""Failed attempts that look alike whose owners are remembered."""

_Likeness = tuple[str | None, ...]


class Knowledge(Protocol):
    """What is asked of the device directory, on the log's thread."""

    def owners(self, names: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Return site and last user name of those devices that are known."""
        ...

    def sites(self, most: int) -> list[str]:
        """Return the sites of the inventory."""
        ...


class CohortCounter:
    """Counts attempts by cohort, each once in each of its cohorts.

    A repeat that the log folds is never named: it counts for the owners of the last attempt that looked like it.

    Args:
        cohorts: Those that the operator named.
        tally: Counts.
        witnesses: Remembers devices whose last attempt failed; None where nobody asks for them.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        cohorts: Iterable[CohortSettings],
        tally: Tally,
        witnesses: Witnesses | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cohorts = Cohorts(cohorts)
        self._tally = tally
        self._witnesses = witnesses
        self._clock = clock
        self._knowledge: Knowledge | None = None
        self._asked: dict[tuple[str, ...], Owners] = {}  # for the log's thread alone
        self._asked_at = 0.0
        self._alike: OrderedDict[_Likeness, tuple[Owners, str | None]] = OrderedDict()
        tally.know_cohorts(self._cohorts.names)

    def attach(self, knowledge: Knowledge) -> None:
        """Take a directory of devices; before the first attempt."""
        self._knowledge = knowledge
        try:
            self._tally.know_cohorts(f"{SITE_PREFIX}{site}" for site in knowledge.sites(MOST_COHORTS))
        except sqlite3.Error:
            return  # naming says what is wrong with it

    def count(self, event: ConnectEvent) -> None:
        """Count an attempt for the cohorts that it shows; on any thread."""
        self._count(self._cohorts.shown(event), event)

    def count_folded(self, event: ConnectEvent) -> None:
        """Count an attempt that nobody will name for the cohorts of those that looked like it; on any thread."""
        owners, device = self._alike.get(_likeness(event), (NOBODY, None))
        owned = self._cohorts.owned(event, owners)
        self._witness(owned, device, event)
        self._count(owned, event)

    def count_named(self, event: ConnectEvent) -> None:
        """Count an attempt for the cohorts of its device; on the log's thread, after the device was named."""
        owners = self._owners(_devices(event))
        device = event.device.id if event.device is not None and owners.sites else None
        if event.event.outcome is Outcome.FAILURE:  # nothing else is folded
            self._remember(_likeness(event), owners, device)
        owned = self._cohorts.owned(event, owners)
        self._witness(owned, device, event)  # first: what is counted can be named
        self._count(owned, event)

    def _remember(self, likeness: _Likeness, owners: Owners, device: str | None) -> None:
        self._alike[likeness] = (owners, device)
        self._alike.move_to_end(likeness)
        if len(self._alike) > MOST_REMEMBERED:
            self._alike.popitem(last=False)

    def _witness(self, owned: tuple[str, ...], device: str | None, event: ConnectEvent) -> None:
        """Remember who failed, as far as it is a device that is known from before."""
        if self._witnesses is None:
            return
        keys: list[Key] = [("cohort", cohort) for cohort in (*self._cohorts.shown(event), *owned)]
        listener: Key = ("listener", event.doorlog.listener or "")
        if event.event.outcome is Outcome.FAILURE:
            refused = [listener] if event.event.code in REFUSALS else []
            self._witnesses.failed([*keys, *refused], device, self._clock())
        elif device is not None:
            self._witnesses.admitted([*keys, listener], device)

    def _count(self, cohorts: tuple[str, ...], event: ConnectEvent) -> None:
        if cohorts:
            self._tally.count_cohorts(cohorts, str(event.event.outcome))

    def _owners(self, devices: tuple[str, ...]) -> Owners:
        if self._knowledge is None or not devices:
            return NOBODY
        now = self._clock()
        if now - self._asked_at >= FRESH_SECONDS or len(self._asked) >= MOST_ASKED:
            self._asked, self._asked_at = {}, now
        found = self._asked.get(devices)
        if found is None:
            found = self._ask(self._knowledge, devices)
            if found.sites:  # a device that is not known may be learned at any moment
                self._asked[devices] = found
        return found

    def _ask(self, knowledge: Knowledge, devices: tuple[str, ...]) -> Owners:
        try:
            owners = knowledge.owners(devices)
        except sqlite3.Error:
            return NOBODY  # naming says what is wrong with it
        return Owners(frozenset(site for site, _ in owners), frozenset(user for _, user in owners))


def _devices(event: ConnectEvent) -> tuple[str, ...]:
    """Return the device of an attempt, or all that it could have been of."""
    if event.device is not None:
        return (event.device.id,)
    part = event.doorlog.device
    return tuple(candidate.id for candidate in part.candidates or ()) if part is not None else ()


def _likeness(event: ConnectEvent) -> _Likeness:
    client = event.tls.client if event.tls is not None else None
    return (
        event.source.ip,
        event.mqtt.client_id if event.mqtt is not None else None,
        client.ja4 if client is not None else None,
        client.server_name if client is not None else None,
        client.hash.sha256 if client is not None and client.hash is not None else None,
    )
