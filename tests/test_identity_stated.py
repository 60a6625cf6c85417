"""Which device was that: what proves it, what only claims it, and what anybody could forge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from doorlog.events.codes import Action, Code, DisconnectCause, Stage
from doorlog.events.parts import (
    UNKNOWN_DEVICE,
    DeviceEvidencePart,
    DevicePart,
    DoorlogPart,
    FloodPart,
    MqttPart,
    NamePart,
    ProxyPart,
    TlsClientPart,
    TlsPart,
    UserPart,
    X509Part,
)
from doorlog.events.records import Connection, Event, FloodEvent
from doorlog.identity.stated import IdSource, identify
from support.events import (
    admitted_connect,
    ended_session,
    failed_connect,
    refused_password,
    refused_publish,
    served_certificate,
    stopped_audit,
)

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
MQTT = MqttPart(client_id="pump-17")
ANNA = UserPart(name="anna")
CERTIFICATE_REFUSALS = [
    code for code in Code if code.startswith("client_certificate_") and not code.endswith("missing")
]


def tls(*, established: bool, common_name: str | None = "device-17", names: tuple[str, ...] | None = None) -> TlsPart:
    """Return what a device showed."""
    subject = NamePart(common_name=(common_name,) if common_name else None)
    x509 = X509Part(
        subject=subject, issuer=NamePart(), serial_number="1", alternative_names=names, not_before=WHEN, not_after=WHEN
    )
    return TlsPart(established=established, client=TlsClientPart(x509=x509))


def refused(code: Code, **changes: object) -> Connection:
    event = failed_connect(device=None, **changes)
    return event.model_copy(update={"event": event.event.model_copy(update={"code": code})})


def found(event: Event, id_source: IdSource = "client_id") -> tuple[str | None, str, str | None]:
    """Return the device's id, the confidence and the method."""
    named = identify(event, id_source)
    assert isinstance(named, Connection)
    evidence = named.doorlog.device
    assert evidence is not None
    assert (named.device is None) == (evidence.confidence == "unknown"), "an id is given if and only if it is meant"
    return named.device.id if named.device else None, evidence.confidence, evidence.method


# by what CONNECT said


@pytest.mark.parametrize(
    "event",
    [admitted_connect(mqtt=MQTT), ended_session(mqtt=MQTT), refused_publish(mqtt=MQTT)],
    ids=["connect", "disconnect", "authorize"],
)
def test_an_admitted_device_is_certain(event: Connection) -> None:
    assert found(event) == ("pump-17", "certain", "client_id")


def test_a_refused_connect_only_claims_a_name() -> None:
    assert found(refused_password(mqtt=MQTT)) == ("pump-17", "likely", "client_id")


def test_the_operator_may_go_by_user_names() -> None:
    assert found(admitted_connect(mqtt=MQTT, user=ANNA), "user_name") == ("anna", "certain", "user_name")
    assert found(refused_password(mqtt=MQTT, user=ANNA), "user_name") == ("anna", "likely", "user_name")
    assert found(admitted_connect(mqtt=MQTT, user=None), "user_name") == (None, "unknown", None)


@pytest.mark.parametrize("mqtt", [None, MqttPart(), MqttPart(client_id="")])
def test_without_any_name_the_device_is_unknown(mqtt: MqttPart | None) -> None:
    assert found(failed_connect(device=None, mqtt=mqtt)) == (None, "unknown", None)


# by what it showed


@pytest.mark.parametrize("id_source", ["client_id", "user_name", "certificate_common_name"])
def test_a_certificate_names_a_device_that_never_sent_connect(id_source: IdSource) -> None:
    event = refused(Code.CLOSED_BEFORE_CONNECT, tls=tls(established=True), mqtt=None, user=None)
    assert found(event, id_source) == ("device-17", "certain", "certificate")


@pytest.mark.parametrize("code", CERTIFICATE_REFUSALS)
def test_a_refused_certificate_names_its_device(code: Code) -> None:
    verified = code in {Code.CLIENT_CERTIFICATE_EXPIRED, Code.CLIENT_CERTIFICATE_NOT_YET_VALID}
    confidence = "certain" if verified else "likely"
    assert found(refused(code, tls=tls(established=False))) == ("device-17", confidence, "certificate")


@pytest.mark.parametrize("code", CERTIFICATE_REFUSALS)
def test_the_certificate_of_a_resumed_session_was_verified_in_the_first_one(code: Code) -> None:
    assert found(refused(code, tls=tls(established=True))) == ("device-17", "certain", "certificate")


