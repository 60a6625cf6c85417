"""The tally: each event once, whatever a client says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.codes import Code, DisconnectCause, GapCause, Stage
from doorlog.events.records import Event
from doorlog.settings.cohort_models import MOST_COHORTS, OTHER
from doorlog.watch.tally import MOST_GENERATIONS, Served, Tally
from support.events import (
    admitted_connect,
    ended_session,
    failed_connect,
    folded_passwords,
    lost_records,
    one_of_each,
    refused_publish,
    served_certificate,
)
from support.random_events import events

UNKNOWN_CA = ("tls", "handshake", "server_certificate_unknown_ca", "failure")


def tally_of(*told: Event) -> Tally:
    tally = Tally(["tls"])
    for event in told:
        tally.count(event)
    return tally


def test_an_attempt_is_counted_by_where_and_why_it_ended() -> None:
    counts = tally_of(failed_connect(), failed_connect()).counts()

    assert counts.attempts == {UNKNOWN_CA: 2}
    durations = counts.durations["tls", "failure"]
    assert durations.buckets == (0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2)  # 12.3 ms
    assert round(durations.total, 6) == round(2 * 0.012345678, 6)


def test_a_handshake_that_was_completed_is_measured_for_its_listener() -> None:
    completed = admitted_connect()
    assert completed.tls is not None
    tls = completed.tls.model_copy(update={"handshake_duration": 3_000_000})
    counts = tally_of(completed.model_copy(update={"tls": tls}), failed_connect()).counts()

    assert list(counts.handshakes) == [("tls",)]
    assert counts.handshakes["tls",].buckets == (1,) * 12
    assert counts.handshakes["tls",].total == 0.003


def test_a_session_lasts_until_its_end_is_told() -> None:
    tally = tally_of(admitted_connect())
    assert tally.counts().sessions == {"tls": 1}

    tally.count(ended_session())

    counts = tally.counts()
    assert counts.sessions == {"tls": 0}
    assert sum(counts.disconnects.values()) == 1


def test_what_a_device_was_refused_to_do() -> None:
    assert tally_of(refused_publish()).counts().refusals == {("tls", "publish"): 1}


def test_what_a_flood_stands_for_was_counted_before() -> None:
    assert tally_of(folded_passwords()).counts().attempts == {}


def test_a_certificate_that_is_served_begins_a_generation() -> None:
    counts = tally_of(served_certificate(), failed_connect()).counts()

    assert counts.served == {"tls": Served(3, datetime(2027, 1, 1, tzinfo=UTC).timestamp())}
    assert counts.generations == {("tls", "3", "success"): 0, ("tls", "3", "failure"): 1}


def test_only_the_latest_generations_are_kept() -> None:
    tally = Tally(["tls"])
    sample = failed_connect()
    assert sample.tls is not None
    assert sample.tls.server is not None
    for generation in range(1, 20):
        server = sample.tls.server.model_copy(update={"generation": generation})
        tally.count(sample.model_copy(update={"tls": sample.tls.model_copy(update={"server": server})}))

    kept = {generation for _, generation, _ in tally.counts().generations}
    assert kept == {str(number) for number in range(20 - MOST_GENERATIONS, 20)}


def test_a_cohort_is_counted_apart_and_there_are_not_many() -> None:
    tally = Tally(["tls"])
    tally.know_cohorts(["paris"])
    tally.count_cohorts(["berlin", "pumps"], "failure")
    tally.count_cohorts(["berlin"], "success")
    assert tally.counts().cohorts == {
        ("paris", "success"): 0, ("paris", "failure"): 0,
        ("berlin", "success"): 1, ("berlin", "failure"): 1,
        ("pumps", "success"): 0, ("pumps", "failure"): 1,
    }  # fmt: skip

    for number in range(2 * MOST_COHORTS):
        tally.count_cohorts([f"cohort-{number}"], "failure")
    cohorts = tally.counts().cohorts
    assert len({cohort for cohort, _ in cohorts}) == MOST_COHORTS + 1
    assert cohorts[OTHER, "failure"] == MOST_COHORTS + 3


def test_a_gap_is_counted_with_what_is_missing() -> None:
    tally = Tally(["tls"])
    for event in one_of_each():
        tally.count_gap(event)
    tally.count_gap(lost_records())

    counts = tally.counts()
    assert counts.gaps == {**dict.fromkeys(map(str, GapCause), 0), "write_failed": 2}
    assert counts.missing["write_failed"] == 84


@given(told=st.lists(events(), max_size=30))
def test_no_label_is_anything_but_a_word_of_ours(told: list[Event]) -> None:
    tally = tally_of(*told)
    for event in told:
        tally.count_gap(event)

    counts = tally.counts()
    for listener, stage, code, outcome in counts.attempts:
        assert listener in {"tls", OTHER}
        assert stage in {*map(str, Stage), OTHER}
        assert code in {*map(str, Code), OTHER}
        assert outcome in {"success", "failure", "unknown"}
    for listener, cause in counts.disconnects:
        assert listener in {"tls", OTHER}
        assert cause in {*map(str, DisconnectCause), OTHER}
    assert set(counts.gaps) <= {*map(str, GapCause), OTHER}
