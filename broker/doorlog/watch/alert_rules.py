"""What is wrong: each rule looks at what was counted, and says what an operator should hear of.

They mean what the rules of the same names for Prometheus mean (``config/prometheus/doorlog-alerts.yml``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from doorlog.events.codes import Code, leaves_at_our_certificate, refuses_our_certificate
from doorlog.text import safe_text
from doorlog.watch.tally import Counts

if TYPE_CHECKING:
    from doorlog.watch.witnesses import Key

QUARTER: Final = 900.0
"""Seconds that a part of all attempts is taken of."""
FIVE_MINUTES: Final = 300.0
"""Seconds that a rate is taken of."""
FEWEST_FAILURES: Final = 5
FEWEST_OTHERS: Final = 5
"""Attempts of the rest of the fleet, for a cohort to be compared with."""
FEWEST_ATTEMPTS: Final = 20
WELL: Final = 0.25
"""The rest of the fleet is well while a smaller part of its attempts fails."""
FEWEST_WITNESSES: Final = 3
FEWEST_UNKNOWN: Final = 10
"""Failures that must be there where the devices are not known."""
STEPS: Final = (30.0, 14.0, 7.0, 1.0)
"""Days before a certificate's end."""
REFUSALS: Final = frozenset(
    str(code) for code in Code if refuses_our_certificate(code) or leaves_at_our_certificate(code)
)
"""The device refuses our certificate."""
_PASSWORDS: Final = frozenset({"bad_password", "unknown_user"})
_OURS: Final = frozenset(
    {"too_many_connections", "log_unavailable", "auth_backend_error", "auth_timeout", "internal_error"}
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@][A-Za-z0-9_.:@-]{0,127}")
_DAY: Final = 86_400.0
NO_COUNTS: Final = Counts()

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known at one moment.

    Attributes:
        moment: Seconds that only ever grow.
        now: Seconds since 1970, UTC.
        counts: What was counted.
        unknown: Failures of devices that nobody could name, so far.
        devices: Known devices that failed of late.
        failure: Why the log file can not be written; None while it can.
        lag: Seconds that events wait for the log's thread.
        new_certificates: Listeners that serve a certificate that is new, after another one.
    """

    moment: float
    now: float
    counts: Counts = NO_COUNTS
    unknown: Mapping[Key, int] = field(default_factory=dict)
    devices: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    failure: str | None = None
    lag: float = 0.0
    new_certificates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong.

    Attributes:
        rule: Its name.
        severity: How bad it is.
        summary: One sentence for people; holds nothing that a client wrote.
        labels: What it is about: cohort, listener, code, cause.
        devices: Devices that it happens to, the latest first.
        commands: What to run.
        level: A higher one than before is told at once.
    """

    rule: str
    severity: Severity
    summary: str
    labels: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """What happened since an earlier sample."""

    sample: Sample
    before: Sample

    def attempts(self) -> Counter[tuple[str, str, str, str]]:
        """Return attempts by listener, stage, code and outcome."""
        return _grown(self.sample.counts.attempts, self.before.counts.attempts)

    def unknown(self, key: Key) -> int:
        """Return failures of devices that nobody could name."""
        return self.sample.unknown.get(key, 0) - self.before.unknown.get(key, 0)

    def is_witnessed(self, key: Key) -> bool:
        """Whether several devices vouch for it: one that tries all day is no fleet."""
        known = len(self.sample.devices.get(key, ())) >= FEWEST_WITNESSES
        return known or self.unknown(key) >= FEWEST_UNKNOWN


Since = Callable[[float], Span]
"""Gives what happened in so many seconds."""


def new_certificate(since: Since, limit: float) -> Iterator[Condition]:
    """Say where devices refuse a certificate that is new."""
    span = since(QUARTER)
    served = _grown(span.sample.counts.generations, span.before.counts.generations)
    attempts = span.attempts()
    for listener in sorted(span.sample.new_certificates):
        refused = sum(n for (at, _, code, _), n in attempts.items() if at == listener and code in REFUSALS)
        total = sum(n for (at, _, _), n in served.items() if at == listener)
        key = ("listener", listener)
        if refused < FEWEST_FAILURES or refused <= limit * total or not span.is_witnessed(key):
            continue
        devices = span.sample.devices.get(key, ())
        yield Condition(
            "failures_after_new_certificate",
            "critical",
            f"Devices refuse the new certificate of {listener}: {refused} of {max(refused, total)} attempts in 15 "
            f"minutes{_of_devices(devices)}.",
            (("listener", listener),),
            devices,
            (
                "doorlog summary --since 1h",
                *_command("doorlog tail --outcome failure --listener", listener),
                *_device_commands(devices),
            ),
        )


def cohort_failing(since: Since, limit: float) -> Iterator[Condition]:
    """Say which cohorts fail while the rest of the fleet is well."""
    span = since(QUARTER)
    total: Counter[str] = Counter()
    for (*_, outcome), number in span.attempts().items():
        total[outcome] += number
    grown = _grown(span.sample.counts.cohorts, span.before.counts.cohorts)
    for cohort in sorted({cohort for cohort, _ in grown}):
        failed, all_of_it = grown[cohort, "failure"], grown[cohort, "failure"] + grown[cohort, "success"]
        others = total.total() - all_of_it
        others_failed = max(0, total["failure"] - failed)
        if failed < FEWEST_FAILURES or failed <= limit * all_of_it or not span.is_witnessed(("cohort", cohort)):
            continue
        if others < FEWEST_OTHERS or others_failed >= WELL * others:
            continue
        devices = span.sample.devices.get(("cohort", cohort), ())
        site = cohort.removeprefix("site:") if cohort.startswith("site:") else ""
        yield Condition(
            "cohort_failing",
            "critical",
            f"The cohort {safe_text(cohort, 64)} fails: {failed} of its {all_of_it} attempts in 15 minutes"
            f"{_of_devices(devices)}; of the rest of the fleet, {others_failed} of {others}.",
            (("cohort", cohort),),
            devices,
            (
                "doorlog summary --since 1h",
                *(_command("doorlog devices --state failing --site", site) or ("doorlog devices --state failing",)),
                *_device_commands(devices),
            ),
        )


