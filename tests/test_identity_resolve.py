"""From evidence and candidates to a name, to candidates, or to nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorlog.identity.calibration import Calibration
from doorlog.identity.resolve import LIKELY, NOBODY, Fleet, Resolution, resolve
from doorlog.identity.statistics import Statistics
from doorlog.identity.view import Known
from support.fleet import HOUR, evidence, known


def fleet(*connected: str, exams: Calibration | None = None) -> Fleet:
    statistics = Statistics()
    statistics.devices, statistics.looks = 100, {"esp": 50, "node": 50}
    statistics.members, statistics.used = {"192.0.2.0/24": 50}, {"192.0.2.0/24": 50}
    for _ in range(500):
        statistics.count_return("192.0.2.0/24", HOUR, stayed=True)
    return Fleet(statistics, exams or Calibration(), set(connected))


def ids(resolution: Resolution) -> list[str]:
    return [known.id for known, _score in resolution.candidates]


def test_nobody_is_nobody() -> None:
    assert resolve(evidence(), [], fleet()) == NOBODY


def test_the_only_one_is_likely() -> None:
    found = resolve(evidence(), [known("a")], fleet())
    assert (found.confidence, ids(found)) == ("likely", ["a"])
    assert found.candidates[0].score >= LIKELY


def test_two_alike_are_ambiguous() -> None:
    found = resolve(evidence(), [known("a"), known("b")], fleet())
    assert (found.confidence, found.look_alikes) == ("ambiguous", 1)
    assert abs(found.candidates[0].score - found.candidates[1].score) < 0.01


def test_a_session_orders_look_alikes_and_names_none() -> None:
    many = [f"d{number}" for number in range(90)]
    found = resolve(evidence(), [known("a"), known("b")], fleet("a", *many))
    assert (found.confidence, ids(found)) == ("ambiguous", ["b", "a"])


def test_who_accepted_the_certificate_is_told_apart() -> None:
    found = resolve(evidence(acceptance=0.001), [known("a", served="new"), known("b")], fleet())
    assert (found.confidence, ids(found)[0]) == ("likely", "b")


def test_only_faint_candidates_are_nobody() -> None:
    far = known("a", ip="203.0.113.9", count_here=0, look="node")
    assert resolve(evidence(), [far], fleet()).confidence == "unknown"


def test_a_crowd_that_was_not_looked_at_counts() -> None:
    near = [known(f"d{number}", ip=f"192.0.2.{number + 2}", count_here=0) for number in range(3)]
    alone = resolve(evidence(), near, fleet())
    crowded = resolve(evidence(), near, fleet(), crowd=1_000)
    assert crowded.confidence == "ambiguous"
    assert crowded.crowd == 1_000
    assert crowded.candidates[0].score < alone.score / 10


def test_exams_that_failed_keep_a_device_from_being_named() -> None:
    failed = Calibration()
    for number in range(1_000):
        failed.take(0.9995, is_right=number % 2 == 0)
        failed.take(0.997, is_right=number % 2 == 0)
        failed.take(0.9925, is_right=number % 2 == 0)
    found = resolve(evidence(), [known("a")], fleet(exams=failed))
    assert found.confidence == "ambiguous"
    assert 0.5 < found.candidates[0].score < 0.7
    assert found.score > 0.98, "what was computed is what the next exam is about"


def test_all_of_a_hundred_look_alikes_are_candidates() -> None:
    found = resolve(evidence(), [known(f"d{number}") for number in range(100)], fleet())
    assert len(found.candidates) == 100
    assert len(resolve(evidence(), [known(f"d{number}") for number in range(100)], fleet(), most=7).candidates) == 7


DEVICES = st.builds(
    known,
    st.just("d"),
    st.floats(0, 24),
    st.sampled_from(["192.0.2.1", "192.0.2.2", "203.0.113.1"]),
    st.sampled_from(["esp", "node"]),
    count_here=st.integers(0, 3),
    moves=st.floats(0, 10),
    moves_expected=st.floats(0, 10),
    served=st.sampled_from(["old", "new"]),
)


@given(st.lists(DEVICES, max_size=20), st.sampled_from([0.01, 1.0]), st.floats(0, 500))
def test_whatever_comes_scores_are_probabilities_in_order(
    devices: list[Known], acceptance: float, crowd: float
) -> None:
    devices = [device._replace(id=f"d{number}") for number, device in enumerate(devices)]
    found = resolve(evidence(acceptance=acceptance), devices, fleet("d1", "d3"), crowd=crowd)
    scores = [score for _known, score in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1.000001
    assert all(0 <= score <= 1 for score in scores)
    assert len(set(ids(found))) == len(scores)
    if found.confidence == "likely":
        assert scores[0] >= LIKELY
