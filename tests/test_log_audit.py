"""The log about itself: the numbers of its promise, and what is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from doorlog.events.audit_parts import AuditPart, FloodPart
from doorlog.events.codes import Action
from doorlog.events.parts import DoorlogPart
from doorlog.events.records import Event, FloodEvent
from doorlog.log import audit
from doorlog.log.audit import Numbers
from doorlog.log.backlog import Overflow
from doorlog.log.journal import Outage
from doorlog.log.recovery import Tail
from support.events import WHEN, admitted_connect, ended_session, failed_connect, served_certificate, stopped_audit
from support.log_lines import lines_of
from support.records import parse_records


def flood(action: Literal["connect", "authorize"], count: int) -> FloodEvent:
    connect = failed_connect()
    return FloodEvent(
        timestamp=WHEN,
        event=connect.event.model_copy(update={"action": Action.FLOOD}),
        source=connect.source,
        destination=connect.destination,
        doorlog=DoorlogPart(flood=FloodPart(action=action, count=count, first=WHEN, last=WHEN, ports=1)),
    )


def numbers_of(event: Event) -> AuditPart:
    assert event.doorlog.audit is not None
    return event.doorlog.audit


def test_accepted_is_the_sum_of_connects_folded_and_lost() -> None:
    numbers = Numbers()
    for event in [failed_connect(), admitted_connect(), flood("connect", 70), flood("authorize", 9), ended_session()]:
        assert numbers.count(event) is event
    numbers.lose(5)
    stopped = numbers.count(stopped_audit(doorlog=DoorlogPart(audit=AuditPart(accepted=77, connects=0))))
    assert numbers_of(stopped) == AuditPart(accepted=77, connects=2, folded=70, lost=5)


def test_what_was_lost_on_its_way_into_the_file_is_not_counted_twice() -> None:
    numbers = Numbers()
    numbers.accepted = lambda: 102
    for event in [failed_connect(), failed_connect(), flood("connect", 70), flood("connect", 30)]:
        numbers.count(event)
    numbers.lose_written(1, 30)
    told = numbers_of(numbers.count(audit.checkpoint_event(4, None)))
    assert told == AuditPart(accepted=102, connects=1, folded=70, lost=31)
    assert told.connects + (told.folded or 0) + (told.lost or 0) == told.accepted


def test_numbers_that_are_nothing_are_left_out_and_a_gap_tells_none() -> None:
    numbers = Numbers()
    numbers.count(failed_connect())
    assert numbers_of(numbers.count(audit.checkpoint_event(1, "k"))) == AuditPart(accepted=0, connects=1)
    gap = audit.truncated_event(1, 2)
    assert numbers.count(gap) is gap
    assert numbers.count(served_certificate()) == served_certificate()


@pytest.mark.parametrize(
    ("event", "code", "gap"),
    [
        (
            audit.overflow_event(Overflow(WHEN, records=3, connects=2), 11),
            "overflow",
            {"first_sequence": 11, "last_sequence": 13, "records": 3, "connects": 2},
        ),
        (
            audit.outage_event(Outage(WHEN, datetime.now(UTC), 7, 9, 3, 1, 20, "ab" * 32)),
            "write_failed",
            {"first_sequence": 7, "last_sequence": 9, "records": 3, "connects": 21, "after_sha256": "ab" * 32},
        ),
        (audit.outage_event(Outage(WHEN, WHEN)), "write_failed", {"records": 0, "connects": 0}),
        (
            audit.interrupted_event(Tail(time=WHEN, torn_bytes=7), "log.torn-1"),
            "interrupted",
            {"torn_bytes": 7, "torn_file": "log.torn-1"},
        ),
        (audit.interrupted_event(Tail(), None), "interrupted", {}),
        (audit.truncated_event(None, 9), "truncated", {"last_sequence": 9}),
    ],
)
def test_each_gap_says_what_is_missing(event: Event, code: str, gap: dict[str, object]) -> None:
    (record,) = parse_records(lines_of(event))
    assert (record["event"]["action"], record["event"]["code"], record["event"]["outcome"]) == (
        "audit_gap",
        code,
        "failure",
    )
    told = {key: value for key, value in record["doorlog"]["gap"].items() if key not in ("began", "ended")}
    assert told == gap


def test_a_checkpoint_names_its_key() -> None:
    (record,) = parse_records(lines_of(audit.checkpoint_event(12, "0123456789abcdef")))
    assert record["doorlog"]["checkpoint"] == {"records": 12, "key_id": "0123456789abcdef"}
    assert (record["event"]["outcome"], record["event"]["type"]) == ("success", ["info"])
