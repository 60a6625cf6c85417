"""Events as records: what goes out as JSON comes back as the same event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.events.records import ANY_EVENT, EVENT_MODELS, CertificateEvent, ConnectEvent, Event
from support.random_events import events
from support.sample_events import NOW, attempt, device, refused_topic, session_end, tls


def line_of(event: Event) -> str:
    return event.model_dump_json(exclude_none=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events())
def test_any_event_comes_back_from_its_json(event: Event) -> None:
    assert ANY_EVENT.validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "event",
    [
        attempt(Code.SERVER_CERTIFICATE_UNKNOWN_CA, tls=tls("1.3", (48, "unknown_ca", "received")), **device("likely")),
        session_end(DisconnectCause.KEEP_ALIVE_TIMEOUT, client_id="pump-17", mqtt={"keep_alive": 60}),
        refused_topic("publish", "plant/9/valve", user="anna"),
    ],
)
def test_a_line_without_empty_fields_comes_back_too(event: Event) -> None:
    assert ANY_EVENT.validate_json(line_of(event)) == event


def test_a_record_has_the_shape_of_the_elastic_common_schema() -> None:
    record = json.loads(line_of(attempt(Code.BAD_PASSWORD, user="anna", client_id="pump-17")))

    assert record["@timestamp"] == "2026-05-10T03:14:15Z"
    assert record["ecs"]["version"].startswith("8.")
    assert record["event"]["kind"] == "event"
    assert (record["event"]["action"], record["event"]["code"]) == ("connect", "bad_password")
    assert record["doorlog"]["schema_version"] == 1
    assert record["doorlog"]["stage"] == "credentials"
    assert record["source"]["ip"] == "10.0.0.9"
    assert (record["user"]["name"], record["mqtt"]["client_id"]) == ("anna", "pump-17")


def test_each_action_has_exactly_one_kind_of_event() -> None:
    actions = [action for model in EVENT_MODELS for action in model.actions]

    assert sorted(actions) == sorted(Action)


@pytest.mark.parametrize(
    "record", [{}, [], "x", {"event": None}, {"event": {"action": "reboot"}}, {"event": {"action": []}}]
)
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(ValidationError):
        ANY_EVENT.validate_python(record)


def test_an_unknown_field_is_refused_at_every_level() -> None:
    record = json.loads(line_of(attempt(Code.ADMITTED)))

    for place in (record, record["event"], record["source"], record["doorlog"]):
        place["surprise"] = 1
        with pytest.raises(ValidationError, match="surprise"):
            ANY_EVENT.validate_python(record)
        del place["surprise"]
    assert isinstance(ANY_EVENT.validate_python(record), ConnectEvent)


def test_an_event_that_is_one_already_is_taken_as_it_is() -> None:
    event = attempt(Code.NOT_MQTT)

    assert ANY_EVENT.validate_python(event) is event


def test_a_certificate_event_is_about_a_certificate() -> None:
    with pytest.raises(ValidationError, match="tls"):
        CertificateEvent.model_validate(
            {
                "@timestamp": NOW,
                "event": {
                    "category": ["configuration"],
                    "type": ["info"],
                    "action": "certificate_served",
                    "outcome": "success",
                },
                "doorlog": {},
            }
        )
