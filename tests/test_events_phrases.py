"""What a line says of the peer, how far it got and how it proved itself, word for word."""

from __future__ import annotations

import pytest

from doorlog.events.codes import Code
from doorlog.events.parts import (
    VerdictPart,
)
from doorlog.events.sentences import message_of
from support.sample_events import (
    attempt,
    certificate,
    device,
    tls,
)

UNKNOWN_CA = (48, "unknown_ca", "received")
PUMP = certificate("device-17", "Example Devices CA")


@pytest.mark.parametrize(
    ("confidence", "who"),
    [
        ("certain", "pump-17 (10.0.0.9) refused"),
        ("likely", "device likely pump-17 (10.0.0.9) refused"),
        ("ambiguous", "10.0.0.9 refused"),
        ("unknown", "10.0.0.9 refused"),
    ],
)
def test_a_device_is_named_only_as_far_as_it_is_known(confidence: str, who: str) -> None:
    event = attempt(Code.SERVER_CERTIFICATE_UNKNOWN_CA, tls=tls(), **device(confidence))

    assert message_of(event).startswith(who)


@pytest.mark.parametrize(
    ("code", "received", "said"),
    [
        (
            Code.CLOSED_BEFORE_HELLO,
            0,
            "10.0.0.9 opened a connection to listener tls and closed it without a byte (health check or port scan)",
        ),
        (
            Code.CLOSED_BEFORE_HELLO,
            17,
            (
                "10.0.0.9 opened a connection to listener tls and closed it after 17 bytes,"
                " before its ClientHello was complete"
            ),
        ),
        (Code.HELLO_TIMEOUT, 0, "10.0.0.9 sent nothing to listener tls within 10 s"),
        (Code.HELLO_TIMEOUT, 1, "10.0.0.9 sent no complete ClientHello to listener tls within 10 s"),
        (
            Code.CLOSED_BEFORE_CONNECT,
            0,
            "10.0.0.9 opened a connection to listener tls and closed it without a byte (health check or port scan)",
        ),
        (Code.CLOSED_BEFORE_CONNECT, 1, "10.0.0.9 left listener tls after 1 byte, before its CONNECT was complete"),
        (Code.CONNECT_TIMEOUT, 1, "10.0.0.9 sent no complete CONNECT to listener tls within 10 s"),
    ],
)
def test_silence_is_told_from_half_a_message(code: Code, received: int, said: str) -> None:
    assert message_of(attempt(code, received=received, duration=10_004_000_000)) == said


def test_a_silent_refusal_after_the_handshake_is_suspicion_only() -> None:
    event = attempt(Code.CLOSED_BEFORE_CONNECT, received=500, tls=tls("1.2", established=True))

    assert message_of(event) == (
        "10.0.0.9 completed TLS 1.2 and left without a CONNECT (health check, or a silent refusal of our certificate)"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (Code.BAD_PASSWORD, 'wrong password for user "anna" from 10.0.0.9 (client id pump-17)'),
        (Code.UNKNOWN_USER, 'unknown user "anna" from 10.0.0.9 (client id pump-17)'),
        (Code.CLIENT_ID_TAKEN, 'client id "pump-17" refused to user "anna" (10.0.0.9): it belongs to another user'),
        (
            Code.AUTH_BACKEND_ERROR,
            'login of user "anna" from 10.0.0.9 (client id pump-17) refused: authentication plugin ldap.Plugin failed',
        ),
        (
            Code.NOT_AUTHORIZED,
            'login of user "anna" from 10.0.0.9 (client id pump-17) is not allowed (denied by files.Plugin)',
        ),
        (
            Code.THROTTLED,
            (
                'login of user "anna" from 10.0.0.9 (client id pump-17) refused unchecked:'
                " too many logins at the same time"
            ),
        ),
    ],
)
def test_a_refused_login_names_user_address_and_client_id(code: Code, said: str) -> None:
    verdicts = (
        VerdictPart(plugin="files.Plugin", verdict="deny", duration=1),
        VerdictPart(plugin="ldap.Plugin", verdict="error", duration=1),
    )

    # Identity calls it likely, since anybody can write any client id; the line says "client id" and no more.
    assert message_of(attempt(code, client_id="pump-17", user="anna", verdicts=verdicts, **device("likely"))) == said


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        (Code.AUTH_BACKEND_ERROR, "error", "LdapPlugin failed: KeyError"),
        (Code.AUTH_TIMEOUT, "timeout", "LdapPlugin did not answer within 5 s"),
        (Code.NOT_AUTHORIZED, "deny", "LdapPlugin refused the device"),
    ],
)
def test_a_plugin_is_named_once(code: Code, verdict: str, reason: str) -> None:
    verdicts = (VerdictPart.model_validate({"plugin": "LdapPlugin", "verdict": verdict, "duration": 1}),)
    event = attempt(code, client_id="pump-17", user="anna", verdicts=verdicts, reason=reason)

    assert message_of(event).endswith(f": {reason}")
    assert message_of(event).count("LdapPlugin") == 1


def test_a_refused_login_names_the_certificate_that_was_shown() -> None:
    shown = tls("1.3", established=True, theirs=PUMP)

    assert message_of(attempt(Code.NOT_AUTHORIZED, client_id="pump-18", tls=shown)) == (
        "login from 10.0.0.9 (client id pump-18, certificate device-17) is not allowed"
    )
    assert message_of(attempt(Code.BAD_PASSWORD, client_id="device-17", user="anna", tls=shown)) == (
        'wrong password for user "anna" from 10.0.0.9 (client id device-17)'
    )


@pytest.mark.parametrize(
    ("version", "said"), [("5.0", "MQTT 5.0"), ("131", "MQTT protocol level 131"), (None, "another version of MQTT")]
)
def test_a_newer_mqtt_is_named(version: str | None, said: str) -> None:
    event = attempt(Code.UNSUPPORTED_PROTOCOL_VERSION, mqtt={"protocol_version": version})

    assert message_of(event) == f"10.0.0.9 speaks {said}, the broker speaks MQTT 3.1.1"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"tls": tls("1.3", established=True), "user": "anna", **device("certain")},
            "pump-17 (10.0.0.9, user anna) admitted over TLS 1.3",
        ),
        ({"client_id": "pump-17", "user": "anna"}, "10.0.0.9 (client id pump-17, user anna) admitted without TLS"),
        ({"tls": tls(None, established=True)}, "10.0.0.9 admitted over TLS"),
        (
            {"tls": tls("1.3", theirs=PUMP), **device("certain")},
            "pump-17 (10.0.0.9, certificate device-17) admitted over TLS 1.3",
        ),
        (
            {"tls": tls("1.3", theirs=PUMP), **device("certain", "device-17")},
            "device-17 (10.0.0.9) admitted over TLS 1.3",
        ),
        ({"tls": tls("1.3", theirs=certificate(None, "CA"))}, "10.0.0.9 admitted over TLS 1.3"),
    ],
)
def test_an_admitted_device_is_one_short_line(facts: dict[str, object], said: str) -> None:
    assert message_of(attempt(Code.ADMITTED, **facts)) == said


def test_a_claimed_device_without_a_client_id_is_named_as_likely() -> None:
    event = attempt(Code.BAD_PASSWORD, user="anna", **device("likely"))

    assert message_of(event) == 'wrong password for user "anna" from 10.0.0.9 (device likely pump-17)'
