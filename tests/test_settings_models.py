"""Settings refuse what can not work, and their defaults are safe."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from doorlog.settings.base import Setting
from doorlog.settings.log_models import FileLogSettings, LogSettings, PrivacySettings, SinkSettings
from doorlog.settings.models import (
    BrokerSettings,
    LimitsSettings,
    ListenerSettings,
    PluginSettings,
    Settings,
    TlsSettings,
)

TLS = {"certfile": "c.pem", "keyfile": "k.pem"}
PLUGIN: dict[str, Any] = {"plugins": {"a.Plugin": {}}}


def fault(model: type[Setting], **given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


# bind


@pytest.mark.parametrize(
    "bind",
    [
        *("", "1883", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:mqtt", "127.0.0.1:65536", "127.0.0.1:-1", "::1:8883"),
        *("[::1]", "[127.0.0.1:8883", "a b:1", "1.2.3.4:1 ", " 1.2.3.4:1", "1.2.3.4:1\n", "1.2.3.4:٣", "[x]:1"),
        *("[1:2]:1", "a..b:1", ".:1", f"{'a' * 64}:1", "a\0b:1", "a/b:1", "münchen.example:1"),
        *(1883, None, 1.5, ["127.0.0.1:1883"], b"127.0.0.1:1883"),
    ],
)
def test_an_address_without_a_port_is_told_what_one_looks_like(bind: object) -> None:
    assert fault(ListenerSettings, bind=bind) == 'expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"'


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:8883", ("127.0.0.1", 8883)),
        ("[::1]:0", ("::1", 0)),
        ("[::]:65535", ("::", 65535)),
        (":1883", ("", 1883)),
        ("broker.example.com:1883", ("broker.example.com", 1883)),
    ],
)
def test_an_address_and_a_port(bind: str, address: tuple[str, int]) -> None:
    assert ListenerSettings(bind=bind).address == address


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.com:1", False),
        ("127.0.0.1.example.com:1", False),
    ],
)
def test_only_loopback_counts_as_this_machine(bind: str, *, expected: bool) -> None:
    assert ListenerSettings(bind=bind).is_loopback is expected


# listeners


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"proxy_protocol": "required"},
            "proxy_protocol: required needs proxy_networks, the load balancers that are believed",
        ),
        ({"proxy_networks": ["10.0.0.0/24"]}, "proxy_networks has no effect without proxy_protocol: required"),
        ({"origins": ["https://example.com"]}, "origins has no effect without websocket: true"),
    ],
)
def test_settings_of_a_listener_that_contradict_each_other(given: dict[str, Any], expected: str) -> None:
    assert fault(ListenerSettings, bind="127.0.0.1:0", **given) == expected


@pytest.mark.parametrize("network", ["", "10.0.0.0/33", "10.0.0", "example.com", "::/129", "10.0.0.0/-1", 10, None])
def test_a_network_that_is_none(network: object) -> None:
    said = fault(ListenerSettings, bind="127.0.0.1:0", blocked_networks=[network])

    assert said.startswith('expected a network, as in "10.0.0.0/24" or "2001:db8::/32"')


@pytest.mark.parametrize(
    ("given", "all_of_it", "one"),
    [("10.0.0.9/24", "10.0.0.0/24", "10.0.0.9"), ("2001:db8::9/32", "2001:db8::/32", "2001:db8::9")],
)
def test_an_address_in_a_network_could_mean_either(given: str, all_of_it: str, one: str) -> None:
    said = fault(ListenerSettings, bind="127.0.0.1:0", blocked_networks=[given])

    assert said == f'{given} is an address in a network: write "{all_of_it}" for all of it, or "{one}" for one'


def test_networks_of_both_kinds_and_single_addresses() -> None:
    texts = ["10.0.0.0/8", "10.0.0.9", "2001:db8::/32", "::1", "10.0.0.0/255.255.255.0"]
    networks = ListenerSettings.model_validate({"bind": "127.0.0.1:0", "blocked_networks": texts}).blocked_networks

    assert networks == tuple(map(ip_network, texts))
    assert ListenerSettings(bind="127.0.0.1:0", blocked_networks=networks).blocked_networks == networks


# TLS


@pytest.mark.parametrize("choice", ["optional", "required"])
def test_client_certificates_need_somebody_who_signs_them(choice: str) -> None:
    said = fault(TlsSettings, **TLS, client_certificate=choice)

    assert said == f"client_certificate: {choice} needs cafile, the authorities that sign the devices"


def test_a_revocation_list_without_client_certificates() -> None:
    said = fault(TlsSettings, **TLS, cafile="ca.pem", crlfile="crl.pem")

    assert said == "crlfile is for client certificates: set client_certificate to optional or required"


def test_versions_in_the_wrong_order() -> None:
    said = fault(TlsSettings, **TLS, minimum_version="1.3", maximum_version="1.2")

    assert said == "minimum_version is newer than maximum_version"


@pytest.mark.parametrize("version", ["1.0", "1.1", 1.1, "1.4", 12, "TLSv1.2", None])
def test_a_version_that_is_not_served(version: object) -> None:
    assert "1.2" in fault(TlsSettings, **TLS, minimum_version=version)


@pytest.mark.parametrize("version", ["1.3", 1.3])
def test_a_version_may_stand_without_quotes(version: object) -> None:
    assert TlsSettings.model_validate({**TLS, "minimum_version": version}).minimum_version == "1.3"


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_an_application_protocol_that_tls_can_not_carry(name: str) -> None:
    fault(TlsSettings, **TLS, alpn=[name])


def test_tls_is_safe_as_it_comes() -> None:
    tls = TlsSettings.model_validate(TLS)

    assert (tls.minimum_version, tls.client_certificate) == ("1.2", "none")
    assert all(word in tls.ciphers for word in ("ECDHE+AESGCM", "CHACHA20"))


# limits


@pytest.mark.parametrize("value", [0, -1, 301, float("nan"), float("inf"), "ten", None, True])
def test_an_attempt_has_a_deadline_whatever_is_written(value: object) -> None:
    if value is True:
        assert LimitsSettings.model_validate({"attempt_timeout": value}).attempt_timeout == 1
    else:
        fault(LimitsSettings, attempt_timeout=value)


@pytest.mark.parametrize("value", [63, 268_435_456, -1, 64.5, "many"])
def test_a_connect_packet_has_a_size_that_mqtt_allows(value: object) -> None:
    fault(LimitsSettings, connect_max_bytes=value)


@pytest.mark.parametrize("key", ["attempts_per_listener", "attempts_per_source"])
def test_there_is_room_for_one_attempt_at_least(key: str) -> None:
    fault(LimitsSettings, **{key: 0})


def test_sessions_do_not_expire_before_they_begin() -> None:
    fault(BrokerSettings, session_expiry=0)


# the whole


@pytest.mark.parametrize("auth", [{}, {"plugins": {}}, {"plugins": None}])
def test_a_broker_that_would_admit_nobody(auth: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="auth"):
        Settings.model_validate({"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "auth": auth})


def test_a_broker_without_a_door() -> None:
    with pytest.raises(ValidationError, match="listeners"):
        Settings.model_validate({"listeners": {}, "auth": PLUGIN})


def test_a_plugin_without_options_has_none() -> None:
    assert PluginSettings.model_validate({"plugins": {"a.Plugin": None}}).plugins == {"a.Plugin": {}}


def test_the_log_goes_somewhere_unless_told_otherwise() -> None:
    settings = Settings.model_validate({"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "auth": PLUGIN})

    assert settings.log == LogSettings(stdout=True)
    assert LogSettings(file=FileLogSettings(path=Path("x"))).console == "auto"


def models() -> list[type[Setting]]:
    found = list(Setting.__subclasses__())
    for model in found:
        found += model.__subclasses__()
    return found


@pytest.mark.parametrize("model", models())
def test_every_group_is_frozen_refuses_strangers_and_is_documented(model: type[Setting]) -> None:
    assert model.model_config["frozen"]
    # The keys of a sink are those of its type: the registry checks them against the model that the type brings.
    assert model.model_config["extra"] == ("allow" if model is SinkSettings else "forbid")
    assert model.__doc__
    assert [name for name, field in model.model_fields.items() if not field.description] == []


# the log


PLAIN = {"user_name", "client_id", "address", "certificate_name"}


@pytest.mark.parametrize("field", sorted(PLAIN))
def test_pseudonyms_need_a_key(field: str) -> None:
    said = fault(PrivacySettings, **{field: "hmac"})

    assert said == "hmac needs keyfile: make one with openssl rand -out privacy.key 32"
    assert getattr(PrivacySettings.model_validate({field: "omit"}), field) == "omit"
    assert getattr(PrivacySettings.model_validate({field: "hmac", "keyfile": "k"}), field) == "hmac"


def test_strict_promises_only_what_a_file_can_keep() -> None:
    file = {"path": "x.jsonl"}

    assert fault(LogSettings, mode="strict") == "mode: strict needs file: only a file can be known to be on disk"
    said = fault(LogSettings, mode="strict", file=file, on_error="continue")
    assert said == "mode: strict admits nobody without a record: on_error: continue would"
    strict = LogSettings.model_validate({"mode": "strict", "file": file})
    assert (strict.reaction, strict.folds) == ("refuse", False)


@pytest.mark.parametrize(
    ("given", "reaction", "folds"),
    [
        ({}, "continue", True),
        ({"mode": "best_effort", "on_error": "stop"}, "stop", True),
        ({"flood": {"enabled": False}}, "continue", False),
        ({"mode": "strict", "file": {"path": "x"}, "flood": {"enabled": True}}, "refuse", True),
    ],
)
def test_what_holds_without_a_word(given: dict[str, Any], reaction: str, folds: bool) -> None:
    log = LogSettings.model_validate(given)

    assert (log.reaction, log.folds) == (reaction, folds)


def test_a_sink_has_the_keys_of_its_type() -> None:
    log = LogSettings.model_validate({"sinks": {"central": {"type": "syslog", "address": "10.0.0.1:514"}}})

    assert log.sinks["central"].options == {"address": "10.0.0.1:514"}
    assert SinkSettings(type="mqtt").options == {}


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "a.b", "-a", "x" * 33])
def test_the_name_of_a_sink_can_stand_in_a_metric(name: str) -> None:
    fault(LogSettings, sinks={name: {"type": "syslog"}})