@pytest.mark.parametrize(
    "code", [Code.CLIENT_ALERT, Code.RESET_AFTER_SERVER_CERTIFICATE, Code.HANDSHAKE_FAILED, Code.SERVER_SHUTDOWN]
)
def test_a_certificate_that_was_not_verified_yet_proves_nothing(code: Code) -> None:
    """In TLS 1.2 anybody can send anybody's certificate in the clear, and leave."""
    assert found(refused(code, tls=tls(established=False))) == ("device-17", "likely", "certificate")


def test_a_certificate_of_a_revoked_number_can_be_written_by_anybody() -> None:
    """OpenSSL looks a serial number up before it verifies any signature (tests/test_flow_door_hostile.py)."""
    named = identify(refused(Code.CLIENT_CERTIFICATE_REVOKED, tls=tls(established=False)))
    assert named.doorlog.device == DeviceEvidencePart(
        method="certificate",
        confidence="likely",
        evidence=("showed a certificate with this name and a revoked serial number",),
    )


def test_the_operator_may_go_by_certificates() -> None:
    shown = tls(established=True, names=("pump-17.example.org", "10.0.0.9"))
    for event in (admitted_connect(tls=shown), ended_session(tls=shown), refused_publish(tls=shown)):
        assert found(event, "certificate_common_name") == ("device-17", "certain", "certificate")
        assert found(event, "certificate_alternative_name") == ("pump-17.example.org", "certain", "certificate")


def test_a_device_that_is_to_be_named_by_its_certificate_is_not_named_by_anything_else() -> None:
    event = admitted_connect(mqtt=MQTT, user=ANNA, tls=TlsPart(established=True))
    assert found(event, "certificate_common_name") == (None, "unknown", None)
    nameless = admitted_connect(mqtt=MQTT, tls=tls(established=True, common_name=None))
    assert found(nameless, "certificate_common_name") == (None, "unknown", None)


def test_a_certificate_without_alternative_names_falls_back_to_its_common_name() -> None:
    event = admitted_connect(mqtt=MQTT, tls=tls(established=True))
    assert found(event, "certificate_alternative_name") == ("device-17", "certain", "certificate")


# and nothing else changes


def test_an_event_of_an_unknown_device_that_says_so_is_not_copied() -> None:
    event = failed_connect(device=None, mqtt=None, doorlog=DoorlogPart(device=UNKNOWN_DEVICE))
    assert identify(event) is event
    assert found(event.model_copy(update={"device": DevicePart(id="guessed")})) == (None, "unknown", None)


@pytest.mark.parametrize("event", [served_certificate(), stopped_audit()], ids=["certificate", "audit"])
def test_what_is_no_connection_has_no_device(event: Event) -> None:
    assert identify(event) is event


def test_only_the_device_is_added() -> None:
    event = admitted_connect(mqtt=MQTT)
    named = identify(event)
    assert named.event == event.event
    assert named.doorlog.stage is Stage.SESSION
    assert named.model_dump(exclude={"device", "doorlog"}) == event.model_dump(exclude={"device", "doorlog"})
    assert event.event.action is Action.CONNECT
    assert ended_session().event.code == DisconnectCause.KEEP_ALIVE_TIMEOUT


def test_an_event_without_a_connection_stays_as_it_is() -> None:
    event = stopped_audit()
    assert identify(event) is event


def test_a_flood_of_wrong_passwords_proves_no_name() -> None:
    """Else whoever writes a client id often enough would be certain to be that device."""
    assert found(flood("connect")) == ("pump-17", "likely", "client_id")


def test_a_flood_of_an_admitted_device_is_certain() -> None:
    assert found(flood("authorize")) == ("pump-17", "certain", "client_id")


def flood(action: Literal["connect", "authorize"]) -> FloodEvent:
    part = FloodPart(action=action, count=7, ports=1, first=WHEN, last=WHEN)
    connect = refused_password()
    return FloodEvent(
        timestamp=WHEN,
        event=connect.event.model_copy(update={"action": Action.FLOOD}),
        source=connect.source,
        destination=connect.destination,
        mqtt=MQTT,
        doorlog=DoorlogPart(flood=part),
    )


# by what the load balancer says


@pytest.mark.parametrize(("verified", "confidence"), [(True, "certain"), (False, "likely")])
def test_a_certificate_that_the_load_balancer_saw_names_the_device(verified: bool, confidence: str) -> None:
    proxy = ProxyPart(ip="192.0.2.1", port=1, client_name="pump-17", client_verified=verified)
    event = failed_connect(device=None, tls=None)
    event = event.model_copy(update={"doorlog": event.doorlog.model_copy(update={"proxy": proxy})})
    assert found(event) == ("pump-17", confidence, "proxy_certificate")
