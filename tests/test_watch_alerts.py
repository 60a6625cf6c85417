"""The state machine: pending, firing once, told again after a while, and resolved once it is over."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from doorlog.settings.alert_models import DEFAULTS, Rule
from doorlog.watch.alert_rules import NO_COUNTS, QUARTER, Sample
from doorlog.watch.alerts import Alerts
from doorlog.watch.tally import Served

DAY = 86_400.0
LAGS = {"log_lags": Rule(True, 60, 5)}


class Watching:
    """Alerts that are shown one moment after the other."""

    def __init__(self, rules: dict[str, Rule], every: float = 3_600, resolve: float = 300) -> None:
        self.alerts = Alerts(rules, every=every, resolve=resolve, start=0)
        self.began = 1_000_000.0

    def at(self, moment: float, **facts: object) -> list[str]:
        sample = Sample(moment, self.began + moment, **facts)  # type: ignore[arg-type]  # each test gives what it means
        return [notice.status for notice in self.alerts.look(sample)]


def test_something_must_be_so_for_a_while() -> None:
    watching = Watching(LAGS)
    assert watching.at(0, lag=9.0) == []
    assert watching.at(59, lag=9.0) == []
    assert not watching.alerts.firing
    assert watching.at(60, lag=9.0) == ["firing"]
    assert watching.alerts.firing == ("log_lags",)


def test_a_moment_without_it_begins_anew() -> None:
    watching = Watching(LAGS)
    assert watching.at(0, lag=9.0) == []
    assert watching.at(30) == []
    assert watching.at(61, lag=9.0) == []
    assert watching.at(121, lag=9.0) == ["firing"]


def test_it_is_told_once_and_again_after_a_while() -> None:
    watching = Watching({"log_lags": Rule(True, 0, 5)})
    assert watching.at(0, lag=9.0) == ["firing"]
    assert watching.at(3_599, lag=9.0) == []
    assert watching.at(3_600, lag=9.0) == ["firing"]
    assert watching.at(3_601, lag=9.0) == []


def test_it_is_over_once_it_has_been_for_a_while_and_is_told_since_when_it_was() -> None:
    watching = Watching({"log_lags": Rule(True, 0, 5)})
    assert watching.at(0, lag=9.0) == ["firing"]
    assert watching.at(10) == []
    assert watching.at(200, lag=9.0) == []
    assert watching.at(210) == []
    (notice,) = watching.alerts.look(Sample(510, 0))
    assert (notice.status, notice.since, notice.condition.rule) == ("resolved", 1_000_000, "log_lags")
    assert not watching.alerts.firing
    assert watching.at(511) == []


def test_a_rule_that_is_off_is_not_looked_at() -> None:
    watching = Watching({"log_lags": Rule(False, 0, 5)})
    assert watching.at(0, lag=9.0) == []


def test_a_certificate_is_told_once_a_day_and_at_each_step() -> None:
    watching = Watching({"certificate_expires": DEFAULTS["certificate_expires"]}, every=60)
    counts = replace(NO_COUNTS, served={"tls": Served(1, 1_000_000 + 14.5 * DAY)})
    told = [(moment, watching.at(moment, counts=counts)) for moment in range(0, int(2 * DAY), 3_600)]
    assert [moment / 3_600 for moment, notices in told if notices] == [0, 12, 36]


def test_a_gap_before_the_first_look_is_told_and_over_after_a_quarter_of_an_hour() -> None:
    watching = Watching({"log_gap": DEFAULTS["log_gap"]}, resolve=0)
    counts = replace(NO_COUNTS, gaps={"interrupted": 1, "overflow": 0})
    told = [(moment, watching.at(moment, counts=counts)) for moment in range(15, 2_000, 15)]
    assert [(moment, notices) for moment, notices in told if notices] == [(15, ["firing"]), (915, ["resolved"])]


def test_little_is_kept_whatever_the_interval() -> None:
    watching = Watching(LAGS)
    for tick in range(20_000):
        watching.at(tick / 10)
    assert len(watching.alerts._kept) <= QUARTER / 10 + 3


@given(lags=st.lists(st.booleans(), max_size=60))
def test_firing_and_resolved_take_turns_and_nothing_else(lags: list[bool]) -> None:
    watching = Watching({"log_lags": Rule(True, 30, 5)}, every=10**9, resolve=30)
    told = [status for tick, lag in enumerate(lags) for status in watching.at(15 * tick, lag=9.0 if lag else 0.0)]
    assert told == [("firing", "resolved")[number % 2] for number in range(len(told))]


# across a restart


def restarted(before: Watching, now: float) -> Watching:
    """Another broker, whose clock begins at 0, at this moment after the first one's start."""
    after = Watching(LAGS)
    after.alerts.recall(before.alerts.told, 1_000_000 + now)
    after.began = 1_000_000 + now
    return after


def told_once() -> Watching:
    before = Watching(LAGS)
    before.at(0, lag=9.0)
    assert before.at(60, lag=9.0) == ["firing"]
    return before


def test_what_was_told_before_a_restart_is_not_told_anew() -> None:
    after = restarted(told_once(), 100)

    assert after.alerts.firing == ("log_lags",)
    assert after.at(10, lag=9.0) == []
    assert after.at(3_559, lag=9.0) == []
    assert after.at(3_560, lag=9.0) == ["firing"], "an hour after it was told last"


def test_what_is_over_after_a_restart_is_resolved_once_that_can_be_known() -> None:
    after = restarted(told_once(), 100)

    assert after.at(10) == []
    assert after.at(QUARTER) == []
    assert after.at(QUARTER + 300) == ["resolved"]
    assert after.alerts.told == []


def test_a_restart_is_told_since_when_it_is_so_and_may_be_restarted_again() -> None:
    before = told_once()
    after = restarted(restarted(before, 100), 200)

    assert after.alerts.told == before.alerts.told
    (told,) = after.alerts.told
    assert (told.rule, told.since, told.told) == ("log_lags", 1_000_000, 1_000_060)


def test_a_clock_that_was_set_back_and_a_rule_that_is_no_more_do_no_harm() -> None:
    after = restarted(told_once(), -5_000)
    assert after.at(10, lag=9.0) == []

    none = Watching({})
    none.alerts.recall(told_once().alerts.told, 0)
    assert none.alerts.firing == ()


def test_only_what_was_told_is_kept() -> None:
    watching = Watching(LAGS)
    watching.at(0, lag=9.0)
    assert watching.alerts.told == []
