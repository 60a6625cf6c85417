"""The story of an attempt, in the order in which it happened, and never more than its records say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.events.codes import Code
from doorlog.readers.story import story_of

CONNECTION = "0123456789abcdef"
REFUSED: dict[str, Any] = {
    "message": "refused our certificate",
    "event": {"action": "connect", "code": "server_certificate_unknown_ca", "reason": "it does not trust the issuer"},
    "source": {"ip": "192.0.2.7", "port": 40000},
    "destination": {"port": 8883},
    "tls": {
        "established": False,
        "alert": {"description": "unknown_ca", "direction": "received"},
        "client": {"supported_versions": ["1.3", "1.2"], "server_name": "mqtt.example.org"},
        "server": {
            "generation": 3,
            "x509": {"subject": {"common_name": ["mqtt"]}, "issuer": {"common_name": ["CA 2"]}},
        },
    },
    "device": {"id": "pump-17"},
    "doorlog": {
        "connection_id": CONNECTION,
        "listener": "tls",
        "stage": "handshake",
        "proxy": {"ip": "10.0.0.1"},
        "device": {
            "confidence": "likely",
            "evidence": ["same address"],
            "candidates": [{"id": "pump-17", "score": 0.9}],
        },
    },
}
ADMITTED: dict[str, Any] = {
    "event": {"action": "connect", "code": "admitted", "duration": 5_000_000},
    "source": {"ip": "192.0.2.7"},
    "tls": {"established": True, "version": "1.3", "cipher": "TLS_AES_128_GCM_SHA256"},
    "mqtt": {"client_id": "pump-17", "protocol_version": "3.1.1", "connack": {"code": 0, "name": "accepted"}},
    "user": {"name": "anna"},
    "doorlog": {
        "connection_id": CONNECTION,
        "listener": "tls",
        "auth": {"verdicts": [{"plugin": "PasswordFilePlugin", "verdict": "allow", "duration": 12_000_000}]},
    },
}
ENDED: dict[str, Any] = {
    "message": "went without a word",
    "event": {"action": "disconnect", "code": "keep_alive_timeout"},
    "doorlog": {"connection_id": CONNECTION},
}
CONFIRMED: dict[str, Any] = {
    "message": "it was pump-17",
    "event": {"action": "device_confirmed"},
    "doorlog": {"connection_id": "other", "confirmed": {"connection_ids": [CONNECTION]}},
}


def test_a_device_that_refused_our_certificate() -> None:
    story = story_of([REFUSED, CONFIRMED], CONNECTION)

    assert [tuple(step) for step in story[:9]] == [
        ("TCP", "accepted from 192.0.2.7 port 40000 at listener tls, port 8883"),
        ("PROXY", "a load balancer at 10.0.0.1 told the device's address"),
        ("TLS", "the device offered TLS 1.3 1.2, server name mqtt.example.org"),
        ("TLS", "we served the certificate of mqtt by CA 2, generation 3"),
        ("TLS", "the device refused us: alert unknown_ca"),
        ("explained", "it was pump-17"),
        ("stopped at", "handshake: server_certificate_unknown_ca"),
        ("because", "it does not trust the issuer"),
        ("device", "likely pump-17: same address"),
    ]
    assert [step.name for step in story[9:]] == ["means", "on the device", "on the device", *["on the broker"] * 2]


def test_our_own_alert_is_never_put_on_the_device() -> None:
    ours = {**REFUSED, "tls": {"alert": {"description": "certificate_expired", "direction": "sent"}}}

    assert ("TLS", "we refused the device: alert certificate_expired") in story_of([ours], CONNECTION)


def test_a_session_from_its_beginning_to_its_end() -> None:
    story = story_of([ADMITTED, ENDED], CONNECTION)

    assert [tuple(step) for step in story[:7]] == [
        ("TCP", "accepted from 192.0.2.7 at listener tls"),
        ("TLS", "established: TLS 1.3, TLS_AES_128_GCM_SHA256"),
        ("CONNECT", "client id pump-17, user anna, MQTT 3.1.1"),
        ("credentials", "PasswordFilePlugin: allow, after 0.012 s"),
        ("session", "admitted, CONNACK 0 (accepted), after 0.005 s"),
        ("end", "went without a word"),
        ("device", "unknown"),
    ]
    assert story[7].name == "means"


def test_a_session_without_an_end_is_still_open() -> None:
    assert ("still open", "no end of this session is in the log") in story_of([ADMITTED], CONNECTION)


@pytest.mark.parametrize("code", Code)
def test_every_code_is_explained(code: Code) -> None:
    record = {**REFUSED, "event": {"action": "connect", "code": code.value}}

    assert "means" in [step.name for step in story_of([record], CONNECTION)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(range(60)), value=JSON, base=st.sampled_from([REFUSED, ADMITTED, ENDED, CONFIRMED]))
def test_a_changed_record_never_stops_the_story(path: int, value: Any, base: dict[str, Any]) -> None:
    record = orjson.loads(orjson.dumps(base))
    places = list(places_of(record))
    holder, key = places[path % len(places)]
    holder[key] = value

    assert all(isinstance(step.text, str) for step in story_of([record], CONNECTION))


def places_of(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from places_of(inner)
