"""From what the rules say to what is told: pending, firing, told again, resolved; each thing once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from doorlog.watch.alert_memory import Told
from doorlog.watch.alert_rules import QUARTER, RULES, Condition, Sample, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from doorlog.settings.alert_models import Rule

_STEP: Final = 10.0  # seconds between two samples that are kept
_RARELY: Final = {"certificate_expires": 86_400.0}
"""Rules that are told again less often, in seconds: what they speak of changes slowly."""

_About = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told.

    Attributes:
        status: Whether it is wrong, or over.
        condition: What it is, or was.
        since: Since when it is so, seconds since 1970, UTC.
    """

    status: Literal["firing", "resolved"]
    condition: Condition
    since: float


@dataclass(slots=True)
class _State:
    condition: Condition
    began: float
    since: float
    told: float | None = None
    told_at: float | None = None
    """The same in seconds since 1970, UTC."""
    over: float | None = None


class Alerts:
    """Turns samples into notices. For one thread at a time; knows no clock but the samples'.

    Args:
        rules: What holds for each rule, by its name.
        every: Seconds after which what is still wrong is told again.
        resolve: Seconds that it must be over before that is told.
        start: The moment from which on everything was counted: counts were 0 then.
    """

    def __init__(self, rules: Mapping[str, Rule], *, every: float, resolve: float, start: float) -> None:
        self._rules = {name: rule for name, rule in rules.items() if rule.enabled}
        self._every = every
        self._resolve = resolve
        self._kept: deque[Sample] = deque([Sample(start, 0.0)])
        self._states: dict[_About, _State] = {}

    @property
    def firing(self) -> tuple[str, ...]:
        """The rules of all that was told and is not resolved, one name for each."""
        return tuple(sorted(rule for (rule, _), state in tuple(self._states.items()) if state.told is not None))

    def recall(self, kept: Iterable[Told], now: float) -> None:
        """Go on with what was told before a restart; before the first look.

        Counts begin anew: that something is over can not be known before there are as many as the rules look at.

        Args:
            kept: What was told.
            now: Seconds since 1970, UTC, at the start.
        """
        start = self._kept[0].moment
        for one in kept:
            if one.rule in self._rules:
                condition = Condition(one.rule, one.severity, one.summary, one.labels, level=one.level)
                told = start - max(0.0, now - one.told)
                self._states[one.rule, one.labels] = _State(
                    condition, start, one.since, told, told_at=one.told, over=start + QUARTER
                )

    @property
    def told(self) -> list[Told]:
        """What was told and is not over, to be recalled after a restart."""
        return [
            Told(
                rule=one.condition.rule,
                severity=one.condition.severity,
                summary=one.condition.summary,
                labels=one.condition.labels,
                level=one.condition.level,
                since=one.since,
                told=one.told_at,
            )
            for one in self._states.values()
            if one.told_at is not None
        ]

    def look(self, sample: Sample) -> list[Notice]:
        """Take a sample; return what is to be told now."""
        conditions = {
            (found.rule, found.labels): found
            for name, rule in self._rules.items()
            for found in RULES[name](lambda seconds: Span(sample, self._before(sample, seconds)), rule.limit or 0.0)
        }
        self._keep(sample)
        notices = [self._told(about, found, sample) for about, found in conditions.items()]
        notices += [self._missing(about, sample) for about in set(self._states) - set(conditions)]
        return [notice for notice in notices if notice is not None]

    def _told(self, about: _About, condition: Condition, sample: Sample) -> Notice | None:
        state = self._states.setdefault(about, _State(condition, sample.moment, sample.now))
        is_worse = condition.level > state.condition.level
        state.condition, state.over = condition, None
        if state.told is None:
            is_due = sample.moment - state.began >= self._rules[condition.rule].pending
        else:
            every = max(self._every, _RARELY.get(condition.rule, 0.0))
            is_due = is_worse or sample.moment - state.told >= every
        if not is_due:
            return None
        state.told, state.told_at = sample.moment, sample.now
        return Notice("firing", condition, state.since)

    def _missing(self, about: _About, sample: Sample) -> Notice | None:
        """Look after something that is not so any more; what was never told goes without a word."""
        state = self._states[about]
        if state.over is None:
            state.over = sample.moment
        if state.told is not None and sample.moment - state.over < self._resolve:
            return None
        del self._states[about]
        return Notice("resolved", state.condition, state.since) if state.told is not None else None

    def _before(self, sample: Sample, seconds: float) -> Sample:
        """Return the latest sample that is so old, or the oldest that there is."""
        found = self._kept[0]
        for kept in self._kept:
            if sample.moment - kept.moment < seconds:
                break
            found = kept
        return found

    def _keep(self, sample: Sample) -> None:
        if sample.moment - self._kept[-1].moment >= _STEP:
            self._kept.append(sample)
        while len(self._kept) > 1 and sample.moment - self._kept[1].moment >= QUARTER:
            self._kept.popleft()
