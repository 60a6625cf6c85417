"""The rules: each says what is wrong when it is, and nothing where a healthy broker looks alike."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from typer.main import get_command

from doorlog.application.cli import app
from doorlog.settings.alert_models import DEFAULTS
from doorlog.watch.alert_rules import NO_COUNTS, RULES, Condition, Sample, Span
from doorlog.watch.tally import Served

DAY = 86_400.0
BERLIN = ("cohort", "berlin")
THREE = {BERLIN: ("pump-1", "pump-2", "pump-3")}
TLS = ("listener", "tls")


def attempts(**numbers: int) -> dict[tuple[str, str, str, str], int]:
    return {
        ("tls", "s", code, "success" if code == "admitted" else "failure"): number for code, number in numbers.items()
    }


def cohort(name: str, success: int, failure: int) -> dict[tuple[str, str], int]:
    return {(name, "success"): success, (name, "failure"): failure}


def sample(devices: Any = THREE, unknown: Any = None, **counts: Any) -> Sample:
    counted = {key: value for key, value in counts.items() if key in NO_COUNTS.__slots__}
    others = {key: value for key, value in counts.items() if key not in counted}
    return Sample(100, 0, replace(NO_COUNTS, **counted), unknown or {}, devices, **others)


def found(rule: str, now: Sample, before: Sample | None = None) -> list[Condition]:
    span = Span(now, before or Sample(0, 0))
    return list(RULES[rule](lambda _seconds: span, DEFAULTS[rule].limit or 0))


UNKNOWN_CA = "server_certificate_unknown_ca"
COHORT_FAILS = sample(attempts=attempts(admitted=100, **{UNKNOWN_CA: 5}), cohorts=cohort("berlin", 0, 5))
NEW = frozenset(("tls",))
REFUSED = sample(
    {TLS: ("pump-1", "pump-2", "pump-3")},
    attempts=attempts(admitted=20, **{UNKNOWN_CA: 5}),
    generations={("tls", "1", "success"): 20, ("tls", "1", "failure"): 5},
    new_certificates=NEW,
)
WRONG = {
    "failures_after_new_certificate": REFUSED,
    "cohort_failing": COHORT_FAILS,
    "failing": sample(attempts=attempts(admitted=9, bad_password=11)),
    "password_storm": sample(attempts=attempts(bad_password=200, unknown_user=101)),
    "certificate_expires": sample(served={"tls": Served(1, 29 * DAY)}),
    "log_failing": sample(failure="No space left on device"),
    "log_lags": sample(lag=6.0),
    "log_gap": sample(gaps={"overflow": 1}),
    "refusing": sample(attempts=attempts(too_many_connections=31)),
}
WELL = {
    "failures_after_new_certificate": [
        replace(REFUSED, new_certificates=frozenset()),
        replace(REFUSED, devices={TLS: ("one", "two")}),
        sample(
            {TLS: ("a", "b", "c")},
            attempts=attempts(admitted=200, **{UNKNOWN_CA: 5}),
            generations={("tls", "1", "success"): 200},
            new_certificates=NEW,
        ),
        sample({TLS: ("a", "b", "c")}, attempts=attempts(bad_password=9), new_certificates=NEW),
    ],
    "cohort_failing": [
        replace(COHORT_FAILS, devices={BERLIN: ("one device that tries all day", "and its neighbour")}),
        sample(attempts=attempts(admitted=100, bad_password=4), cohorts=cohort("berlin", 0, 4)),
        sample(attempts=attempts(admitted=105, bad_password=5), cohorts=cohort("berlin", 5, 5)),
        # all fail: no cohort stands out
        sample(attempts=attempts(bad_password=90), cohorts={**cohort("berlin", 0, 50), **cohort("paris", 0, 40)}),
        # there is nobody to compare it with
        sample(attempts=attempts(bad_password=90), cohorts=cohort("berlin", 0, 90)),
    ],
    "failing": [sample(attempts=attempts(bad_password=19)), sample(attempts=attempts(admitted=10, bad_password=10))],
    "password_storm": [sample(attempts=attempts(bad_password=300)), sample(attempts=attempts(unknown_ca=999))],
    "certificate_expires": [sample(served={"tls": Served(1, 31 * DAY), "old": Served(1, None)})],
    "log_failing": [sample()],
    "log_lags": [sample(lag=5.0)],
    "log_gap": [sample(gaps={"overflow": 0})],
    "refusing": [sample(attempts=attempts(too_many_connections=30))],
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_says_what_is_wrong_in_one_sentence(rule: str) -> None:
    (condition,) = found(rule, WRONG[rule])
    assert condition.rule == rule
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", condition.summary)
    assert found(rule, WRONG[rule], WRONG[rule]) == [] or rule in {"certificate_expires", "log_failing", "log_lags"}


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, found in WELL.items() for number in range(len(found))]
)
def test_a_healthy_broker_that_looks_alike_is_left_alone(rule: str, number: int) -> None:
    assert found(rule, WELL[rule][number]) == []


@pytest.mark.parametrize("rule", RULES)
def test_what_to_run_are_commands_that_there_are(rule: str) -> None:
    commands: Any = get_command(app)
    (condition,) = found(rule, WRONG[rule])
    assert condition.commands
    for command in condition.commands:
        _, name, *words = command.split()
        options = {option for parameter in commands.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_a_cohort_that_is_most_of_the_fleet_does_not_hide_itself() -> None:
    big = sample(attempts=attempts(admitted=10, bad_password=90), cohorts=cohort("berlin", 0, 90))
    (condition,) = found("cohort_failing", big)
    assert condition.summary == (
        "The cohort berlin fails: 90 of its 90 attempts in 15 minutes, 3 devices; of the rest of the fleet, 0 of 10."
    )
    assert condition.commands[-1] == "doorlog device pump-1"


def test_ten_failures_do_where_no_device_is_known() -> None:
    counted = {"attempts": attempts(admitted=100, bad_password=10), "cohorts": cohort("berlin", 0, 10)}
    assert len(found("cohort_failing", sample({}, {BERLIN: 10}, **counted))) == 1
    assert found("cohort_failing", sample({}, {BERLIN: 9}, **counted)) == []
    assert found("cohort_failing", sample({}, {BERLIN: 12}, **counted), sample({}, {BERLIN: 3})) == []


@pytest.mark.parametrize("name", ["pump 1; reboot", "-v", "$(x)", "`x`", "ü", "a\u202eb", "x" * 129])
def test_a_name_that_a_shell_could_read_as_something_else_is_in_no_command(name: str) -> None:
    counted = {"attempts": attempts(admitted=100, bad_password=5), "cohorts": cohort(f"site:{name}", 0, 5)}
    (condition,) = found("cohort_failing", sample({("cohort", f"site:{name}"): (name, name, name)}, **counted))
    assert condition.commands == ("doorlog summary --since 1h", "doorlog devices --state failing")
    assert "\u202e" not in condition.summary


def test_the_devices_of_a_site_are_listed() -> None:
    counted = {"attempts": attempts(admitted=100, bad_password=5), "cohorts": cohort("site:berlin", 0, 5)}
    (condition,) = found("cohort_failing", sample({("cohort", "site:berlin"): ("a", "b", "c")}, **counted))
    assert "doorlog devices --state failing --site berlin" in condition.commands


@pytest.mark.parametrize(
    ("days", "level", "severity"),
    [(29, 0, "info"), (13, 1, "warning"), (6, 2, "warning"), (0.5, 3, "critical"), (-1, 3, "critical")],
)
def test_a_certificate_is_more_urgent_the_nearer_its_end(days: float, level: int, severity: str) -> None:
    (condition,) = found("certificate_expires", sample(served={"tls": Served(1, days * DAY)}))
    assert (condition.level, condition.severity) == (level, severity)
    assert ("has expired" in condition.summary) == (days < 0)
