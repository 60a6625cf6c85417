"""The judge is judged: each share by hand, for a few failures."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.events.changes import changed
from doorlog.events.parts import CandidatePart, DeviceEvidencePart, DevicePart
from doorlog.simulation.scoring import BINS, Failure, failure_of, first_failures, is_failure, score
from support.events import admitted_connect, ended_session, failed_connect, refused_password


def failure(truth: str | None, named: str | None = None, **changes: Any) -> Failure:
    facts: dict[str, Any] = {
        "connection_id": "1",
        "code": "server_certificate_unknown_ca",
        "familiar": truth is not None,
        "first": False,
        "confidence": "likely" if named else "unknown",
        "candidates": (),
        "seconds": 2e-6,
    }
    return Failure(truth=truth, named=named, **{**facts, **changes})


def test_coverage_and_precision() -> None:
    result = score(
        [
            failure("a", "a", confidence="certain"),
            failure("b", "a"),
            failure("c", "c"),
            failure("d"),
            failure(None, "a"),
            failure(None),
            failure("new", "a", familiar=False),
            failure("certified", "certified", familiar=False),
        ]
    )

    assert (result.failures, result.devices) == (4, 4)
    assert result.coverage == 3 / 4
    assert result.precision == 3 / 6
    assert result.certain == (1, 1.0)
    assert result.likely == (5, 2 / 5)
    assert (result.strangers, result.strangers_named) == (2, 1)
    assert (result.unseen, result.unseen_named) == (2, 1)
    assert result.microseconds == pytest.approx(2)


def test_the_truth_among_the_candidates() -> None:
    many = tuple((f"other-{number}", 0.2) for number in range(4))
    result = score(
        [
            failure("a", "a"),
            failure("a", candidates=(("b", 0.5), ("a", 0.4))),
            failure("a", candidates=(*many, ("a", 0.1))),
            failure("a", "b", candidates=(("b", 0.9),)),
        ]
    )

    assert (result.top1, result.top3, result.among) == (1 / 4, 2 / 4, 3 / 4)


def test_stated_scores_beside_how_often_they_are_right() -> None:
    result = score(
        [
            failure("a", candidates=(("a", 0.96),)),
            failure("a", candidates=(("b", 0.98),)),
            failure("a", candidates=(("a", 1.0),)),
            failure(None, candidates=(("a", 0.1),)),
            failure("a"),
        ]
    )

    found = [(one.begins, one.count, one.observed) for one in result.calibration]
    assert found == [(0.0, 1, 0.0), (0.95, 2, 0.5), (0.99, 1, 1.0)]
    assert result.calibration[1].stated == pytest.approx(0.97)
    assert BINS[0] == 0


def test_nothing_has_no_shares() -> None:
    result = score([])

    assert (result.coverage, result.precision, result.top3, result.microseconds) == (None, None, None, None)
    assert result.certain == (0, None)


def test_what_repeats_itself_counts_once() -> None:
    first, again, stranger = failure("a", first=True), failure("a"), failure(None)
    assert first_failures([first, again, stranger]) == [first, stranger]


def test_a_failure_is_an_attempt_that_said_no_client_id() -> None:
    assert is_failure(failed_connect())
    assert not is_failure(admitted_connect())
    assert not is_failure(refused_password())
    assert not is_failure(ended_session())


@pytest.mark.parametrize(("confidence", "named"), [("certain", "a"), ("likely", "a"), ("ambiguous", None)])
def test_a_record_is_put_beside_the_truth(confidence: str, named: str | None) -> None:
    event = failed_connect()
    evidence = DeviceEvidencePart(
        confidence=confidence,
        candidates=(CandidatePart(id="a", score=0.75), CandidatePart(id="b", score=0.25)),
    )
    event = changed(event, device=DevicePart(id="a"), doorlog=changed(event.doorlog, device=evidence))

    found = failure_of(event, "a", familiar=True, first=True, seconds=1e-6)

    assert (found.named, found.confidence) == (named, confidence)
    assert found.candidates == (("a", 0.75), ("b", 0.25))
    assert found.code == event.event.code
    assert found.connection_id == event.doorlog.connection_id


def test_a_record_that_says_nothing_of_its_device_leaves_it_open() -> None:
    event = failed_connect()
    event = changed(event, device=None, doorlog=changed(event.doorlog, device=None))

    found = failure_of(event, None, familiar=False, first=False, seconds=0)

    assert (found.named, found.confidence, found.candidates) == (None, "unknown", ())
