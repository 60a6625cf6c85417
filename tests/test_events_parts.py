"""The pieces of a record: frozen, closed, bounded, and without a place for a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from doorlog.events import parts
from doorlog.events.audit_parts import AuditPart
from doorlog.events.base import Part
from doorlog.events.parts import (
    AlertPart,
    CandidatePart,
    DestinationPart,
    EventPart,
    MqttPart,
    SourcePart,
    TlsClientPart,
    UserPart,
)
from doorlog.events.records import EVENT_MODELS

PARTS = [item for item in vars(parts).values() if isinstance(item, type) and issubclass(item, Part)]
SECRET = re.compile(
    r"pass|pwd|token|secret|key|credential|cookie|ticket|psk|private|payload|authorization", re.IGNORECASE
)
# About keys in general, never a key: how the certificate's key works, and how many seconds a device may be silent.
HARMLESS = {"public_key_algorithm", "keep_alive"}
# The name of a public key (a cut hash of it), so that who verifies a checkpoint knows which one to take: told by this
# one piece alone, and made nowhere but in ``chain.key_id``, which takes no private key.
# And cut hashes of what goes over the wire in the clear, and proves nothing without the keys that go with it: made
# nowhere but in ``tls_sessions.session_digest``.
PUBLIC = {("CheckpointPart", "key_id"), ("TlsPart", "ticket"), ("TlsClientPart", "tickets")}


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield model.__name__, field.alias or name


@pytest.mark.parametrize("model", [*PARTS, *EVENT_MODELS])
def test_no_field_could_hold_a_secret(model: type[BaseModel]) -> None:
    suspicious = {(piece, name) for piece, name in fields_of(model) if SECRET.search(name) and name not in HARMLESS}

    assert not suspicious - PUBLIC


@pytest.mark.parametrize("model", [*PARTS, *EVENT_MODELS])
def test_a_piece_is_frozen_and_closed(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"


def test_a_password_has_no_place_to_go() -> None:
    with pytest.raises(ValidationError, match="password"):
        MqttPart.model_validate({"client_id": "pump-17", "password": "hunter2"})
    with pytest.raises(ValidationError, match="password"):
        UserPart.model_validate({"name": "anna", "password": "hunter2"})


def test_what_was_recorded_can_not_be_changed() -> None:
    source = SourcePart(ip="10.0.0.9", port=50000)

    with pytest.raises(ValidationError, match="frozen"):
        source.ip = "10.0.0.10"  # type: ignore[misc] # that it is refused is the point


@pytest.mark.parametrize("text", ["x" * 2049, "é" * 5000])
def test_text_of_a_peer_is_bounded(text: str) -> None:
    with pytest.raises(ValidationError, match="2048"):
        UserPart(name=text)
    with pytest.raises(ValidationError, match="2048"):
        TlsClientPart(server_name=text)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port: int) -> None:
    with pytest.raises(ValidationError):
        DestinationPart(port=port)


def test_numbers_stay_in_their_protocols_ranges() -> None:
    with pytest.raises(ValidationError):
        AlertPart(code=256, description="unknown_ca", direction="received")
    with pytest.raises(ValidationError):
        MqttPart(keep_alive=65536)
    with pytest.raises(ValidationError):
        CandidatePart(id="pump-17", score=1.1)
    with pytest.raises(ValidationError):
        AuditPart(accepted=-1, connects=0)


def test_an_alert_always_says_who_sent_it() -> None:
    with pytest.raises(ValidationError, match="direction"):
        AlertPart.model_validate({"code": 48, "description": "unknown_ca"})


def test_categories_and_types_are_those_of_ecs() -> None:
    with pytest.raises(ValidationError):
        EventPart.model_validate(
            {"category": ["mqtt"], "type": ["connection"], "action": "connect", "outcome": "failure"}
        )


def test_every_own_field_says_what_it_means() -> None:
    described = parts.DoorlogPart.model_json_schema()["properties"]

    assert "self-check" in described["findings"]["description"]
