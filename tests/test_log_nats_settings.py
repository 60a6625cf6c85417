"""The keys of the sink ``nats``."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from doorlog.log.nats_settings import NatsSettings

SERVERS = ("nats://a.example.com:4222",)


def settings(**keys: Any) -> NatsSettings:
    return NatsSettings(**{"servers": SERVERS, **keys})


def fault(**keys: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        settings(**keys)
    return "; ".join(error["msg"].removeprefix("Value error, ") for error in refused.value.errors())


def test_servers_are_all_that_must_be_said() -> None:
    assert settings().stream == "DOORLOG"
    assert not settings().is_encrypted


def test_servers_may_be_written_as_in_yaml() -> None:
    assert settings(servers=["nats://[::1]:4222", "nats://b/"]).servers == ("nats://[::1]:4222", "nats://b/")


@pytest.mark.parametrize("keys", [{"servers": ["tls://a"]}, {"cafile": "ca.pem"}, {"certfile": "c", "keyfile": "k"}])
def test_what_asks_for_tls_gets_nothing_else(keys: dict[str, Any]) -> None:
    assert settings(**keys).is_encrypted


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a.example.com:4222",
        "http://a",
        "nats://",
        "nats://a:0",
        "nats://a:99999",
        "nats://a/x",
        "nats://a?b",
        "ws://a",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert fault(servers=[address]) == "an address is no nats://HOST:PORT or tls://HOST:PORT"


@pytest.mark.parametrize("address", ["nats://u:hunter2@a", "nats://hunter2@a:4222", "tls://u:hunter2@a"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    assert fault(servers=[address]) == "an address holds a user or a password: use user and password_file"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"servers": ["nats://a", "tls://b"]}, "some are nats:// and some tls://"),
        ({"servers": []}, "at least 1 item"),
        ({"user": "u"}, "user and password_file belong together"),
        ({"password_file": "p"}, "user and password_file belong together"),
        ({"user": "u", "password_file": "p", "nkey_file": "n"}, "name one of them"),
        ({"credentials_file": "c", "nkey_file": "n"}, "name one of them"),
        ({"certfile": "c"}, "certfile and keyfile belong together"),
        ({"max_age": 60, "duplicate_window": 61}, "duplicate_window: no more than max_age"),
        ({"stream": "a.b"}, "match pattern"),
        ({"subject": "a.*"}, "match pattern"),
        ({"subject": "$JS"}, "match pattern"),
        ({"replicas": 6}, "less than or equal to 5"),
        ({"password": "hunter2"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_told(keys: dict[str, Any], expected: str) -> None:
    assert expected in fault(**keys)
