"""Counts every event for the metrics; no label of a count is chosen by a client, and none has many values."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action, Code, DisconnectCause, GapCause
from doorlog.events.records import (
    AuditEvent,
    AuthorizeEvent,
    CertificateEvent,
    ConnectEvent,
    DisconnectEvent,
)
from doorlog.settings.cohort_models import MOST_COHORTS, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from doorlog.events.parts import TlsPart
    from doorlog.events.records import Event

MOST_GENERATIONS: Final = 8
"""Generations of one listener's certificate that are counted apart: the latest."""
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of durations in seconds; ``limits.attempt_timeout`` is 10 s by default."""

_CODES: Final = frozenset(str(code) for code in Code)
_CAUSES: Final = frozenset(str(cause) for cause in DisconnectCause)
_GAPS: Final = frozenset(str(cause) for cause in GapCause)
_BILLION: Final = 1e9


@dataclass(frozen=True, slots=True)
class Served:
    """What a listener serves.

    Attributes:
        generation: Its number, from 1.
        not_after: When it expires, seconds since 1970, UTC; None if it does not say.
    """

    generation: int
    not_after: float | None


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram.

    Attributes:
        buckets: How many were at most as long as each of ``BOUNDS``, and how many there were.
        total: Their sum in seconds.
    """

    buckets: tuple[int, ...]
    total: float


