"""The line that a tired operator reads, for every way in which an attempt can end."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorlog.events.audit_parts import AuditPart
from doorlog.events.codes import Action, Code, DisconnectCause, Outcome
from doorlog.events.parts import (
    DestinationPart,
    DoorlogPart,
    EventPart,
    FindingPart,
    InstancePart,
    ServicePart,
    TlsPart,
    TlsServerPart,
    X509Part,
)
from doorlog.events.records import AuditEvent, CertificateEvent, Event
from doorlog.events.sentences import message_of, reason_of
from support.random_events import events
from support.sample_events import (
    BEGUN,
    EXPIRED,
    NOW,
    OURS,
    attempt,
    certificate,
    device,
    refused_topic,
    session_end,
    tls,
)

UNKNOWN_CA = (48, "unknown_ca", "received")
PUMP = certificate("device-17", "Example Devices CA")


def assert_reads_well(event: Event) -> None:
    for sentence in (reason_of(event), message_of(event)):
        assert sentence.isprintable(), "one line, nothing that a terminal obeys"
        assert 0 < len(sentence) <= 400
        assert not sentence.endswith((".", " ", ":"))
        assert not re.search(r"\bNone\b|[{}]|  | ,| \)|\( ", sentence)
    assert not reason_of(event)[0].isupper() or reason_of(event).startswith("TLS ")


# Every code, in every version of TLS, with much and with little known.


@pytest.mark.parametrize(("code", "version"), list(product(Code, (None, "1.0", "1.2", "1.3"))))
def test_every_code_has_its_sentence_however_little_is_known(code: Code, version: str | None) -> None:
    assert_reads_well(attempt(code))
    assert_reads_well(attempt(code, tls=tls(version, ours=None)))
    assert_reads_well(attempt(code, ip=None, port=None, listener=None, tls=TlsPart(established=False)))
    assert_reads_well(attempt(code, tls=tls(version), client_id="pump-17", user="anna", **device("likely")))


@pytest.mark.parametrize("cause", DisconnectCause)
def test_every_end_of_a_session_has_its_sentence(cause: DisconnectCause) -> None:
    assert_reads_well(session_end(cause))
    assert_reads_well(session_end(cause, client_id="pump-17", user="anna", duration=1, **device("certain")))


def test_no_two_codes_read_alike() -> None:
    messages = [message_of(attempt(code, received=17)) for code in Code]

    assert len(set(messages)) == len(Code)


def test_a_code_of_a_newer_version_is_still_a_sentence() -> None:
    assert message_of(attempt("hello_too_polite")) == "10.0.0.9 at listener tls: no reason is known"
    assert_reads_well(attempt(None))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events())
def test_no_event_can_break_its_line(event: Event) -> None:
    for sentence in (reason_of(event), message_of(event)):
        assert sentence.isprintable()
        assert len(sentence) <= 400


# A reason that the door already gave.


def test_the_parsers_own_sentence_stands_and_is_told_once() -> None:
    reason = "the reserved connect flag is set (MQTT 3.1.1, 3.1.2-3)"
    event = attempt(Code.MALFORMED_CONNECT, reason=reason + ".")

    assert reason_of(event) == reason
    assert message_of(event) == f"10.0.0.9 sent a broken CONNECT to listener tls: {reason}"


def test_the_general_reason_is_not_repeated_in_the_line() -> None:
    event = attempt(Code.MALFORMED_CONNECT)
    told = attempt(Code.MALFORMED_CONNECT, reason=reason_of(event))

    assert message_of(told) == message_of(event) == "10.0.0.9 sent a broken CONNECT to listener tls"


def test_a_limit_always_says_which() -> None:
    reason = "more than 200 connections of this source wait for a verdict"

    assert message_of(attempt(Code.TOO_MANY_CONNECTIONS, reason=reason)) == (
        f"10.0.0.9 turned away at listener tls: {reason}"
    )
    assert message_of(attempt(Code.TOO_MANY_CONNECTIONS)) == (
        "10.0.0.9 turned away at listener tls: too many connections wait for a verdict"
    )


# Hostile text.


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=500))
def test_no_client_id_can_forge_a_line(client_id: str) -> None:
    event = attempt(Code.BAD_PASSWORD, client_id=client_id, user=client_id, **device("likely", client_id))

    message = message_of(event)
    assert message.isprintable()
    assert len(message) <= 220
    assert message.startswith('wrong password for user "')
    assert message.count('"') in {2, 4}


def test_a_client_id_that_tries_to_look_like_our_words_stays_in_its_quotes() -> None:
    forged = 'x) admitted\n10.0.0.1 "refused'

    assert message_of(attempt(Code.ADMITTED, client_id=forged)) == (
        '10.0.0.9 (client id "x) admitted\\u000A10.0.0.1 \'refused") admitted without TLS'
    )


def test_very_long_names_are_cut_each_and_the_line_too() -> None:
    long = "y" * 2000
    ours = certificate(long, long, alternative_names=(long,), serial_number="A" * 500)
    event = attempt(
        Code.SERVER_CERTIFICATE_BAD,
        tls=tls("1.3", (42, "bad_certificate", "received"), ours=ours, server_name="z" * 2000),
        **device("certain", long),
    )

    assert message_of(event).count("…") == 3
    assert_reads_well(event)
    assert_reads_well(attempt(Code.SERVER_CERTIFICATE_REVOKED, tls=tls(ours=ours), reason="z" * 9000))


# Sessions, access rules, certificates, the log itself.


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (DisconnectCause.NORMAL, "pump-17 (10.0.0.9, user anna) disconnected after 3 h 12 min"),
        (
            DisconnectCause.KEEP_ALIVE_TIMEOUT,
            "pump-17 (10.0.0.9, user anna) lost after 3 h 12 min: it sent nothing for 1.5 times its keep-alive of 60 s",
        ),
        (
            DisconnectCause.TAKEN_OVER,
            "pump-17 (10.0.0.9, user anna) replaced after 3 h 12 min: the same client id connected again",
        ),
        (
            DisconnectCause.RESET,
            "pump-17 (10.0.0.9, user anna) lost after 3 h 12 min: the device or the network reset the connection",
        ),
    ],
)
def test_the_end_of_a_session_says_how_long_it_lasted(cause: DisconnectCause, said: str) -> None:
    event = session_end(cause, duration=11_520_000_000_000, user="anna", mqtt={"keep_alive": 60}, **device("certain"))

    assert message_of(event) == said


def test_a_refused_topic_is_named() -> None:
    publish = refused_topic("publish", "plant/9/valve", user="anna", **device("certain"))
    will = refused_topic("will", "a b", client_id="pump-17")

    assert message_of(publish) == 'pump-17 (10.0.0.9, user anna) may not publish to "plant/9/valve"'
    assert reason_of(publish) == 'no access rule allows it to publish to "plant/9/valve"'
    assert message_of(will).endswith('may not leave a will on "a b"')
    assert_reads_well(refused_topic("subscribe", "#", mqtt=None, doorlog={}))


def certificate_event(
    action: Action, ours: X509Part | None = OURS, findings: tuple[FindingPart, ...] | None = None
) -> CertificateEvent:
    return CertificateEvent(
        timestamp=NOW,
        event=EventPart(category=("configuration",), type=("info",), action=action, outcome=Outcome.SUCCESS),
        destination=DestinationPart(port=8883),
        tls=TlsPart(established=False, server=TlsServerPart(x509=ours, generation=3) if ours else None),
        doorlog=DoorlogPart(listener="tls", findings=findings),
    )


def test_a_served_chain_is_named_with_what_is_wrong_with_it() -> None:
    incomplete = FindingPart(severity="error", code="chain_incomplete", sentence="The intermediate is missing.")
    served = certificate_event(Action.CERTIFICATE_SERVED, findings=(incomplete,))

    assert message_of(served) == (
        'listener tls serves certificate "mqtt.example.com" from "Example CA 2", valid until 2027-01-31'
        " (generation 3); error: The intermediate is missing"
    )
    assert reason_of(served) == "error: The intermediate is missing"
    assert reason_of(certificate_event(Action.CERTIFICATE_SERVED)) == "it is served from now on"
    expired = certificate_event(Action.CERTIFICATE_SERVED, OURS.model_copy(update={"not_after": EXPIRED}))
    assert "expired on 2026-05-01" in message_of(expired)
    assert message_of(certificate_event(Action.CERTIFICATE_SERVED, None)) == "listener tls serves another certificate"


@pytest.mark.parametrize(
    ("not_after", "said"),
    [
        (OURS.not_after, "expires on 2027-01-31, in 265 days"),
        (NOW.replace(day=11, hour=12), "expires on 2026-05-11, in 1 day"),
        (NOW.replace(hour=23), "expires within 24 hours"),
        (EXPIRED, "expired on 2026-05-01"),
    ],
)
def test_an_expiring_certificate_says_when(not_after: object, said: str) -> None:
    event = certificate_event(
        Action.CERTIFICATE_EXPIRING, OURS.model_copy(update={"not_after": not_after, "not_before": BEGUN})
    )

    assert message_of(event) == f'certificate "mqtt.example.com" of listener tls {said}'
    assert reason_of(event) == f"our certificate {said}"
    assert_reads_well(certificate_event(Action.CERTIFICATE_EXPIRING, None))


def audit(action: Action, numbers: AuditPart | None = None, reason: str | None = None) -> AuditEvent:
    return AuditEvent(
        timestamp=NOW,
        event=EventPart(category=("process",), type=("info",), action=action, outcome=Outcome.SUCCESS, reason=reason),
        service=ServicePart(name="doorlog", version="0.1.0", instance=InstancePart(id="a1b2")),
        doorlog=DoorlogPart(audit=numbers),
    )


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (audit(Action.AUDIT_STARTED), "the log was started by doorlog 0.1.0 (instance a1b2)"),
        (
            audit(Action.AUDIT_STOPPED, AuditPart(accepted=120, connects=120)),
            "the log was stopped: 120 connections accepted, 120 recorded",
        ),
        (
            audit(Action.AUDIT_GAP, AuditPart(accepted=1, connects=0)),
            "records were lost: 1 connection accepted, 0 recorded, 1 under way",
        ),
        (audit(Action.AUDIT_GAP, reason="the disk was full."), "the disk was full"),
    ],
)
def test_the_log_speaks_of_itself_in_numbers(event: AuditEvent, said: str) -> None:
    assert message_of(event) == said
    assert_reads_well(event)


def test_a_log_without_a_service_speaks_too() -> None:
    started = audit(Action.AUDIT_STARTED).model_copy(update={"service": None})

    assert (message_of(started), reason_of(started)) == ("the log was started", "the broker started")
