"""The JSON Schema: what the log writes is valid, what it must never write is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from doorlog.events.codes import Action, Code
from doorlog.events.records import ANY_EVENT
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.schema import json_schema
from support.events import SERVICE, admitted_connect, failed_connect, one_of_each
from support.records import Record, parse_records, validate_record

VALIDATOR = Draft202012Validator(json_schema())


def records_of(*events: Any) -> list[Record]:
    pipeline = Pipeline(record_processors(lambda _: "it happened"), SERVICE, Faults())
    return parse_records(pipeline.line(event) for event in events)


def without(*path: str) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        *above, last = path
        for key in above:
            record = record[key]
        del record[last]

    return change


def with_(value: Any, *path: str) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        *above, last = path
        for key in above:
            record = record[key]
        record[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("@timestamp"),
        without("message"),
        without("service"),
        without("service", "instance"),
        without("event", "sequence"),
        without("event", "id"),
        without("event", "kind"),
        without("event", "code"),
        without("ecs", "version"),
        without("doorlog", "schema_version"),
        without("source"),
        with_(None, "tls"),
        with_(None, "source", "ip"),
        with_(None, "message"),
        with_("2026-03-01T15:02:11Z", "@timestamp"),
        with_("2026-03-01T15:02:11.250000+00:00", "@timestamp"),
        with_("2026-03-01 15:02:11", "tls", "server", "x509", "not_before"),
        with_("disconnect", "event", "action"),
        with_("hacked", "event", "action"),
        with_("keep_alive_timeout", "event", "code"),
        with_("because", "event", "code"),
        with_(-1, "event", "sequence"),
        with_(70_000, "source", "port"),
        with_("A" * 2049, "tls", "client", "server_name"),
        with_("hunter2", "user"),
        with_({"name": "bob", "password": "hunter2"}, "user"),
        with_("hunter2", "password"),
        with_(2, "doorlog", "schema_version"),
        with_("blamed", "tls", "alert", "direction"),
    ],
)
def test_a_wrong_record_is_not_valid(change: Callable[[Record], None]) -> None:
    (record,) = records_of(failed_connect())
    assert VALIDATOR.is_valid(record)
    wrong = copy.deepcopy(record)
    change(wrong)
    assert wrong != record
    assert not VALIDATOR.is_valid(wrong)
    with pytest.raises((AssertionError, KeyError)):
        validate_record(wrong)


@pytest.mark.parametrize("wrong", [{}, [], None, "text", {"event": {"action": "connect"}}])
def test_what_is_no_record_is_not_valid(wrong: Any) -> None:
    assert not VALIDATOR.is_valid(wrong)


def test_every_kind_of_record_is_valid_and_reads_back_as_its_event() -> None:
    events = one_of_each()
    for event, record in zip(events, records_of(*events), strict=True):
        VALIDATOR.validate(record)
        assert type(ANY_EVENT.validate_python(record)) is type(event)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_of_a_connect_is_valid(code: Code) -> None:
    event = admitted_connect().event.model_copy(update={"code": code})
    records_of(admitted_connect(event=event))


def test_it_is_a_schema_of_its_draft_and_names_itself() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["$id"], schema["title"]) == ("urn:doorlog:record:1", "doorlog record")


def test_every_action_belongs_to_exactly_one_kind_of_record() -> None:
    definitions = json_schema()["$defs"]
    kinds = [definitions[kind["$ref"].rsplit("/")[-1]] for kind in json_schema()["oneOf"]]
    actions = [action for kind in kinds for action in kind["properties"]["event"]["properties"]["action"]["enum"]]
    assert sorted(actions) == sorted(Action)


def test_it_explains_itself() -> None:
    definitions = json_schema()["$defs"]
    assert definitions["DisconnectEvent"]["description"].startswith("The end of an admitted session's connection")
    assert definitions["EventPart"]["properties"]["reason"]["description"] == "The cause in one plain sentence."
    assert not [name for name, definition in definitions.items() if "description" not in definition]
    assert "``" not in str(definitions)


def test_nothing_may_be_null() -> None:
    assert "'null'" not in str(json_schema())


def test_two_calls_give_two_schemas_that_are_alike() -> None:
    first, second = json_schema(), json_schema()
    assert first == second
    first["$defs"].clear()
    assert second["$defs"]