@dataclass(slots=True)
class _Histogram:
    """Durations as they come."""

    numbers: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, nanoseconds: int) -> None:
        seconds = nanoseconds / _BILLION
        self.numbers[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def durations(self) -> Durations:
        return Durations(tuple(accumulate(self.numbers)), self.seconds)


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything counted so far.

    Attributes:
        attempts: By listener, stage, code and outcome; each accepted socket once.
        durations: From accept to verdict, by listener and outcome.
        handshakes: From the ClientHello to the end of a completed TLS handshake, by listener.
        cohorts: Attempts by cohort and outcome; one attempt may be in several cohorts, or in none.
        generations: Attempts to whom a certificate was served, by listener, generation and outcome.
        disconnects: By listener and cause.
        refusals: What devices were refused to do, by listener and kind.
        sessions: Admitted and not yet ended, by listener.
        served: By listener.
        gaps: ``audit_gap`` records by cause.
        missing: Records that these say are missing, by cause.
    """

    attempts: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    handshakes: dict[tuple[str], Durations] = field(default_factory=dict)
    cohorts: dict[tuple[str, str], int] = field(default_factory=dict)
    generations: dict[tuple[str, str, str], int] = field(default_factory=dict)
    disconnects: dict[tuple[str, str], int] = field(default_factory=dict)
    refusals: dict[tuple[str, str], int] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)


class Tally:
    """Counts events. Told on any thread, asked from any other; a few microseconds for each event.

    Args:
        listeners: The names that the operator gave; any other one is counted as ``other``.
    """

    def __init__(self, listeners: Iterable[str]) -> None:
        self._listeners = frozenset(listeners)
        self._lock = Lock()
        self._attempts: Counter[tuple[str, str, str, str]] = Counter()
        self._durations: defaultdict[tuple[str, str], _Histogram] = defaultdict(_Histogram)
        self._handshakes: defaultdict[tuple[str], _Histogram] = defaultdict(_Histogram)
        self._cohorts: dict[str, Counter[str]] = {}
        self._generations: dict[str, dict[int, Counter[str]]] = {}
        self._disconnects: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._sessions: Counter[str] = Counter(dict.fromkeys(self._listeners, 0))
        self._served: dict[str, Served] = {}
        self._gaps: Counter[str] = Counter(dict.fromkeys(_GAPS, 0))
        self._missing: Counter[str] = Counter(dict.fromkeys(_GAPS, 0))

    def count(self, event: Event) -> None:
        """Count an event that was not yet folded; a ``flood`` is none, what it stands for was counted before."""
        with self._lock:
            if isinstance(event, ConnectEvent):
                self._attempt(event)
            elif isinstance(event, DisconnectEvent):
                listener = self._listener(event)
                self._disconnects[listener, _known(event.event.code, _CAUSES)] += 1
                self._sessions[listener] -= 1
            elif isinstance(event, AuthorizeEvent):
                self._refusals[self._listener(event), event.doorlog.authorize or OTHER] += 1
            elif isinstance(event, CertificateEvent):
                self._certificate(event)

    def know_cohorts(self, cohorts: Iterable[str]) -> None:
        """Tell of cohorts from now on, even if nobody of them comes; as many as are counted apart."""
        with self._lock:
            for cohort in cohorts:
                self._cohort(cohort)

    def count_cohorts(self, cohorts: Iterable[str], outcome: str) -> None:
        """Count an attempt for the cohorts that it is in.

        Args:
            cohorts: Names that the operator chose; more than 200 different ones are counted as ``other``.
            outcome: ``success`` or ``failure``.
        """
        with self._lock:
            for cohort in cohorts:
                self._cohort(cohort)[outcome] += 1

    def count_gap(self, event: Event) -> None:
        """Count what the log says of itself: ``audit_gap``; on the log's thread, where it is made."""
        if isinstance(event, AuditEvent) and event.event.action is Action.AUDIT_GAP:
            gap, cause = event.doorlog.gap, _known(event.event.code, _GAPS)
            with self._lock:
                self._gaps[cause] += 1
                self._missing[cause] += (gap.records or 0) if gap is not None else 0

    def counts(self) -> Counts:
        """Return everything counted so far."""
        with self._lock:
            return Counts(
                attempts=dict(self._attempts),
                durations={key: found.durations() for key, found in self._durations.items()},
                handshakes={key: found.durations() for key, found in self._handshakes.items()},
                cohorts={
                    (cohort, outcome): number
                    for cohort, outcomes in self._cohorts.items()
                    for outcome, number in outcomes.items()
                },
                generations={
                    (listener, str(generation), outcome): number
                    for listener, generations in self._generations.items()
                    for generation, outcomes in generations.items()
                    for outcome, number in outcomes.items()
                },
                disconnects=dict(self._disconnects),
                refusals=dict(self._refusals),
                sessions=dict(self._sessions),
                served=dict(self._served),
                gaps=dict(self._gaps),
                missing=dict(self._missing),
            )

    def _cohort(self, cohort: str) -> Counter[str]:
        if cohort not in self._cohorts and len(self._cohorts) >= MOST_COHORTS:
            cohort = OTHER
        return self._cohorts.setdefault(cohort, Counter(success=0, failure=0))

    def _listener(self, event: Event) -> str:
        name = event.doorlog.listener
        return name if name in self._listeners and name is not None else OTHER

    def _attempt(self, event: ConnectEvent) -> None:
        listener, what = self._listener(event), event.event
        code, outcome, stage = _known(what.code, _CODES), str(what.outcome), event.doorlog.stage
        self._attempts[listener, str(stage) if stage is not None else OTHER, code, outcome] += 1
        self._sessions[listener] += code == Code.ADMITTED
        if what.duration is not None:
            self._durations[listener, outcome].add(what.duration)
        if event.tls is not None:
            self._attempt_over_tls(event.tls, listener, outcome)

    def _attempt_over_tls(self, tls: TlsPart, listener: str, outcome: str) -> None:
        if tls.handshake_duration is not None:
            self._handshakes[(listener,)].add(tls.handshake_duration)
        if tls.server is not None and tls.server.generation is not None:
            self._outcomes(listener, tls.server.generation)[outcome] += 1

    def _certificate(self, event: CertificateEvent) -> None:
        server, listener = event.tls.server, self._listener(event)
        if event.event.action is Action.CERTIFICATE_SERVED and server is not None and server.generation is not None:
            not_after = server.x509.not_after.timestamp() if server.x509 is not None else None
            self._served[listener] = Served(server.generation, not_after)
            self._outcomes(listener, server.generation)

    def _outcomes(self, listener: str, generation: int) -> Counter[str]:
        generations = self._generations.setdefault(listener, {})
        found = generations.get(generation)
        if found is None:
            found = generations[generation] = Counter(success=0, failure=0)
            if len(generations) > MOST_GENERATIONS:
                del generations[min(generations)]
        return found


def _known(code: str | None, codes: frozenset[str]) -> str:
    return str(code) if code in codes else OTHER
