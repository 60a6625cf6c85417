"""Names the device of every event on the log's thread, and hands what is to be learned to the directory."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Protocol

from doorlog.events.changes import changed
from doorlog.events.codes import Action
from doorlog.events.parts import (
    UNKNOWN_DEVICE,
    CandidatePart,
    DeviceEvidencePart,
)
from doorlog.events.records import Connection, Event
from doorlog.identity.confirmations import Confirmations, confirmed_event
from doorlog.identity.evidence import (
    Departure,
    Evidence,
    Failure,
    Serving,
    Whose,
    evidence_of,
    is_admission,
    is_failure,
    sighting_of,
)
from doorlog.identity.gathering import around, at_address
from doorlog.identity.recent import Recent
from doorlog.identity.resolve import Fleet, Resolution, resolve
from doorlog.identity.stated import Statement, named, stated
from doorlog.identity.words import claim_reason, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorlog.identity.calibration import Calibration
    from doorlog.identity.evidence import Lesson
    from doorlog.identity.statistics import Statistics
    from doorlog.identity.view import View
    from doorlog.settings.models import DeviceSettings

MOST_CONFIRMED: Final = 1_000
"""Confirmations that wait to be recorded."""
_FRESH_SECONDS: Final = 1.0
_EXAM_SECONDS: Final = 60.0
_LEAST_IN_ALL, _LEAST_SHARE = 0.5, 0.05  # probability of the candidates, and of one, for a failure to be noted of it

_log = logging.getLogger(__name__)


class Knowledge(Protocol):
    """What naming needs of a directory."""

    view: View

    @property
    def statistics(self) -> Statistics:
        """What the fleet does as a rule."""
        ...

    @property
    def calibration(self) -> Calibration:
        """How true scores were."""
        ...

    def learn(self, lesson: Lesson) -> None:
        """Take a lesson."""
        ...


class Naming:
    """Names devices. For one thread, as all that refines events.

    Args:
        settings: Where a device's id is taken from, and how many candidates a record may have.
        directory: What is known of the devices; None to go by what each event says itself.

    Attributes:
        directory: The same; may be set before the first event.
    """

    def __init__(self, settings: DeviceSettings, directory: Knowledge | None = None) -> None:
        self._id_source = settings.id
        self._most = settings.candidates
        self.directory = directory
        self._connected: Counter[str] = Counter()
        self._recent = Recent(_FRESH_SECONDS)
        self._exams = Recent(_EXAM_SECONDS)
        self._confirmations = Confirmations()
        self._confirmed: deque[Event] = deque(maxlen=MOST_CONFIRMED)
        self._said_fault = False

    def __call__(self, event: Event) -> Event:
        """Return the event with the device that it is about, or could be about; never raises for a broken directory."""
        if not isinstance(event, Connection) or event.event.action is Action.DEVICE_CONFIRMED:
            return event
        statement = stated(event, self._id_source)
        if self.directory is not None:
            try:
                return self._with_directory(event, statement, self.directory)
            except sqlite3.Error as error:
                self._say_fault(error)
        return named(event, statement)

    def afterwards(self) -> list[Event]:
        """Return the events that identity itself has to record by now: ``device_confirmed``."""
        confirmed = list(self._confirmed)
        self._confirmed.clear()
        return confirmed

    def _with_directory(self, event: Connection, statement: Statement | None, directory: Knowledge) -> Connection:
        if is_admission(event):
            if statement is not None and statement.evidence.confidence == "certain":
                self._admit(event, statement.device, directory)
        elif event.event.action is Action.DISCONNECT:
            if statement is not None:
                self._dismiss(event, statement.device, directory)
        elif is_failure(event):
            return self._fail(event, statement, directory)
        return named(event, statement)

    def _evidence_of(self, event: Connection, directory: Knowledge) -> Evidence:
        """Return what an attempt shows, with the time from which on its certificate was served."""
        evidence = evidence_of(event)
        if evidence.served is None:
            return evidence
        since = directory.statistics.served.get(evidence.served)
        if since is None:
            since = evidence.moment
            directory.learn(Serving(evidence.served, since))
        return evidence._replace(served_since=since)

    # Admitted devices teach.

    def _admit(self, event: Connection, device: str, directory: Knowledge) -> None:
        evidence = self._evidence_of(event, directory)
        exam = self._examined(evidence, device, directory)
        sighting = sighting_of(event, device, evidence)
        directory.learn(sighting._replace(overlapped=device in self._connected, exam=exam))
        self._connected[device] += 1
        if self._confirmations.awaits(evidence) and not directory.view.has_another(
            evidence.place, evidence.look, device
        ):
            confirmed = self._confirmations.explain(evidence, device)
            if confirmed is not None:
                self._confirmed.append(confirmed_event(event, device, confirmed))

    def _examined(self, evidence: Evidence, device: str, directory: Knowledge) -> tuple[float, bool] | None:
        """Ask whom the resolver would have named, had the device not said who it is; once a minute for each place."""
        if evidence.look is None or self._exams.answer(evidence) is not None:
            return None
        self._exams.remember(evidence, UNKNOWN_DEVICE)
        found = self._resolved(evidence, directory)
        return (found.score, found.candidates[0].known.id == device) if found.candidates else None

    def _dismiss(self, event: Connection, device: str, directory: Knowledge) -> None:
        directory.learn(Departure(device, event.timestamp.timestamp()))
        self._connected[device] -= 1
        if self._connected[device] <= 0:
            del self._connected[device]

    # Failures teach nothing: they are noted where no resolution looks.

    def _fail(self, event: Connection, statement: Statement | None, directory: Knowledge) -> Connection:
        evidence = self._evidence_of(event, directory)
        whose = Whose.OWN
        if statement is not None and statement.evidence.method in ("client_id", "user_name"):
            statement, whose = self._weighed(statement, evidence, directory)
        elif statement is not None:
            statement, whose = self._known_by_certificate(event, statement, evidence, directory)
        if statement is None:
            statement, part = self._found(evidence, directory)
            self._confirmations.remember(evidence, event.doorlog.connection_id or "", statement and statement.device)
            if statement is None:
                for one in _noted(part, evidence, directory):
                    _note(event, one, Whose.ONE_OF_SEVERAL, directory)
                return _with_candidates(event, part)
        _note(event, statement, whose, directory)
        return named(event, statement)

    def _weighed(self, claim: Statement, evidence: Evidence, directory: Knowledge) -> tuple[Statement, Whose]:
        """Say what else speaks for, or against, a name that was written and not proved, and whose it is then."""
        known = directory.view.device(claim.device, evidence.place)
        reason, is_plausible = claim_reason(evidence, known)
        part = changed(claim.evidence, evidence=(*claim.evidence.evidence, reason))
        return Statement(claim.device, part), Whose.OWN if is_plausible else Whose.CLAIMED

    def _known_by_certificate(
        self, event: Connection, statement: Statement, evidence: Evidence, directory: Knowledge
    ) -> tuple[Statement | None, Whose]:
        """Give the device by its own id where it was admitted with this certificate; None where several were.

        Any other name in a certificate that nobody vouches for is a claim, as one in a refused CONNECT is.
        """
        client = event.tls.client if event.tls is not None else None
        if client is not None and client.hash is not None:
            holders = directory.view.holders_of_certificate(client.hash.sha256)
            if holders:
                return (Statement(holders[0], statement.evidence) if len(holders) == 1 else None), Whose.OWN
        imported = directory.view.with_serial(statement.device)
        found = Statement(imported, statement.evidence) if imported else statement
        if found.evidence.confidence == "certain":
            return found, Whose.OWN
        return self._weighed(found, evidence, directory)

    def _found(self, evidence: Evidence, directory: Knowledge) -> tuple[Statement | None, DeviceEvidencePart | None]:
        """Find the device of an attempt that says nothing of it."""
        holder = directory.view.holder_of_ticket(evidence.tickets) if evidence.tickets else None
        if holder is not None:
            return Statement(holder, _TICKET_USED if evidence.resumed else _TICKET_OFFERED), None
        part = self._recent.answer(evidence)
        if part is None:
            part = self._answer(evidence, self._resolved(evidence, directory))
            self._recent.remember(evidence, part)
        if part.confidence == "likely" and part.candidates:
            return Statement(part.candidates[0].id, part), None
        return None, part

    def _answer(self, evidence: Evidence, resolution: Resolution) -> DeviceEvidencePart:
        """Say what a resolution found."""
        if resolution.confidence == "unknown":
            return UNKNOWN_DEVICE
        return DeviceEvidencePart(
            method="address" if evidence.look is None else "address_and_client_hello",
            confidence=resolution.confidence,
            evidence=reasons(evidence, resolution, self._connected),
            candidates=tuple(
                CandidatePart(id=known.id, score=round(score, 4)) for known, score in resolution.candidates
            ),
        )

    def _resolved(self, evidence: Evidence, directory: Knowledge) -> Resolution:
        """Ask for the devices at the address; and if none of them is likely, for those around it, too."""
        view, statistics = directory.view, directory.statistics
        fleet = Fleet(statistics, directory.calibration, self._connected)
        devices, crowd = at_address(evidence, view, statistics)
        resolution = resolve(evidence, devices, fleet, crowd=crowd, most=self._most)
        if resolution.confidence != "likely" and evidence.place.address:
            devices, crowd = around(evidence, devices, view, statistics)
            resolution = resolve(evidence, devices, fleet, crowd=crowd, most=self._most)
        return resolution

    def _say_fault(self, error: sqlite3.Error) -> None:
        if not self._said_fault:
            _log.warning("the device directory can not be read: %s; devices are named by what they say alone", error)
        self._said_fault = True


_TICKET_USED: Final = DeviceEvidencePart(
    method="resumption_ticket",
    confidence="certain",
    evidence=("resumed the TLS session that was issued to this device",),
)
_TICKET_OFFERED: Final = DeviceEvidencePart(
    method="resumption_ticket",
    confidence="likely",
    evidence=("offered to resume a TLS session that was issued to this device",),
)


def _noted(part: DeviceEvidencePart | None, evidence: Evidence, directory: Knowledge) -> Iterator[Statement]:
    """Yield the devices of which it is to be told that an attempt may have been theirs.

    None that looks otherwise, since it was more likely a stranger behind the same router; and of a crowd, none.
    """
    candidates = (part.candidates if part is not None else None) or ()
    if part is None or evidence.look is None or sum(one.score for one in candidates) < _LEAST_IN_ALL:
        return
    for one in candidates:
        known = directory.view.device(one.id, evidence.place) if one.score >= _LEAST_SHARE else None
        if known is not None and known.look == evidence.look:
            yield Statement(one.id, part)


def _note(event: Connection, statement: Statement, whose: Whose, directory: Knowledge) -> None:
    failure = Failure(
        statement.device,
        event.timestamp.timestamp(),
        event.event.code or "",
        statement.evidence.confidence,
        statement.evidence.method or "",
        event.doorlog.connection_id or "",
        whose,
    )
    directory.learn(failure)


def _with_candidates(event: Connection, part: DeviceEvidencePart | None) -> Connection:
    if part is None or part is UNKNOWN_DEVICE:
        return named(event, None)
    return changed(event, device=None, doorlog=changed(event.doorlog, device=part))
