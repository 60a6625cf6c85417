"""How well failures were named, compared with what truly happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from doorlog.events.codes import Action, Outcome
from doorlog.events.records import ConnectEvent

BINS: Final = (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99)
"""Where bins of stated scores begin; the last ends with 1."""
_NAMED: Final = frozenset({"certain", "likely"})


@dataclass(frozen=True, slots=True)
class Failure:
    """One connection attempt that got no session, what was said of it, and what is true.

    Attributes:
        connection_id: Of its record.
        code: Why it failed.
        truth: The device; None for a stranger.
        familiar: Whether the device had been admitted before: nobody can know one that was not.
        first: Whether it is the device's first failure.
        named: The device that it was said to be; None if that was left open.
        confidence: How that was said.
        candidates: Ids and scores, best first.
        seconds: CPU that the naming took.
    """

    connection_id: str
    code: str
    truth: str | None
    familiar: bool
    first: bool
    named: str | None
    confidence: str
    candidates: tuple[tuple[str, float], ...]
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the right device was named."""
        return self.named is not None and self.named == self.truth

    def has_truth_within(self, number: int | None) -> bool:
        """Whether the truth is among the first so many candidates, or among all."""
        ids = [device for device, _ in self.candidates]
        if self.named is not None:
            ids = [self.named, *(device for device in ids if device != self.named)]
        return self.truth in ids[:number]


def is_failure(event: object) -> bool:
    """Whether an event is an attempt that failed before the device could say who it is."""
    return (
        isinstance(event, ConnectEvent)
        and event.event.action is Action.CONNECT
        and event.event.outcome is Outcome.FAILURE
        and (event.mqtt is None or event.mqtt.client_id is None)
    )


def failure_of(event: ConnectEvent, truth: str | None, *, familiar: bool, first: bool, seconds: float) -> Failure:
    """Put a named event beside what is true; see ``Failure``."""
    evidence = event.doorlog.device
    confidence = evidence.confidence if evidence else "unknown"
    candidates = (evidence.candidates if evidence else None) or ()
    return Failure(
        connection_id=event.doorlog.connection_id or "",
        code=event.event.code or "",
        truth=truth,
        familiar=familiar,
        first=first,
        named=event.device.id if event.device and confidence in _NAMED else None,
        confidence=confidence,
        candidates=tuple((candidate.id, candidate.score) for candidate in candidates),
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Statements with a score in one range: how sure they were, and how often they were right."""

    begins: float
    count: int
    stated: float
    observed: float


@dataclass(frozen=True, slots=True)
class Score:
    """How well some failures were named. Shares are None where there is nothing to share.

    Attributes:
        failures: Of devices that had been admitted before.
        devices: How many these are.
        coverage: Share of these failures that were named, rightly or wrongly.
        precision: Share of all names that are right, those of strangers and of devices never seen included.
        top1: Share of these failures with the truth as the best candidate.
        top3: Share with the truth among the three best.
        among: Share with the truth among all candidates.
        certain: How many were called certain, and the share of them that is right.
        likely: The same of those called likely.
        strangers: Attempts of nobody.
        strangers_named: How many of them were taken for a device.
        unseen: Failures of devices that had never been admitted.
        unseen_named: How many of them were taken for another device.
        calibration: Scores of the best candidates, beside how often they are the truth.
        microseconds: Median CPU of naming one failure.
    """

    failures: int
    devices: int
    coverage: float | None
    precision: float | None
    top1: float | None
    top3: float | None
    among: float | None
    certain: tuple[int, float | None]
    likely: tuple[int, float | None]
    strangers: int
    strangers_named: int
    unseen: int
    unseen_named: int
    calibration: tuple[Bin, ...]
    microseconds: float | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def score(failures: Iterable[Failure]) -> Score:
    """Judge how failures were named."""
    everything = tuple(failures)
    ours = [failure for failure in everything if failure.truth is not None and failure.familiar]
    strangers = [failure for failure in everything if failure.truth is None]
    unseen = [failure for failure in everything if failure.truth is not None and not failure.familiar]
    named = [failure for failure in everything if failure.named is not None]
    return Score(
        failures=len(ours),
        devices=len({failure.truth for failure in ours}),
        coverage=_share(ours, lambda failure: failure.named is not None),
        precision=_share(named, lambda failure: failure.is_right),
        top1=_share(ours, lambda failure: failure.has_truth_within(1)),
        top3=_share(ours, lambda failure: failure.has_truth_within(3)),
        among=_share(ours, lambda failure: failure.has_truth_within(None)),
        certain=_called(named, "certain"),
        likely=_called(named, "likely"),
        strangers=len(strangers),
        strangers_named=_mistaken(strangers),
        unseen=len(unseen),
        unseen_named=_mistaken(unseen),
        calibration=_calibration(everything),
        microseconds=median(failure.seconds for failure in everything) * 1e6 if everything else None,
    )


def first_failures(failures: Iterable[Failure]) -> list[Failure]:
    """Return each device's first failure, and every stranger: what repeats itself counts once."""
    return [failure for failure in failures if failure.first or failure.truth is None]


def _share(failures: Sequence[Failure], holds: Callable[[Failure], bool]) -> float | None:
    return sum(map(holds, failures)) / len(failures) if failures else None


def _called(named: Sequence[Failure], confidence: str) -> tuple[int, float | None]:
    called = [failure for failure in named if failure.confidence == confidence]
    return len(called), _share(called, lambda failure: failure.is_right)


def _mistaken(failures: Sequence[Failure]) -> int:
    return sum(failure.named is not None and not failure.is_right for failure in failures)


def _calibration(failures: Iterable[Failure]) -> tuple[Bin, ...]:
    inside: dict[int, list[tuple[float, bool]]] = {}
    for failure in failures:
        if failure.candidates:
            device, stated = failure.candidates[0]
            inside.setdefault(bisect_right(BINS, stated) - 1, []).append((stated, device == failure.truth))
    return tuple(
        Bin(
            begins=BINS[place],
            count=len(pairs),
            stated=sum(stated for stated, _ in pairs) / len(pairs),
            observed=sum(is_right for _, is_right in pairs) / len(pairs),
        )
        for place, pairs in sorted(inside.items())
    )
