"""What the log says of itself, word for word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from doorlog.events.audit_parts import AuditPart, CheckpointPart, FloodPart, GapPart
from doorlog.events.audit_phrases import audit_message, audit_reason, flood_message
from doorlog.events.codes import Action, GapCause, Outcome
from doorlog.events.parts import DoorlogPart, EventPart, InstancePart, MqttPart, ServicePart, SourcePart
from doorlog.events.records import AuditEvent, FloodEvent
from doorlog.events.sentences import message_of, reason_of
from support.events import WHEN, checkpoint, folded_passwords, lost_records, stopped_audit


def audit(action: Action, code: str | None = None, **doorlog: Any) -> AuditEvent:
    return AuditEvent(
        timestamp=WHEN,
        event=EventPart(category=("process",), type=("info",), action=action, outcome=Outcome.SUCCESS, code=code),
        doorlog=DoorlogPart(**doorlog),
    )


def numbers(accepted: int, connects: int, **more: int) -> AuditPart:
    return AuditPart(accepted=accepted, connects=connects, **more)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (stopped_audit(), "the log was stopped: 20,000 connections accepted, 20,000 recorded"),
        (
            audit(Action.AUDIT_STOPPED, audit=numbers(10, 4, folded=3, lost=2)),
            "the log was stopped: 10 connections accepted, 4 recorded, 3 counted in floods, 2 lost, 1 without a record",
        ),
        (audit(Action.AUDIT_STOPPED), "the log was stopped"),
        (
            checkpoint(),
            (
                "checkpoint after 9,000 records, signed with key 0123456789abcdef: 10,000 connections accepted,"
                " 9,000 recorded, 1,000 counted in floods"
            ),
        ),
        (audit(Action.AUDIT_CHECKPOINT, checkpoint=CheckpointPart(records=1)), "checkpoint after 1 record"),
        (audit(Action.AUDIT_CHECKPOINT), "checkpoint"),
        (
            audit(Action.AUDIT_CHECKPOINT, audit=numbers(5, 3)),
            "checkpoint: 5 connections accepted, 3 recorded, 2 under way",
        ),
        (
            lost_records(),
            (
                "the log file could not be written for a while: 42 records missing (sequence 101 to 142):"
                " 150 connections accepted, 110 recorded, 40 lost"
            ),
        ),
        (
            audit(Action.AUDIT_GAP, GapCause.OVERFLOW, gap=GapPart(records=1)),
            "more happened than the memory for waiting records holds: 1 record missing",
        ),
        (
            audit(Action.AUDIT_GAP, GapCause.WRITE_FAILED, gap=GapPart(records=0)),
            "the log file could not be written for a while: nothing is missing",
        ),
        (
            audit(Action.AUDIT_GAP, GapCause.INTERRUPTED, gap=GapPart(torn_bytes=77)),
            (
                "the broker before ended without closing the log: its last records may be missing;"
                " 77 bytes of a torn record were moved away"
            ),
        ),
        (
            audit(Action.AUDIT_GAP, GapCause.TRUNCATED, gap=GapPart()),
            "another program cut or removed the log file while it was being written: its last records may be missing",
        ),
        (audit(Action.AUDIT_GAP, "of_a_newer_version"), "records were lost"),
    ],
)
def test_the_log_speaks_of_itself(event: AuditEvent, said: str) -> None:
    assert audit_message(event, "") == message_of(event) == said


@pytest.mark.parametrize("cause", GapCause)
def test_every_cause_of_a_gap_has_its_reason(cause: GapCause) -> None:
    assert audit_reason(audit(Action.AUDIT_GAP, cause)) not in {None, "records were lost"}


@pytest.mark.parametrize("action", [action for action in Action if action.startswith("audit")])
def test_every_action_of_the_log_has_its_reason(action: Action) -> None:
    assert audit_reason(audit(action))
    assert reason_of(audit(action)) == audit_reason(audit(action))


def test_a_reason_that_was_given_stands() -> None:
    assert audit_message(audit(Action.AUDIT_GAP), "the disk was full") == "the disk was full"


def test_who_started_the_log_is_named() -> None:
    service = ServicePart(name="my broker", version="0.1", instance=InstancePart(id="a1"))
    started = audit(Action.AUDIT_STARTED).model_copy(update={"service": service})

    assert audit_message(started, "") == 'the log was started by "my broker" 0.1 (instance a1)'
    assert audit_message(audit(Action.AUDIT_STARTED), "") == "the log was started"


# floods


def test_a_flood_says_who_and_how_often() -> None:
    assert message_of(folded_passwords()) == (
        "10.0.0.9 (client id pump-17) at listener tls: bad_password 4,711 more times within 54 seconds"
    )


def flood(count: int, seconds: float, **changes: Any) -> FloodEvent:
    part = FloodPart(action="authorize", count=count, first=WHEN, last=WHEN + timedelta(seconds=seconds), ports=1)
    event = folded_passwords(doorlog=DoorlogPart(flood=part))
    return event.model_copy(update=changes)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (flood(1, 0), "10.0.0.9 (client id pump-17) at the listener: bad_password 1 more time within 1 second"),
        (flood(2, 0.4, mqtt=None), "10.0.0.9 at the listener: bad_password 2 more times within 1 second"),
        (
            flood(2, -9, mqtt=MqttPart(), source=SourcePart(address="hmac-0a1b2c3d:44")),
            "hmac-0a1b2c3d:44 at the listener: bad_password 2 more times within 1 second",
        ),
        (
            folded_passwords(doorlog=DoorlogPart(listener="tls"), mqtt=None),
            "10.0.0.9 at listener tls: bad_password more often",
        ),
    ],
)
def test_a_flood_of_which_little_is_known(event: FloodEvent, said: str) -> None:
    assert flood_message(event) == said


def test_a_flood_with_a_hostile_code_or_none_stays_on_its_line() -> None:
    event = folded_passwords()
    for code in (None, "", 'x\n"'):
        part = event.event.model_copy(update={"code": code})
        assert message_of(event.model_copy(update={"event": part})).isprintable()


def test_a_flood_has_the_reason_of_what_it_folds() -> None:
    assert reason_of(folded_passwords()) == "the password is wrong"
    assert reason_of(flood(2, 1)).startswith("no access rule allows it")