def failing(since: Since, limit: float) -> Iterator[Condition]:
    """Say that most of all attempts fail."""
    attempts = since(QUARTER).attempts()
    failed = sum(number for (*_, outcome), number in attempts.items() if outcome == "failure")
    if attempts.total() >= FEWEST_ATTEMPTS and failed > limit * attempts.total():
        summary = f"{failed} of {attempts.total()} attempts failed in 15 minutes."
        commands = ("doorlog summary --since 1h", "doorlog devices --state failing")
        yield Condition("failing", "warning", summary, commands=commands)


def password_storm(since: Since, limit: float) -> Iterator[Condition]:
    """Say where passwords are guessed, or many devices have a wrong one."""
    guessed: Counter[str] = Counter()
    for (listener, _, code, _), number in since(FIVE_MINUTES).attempts().items():
        guessed[listener] += number * (code in _PASSWORDS)
    for listener, number in sorted(guessed.items()):
        if number > limit * FIVE_MINUTES:
            summary = f"{number} wrong passwords and unknown users at {listener} in 5 minutes."
            commands = ("doorlog tail --code bad_password", "doorlog summary --since 1h")
            yield Condition("password_storm", "warning", summary, (("listener", listener),), commands=commands)


def certificate_expires(since: Since, limit: float) -> Iterator[Condition]:
    """Say which served certificates end soon."""
    sample = since(0.0).sample
    for listener, served in sorted(sample.counts.served.items()):
        if served.not_after is None or served.not_after - sample.now > limit * _DAY:
            continue
        days = (served.not_after - sample.now) / _DAY
        level = sum(days <= step for step in STEPS if step < limit)
        severity: Severity = "critical" if days <= STEPS[-1] else "warning" if days <= STEPS[1] else "info"
        when = f"expires in {days:.1f} days" if days > 0 else "has expired: devices refuse it"
        summary = f"The certificate of {listener} {when}."
        commands = ("doorlog check -c CONFIG",)
        yield Condition(
            "certificate_expires", severity, summary, (("listener", listener),), commands=commands, level=level
        )


def log_failing(since: Since, _limit: float) -> Iterator[Condition]:
    """Say that the log file can not be written."""
    failure = since(0.0).sample.failure
    if failure is not None:
        summary = f"The log file can not be written: {safe_text(failure, 128)}."
        yield Condition("log_failing", "critical", summary, commands=("doorlog health -c CONFIG",))


def log_lags(since: Since, limit: float) -> Iterator[Condition]:
    """Say that events wait too long until they are written."""
    lag = since(0.0).sample.lag
    if lag > limit:
        summary = f"Events wait {lag:.0f} seconds until they are written."
        yield Condition("log_lags", "warning", summary, commands=("doorlog health -c CONFIG",))


def log_gap(since: Since, _limit: float) -> Iterator[Condition]:
    """Say that records are missing."""
    span = since(QUARTER)
    for cause in sorted(_grown(span.sample.counts.gaps, span.before.counts.gaps)):
        summary = f"Records are missing from the log, or may be ({cause})."
        yield Condition("log_gap", "critical", summary, (("cause", cause),), commands=("doorlog verify -c CONFIG",))


def refusing(since: Since, limit: float) -> Iterator[Condition]:
    """Say where the broker itself turns devices away."""
    refused: Counter[tuple[str, str]] = Counter()
    for (listener, _, code, _), number in since(FIVE_MINUTES).attempts().items():
        refused[listener, code] += number * (code in _OURS)
    for (listener, code), number in sorted(refused.items()):
        if number > limit * FIVE_MINUTES:
            summary = f"The broker itself turned {number} attempts away at {listener} in 5 minutes ({code})."
            labels = (("listener", listener), ("code", code))
            yield Condition("refusing", "critical", summary, labels, commands=(f"doorlog tail --code {code}",))


RULES: Final[dict[str, Callable[[Since, float], Iterator[Condition]]]] = {
    "failures_after_new_certificate": new_certificate,
    "cohort_failing": cohort_failing,
    "failing": failing,
    "password_storm": password_storm,
    "certificate_expires": certificate_expires,
    "log_failing": log_failing,
    "log_lags": log_lags,
    "log_gap": log_gap,
    "refusing": refusing,
}
"""Every rule, by its name in the configuration."""


def _grown(now: Mapping[Any, int], before: Mapping[Any, int]) -> Counter[Any]:
    return Counter({key: number - before.get(key, 0) for key, number in now.items() if number > before.get(key, 0)})


def _of_devices(devices: tuple[str, ...]) -> str:
    return f", {len(devices)} device{'s'[: len(devices) != 1]}" if devices else ""


def _command(words: str, name: str) -> tuple[str, ...]:
    """Return a command about a name; none about one that a shell could read as something else."""
    return (f"{words} {name}",) if _PLAIN.fullmatch(name) else ()


def _device_commands(devices: tuple[str, ...]) -> tuple[str, ...]:
    found = (command for device in devices for command in _command("doorlog device", device))
    return tuple(found)[:1]
