"""Alerts in a configuration: defaults that hold, faults with their place, and an address that nobody ever sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doorlog.errors import SettingsError
from doorlog.settings.alert_models import DEFAULTS, NO_URL, AlertRulesSettings, AlertSettings, parse_url
from doorlog.settings.load import validate_door_settings

URL = "https://user:s3cret@a.example/hook?token=t0ken"
HOOK = {"url": URL}


def load(**alerts: Any) -> AlertSettings:
    data = {"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "alerts": {"webhook": HOOK, **alerts}}
    found = validate_door_settings(data, Path("/etc/doorlog/doorlog.yaml")).alerts
    assert found is not None
    return found


def fault(**alerts: Any) -> tuple[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(**alerts)
    (found,) = caught.value.faults
    assert "s3cret" not in str(caught.value)
    return found


def test_what_holds_without_a_word() -> None:
    alerts = load()
    assert (alerts.every, alerts.webhook.timeout) == (14_400, 10)
    assert {name: alerts.rules.rule(name) for name in DEFAULTS} == DEFAULTS
    assert set(DEFAULTS) == set(AlertRulesSettings.model_fields)


def test_a_rule_is_switched_off_or_tuned() -> None:
    rules = load(rules={"failing": {"enabled": False}, "cohort_failing": {"pending": 0, "limit": 0.8}}).rules
    assert not rules.rule("failing").enabled
    assert rules.rule("cohort_failing") == (True, 0, 0.8)
    assert rules.rule("log_lags") == DEFAULTS["log_lags"]


def test_the_address_is_never_shown() -> None:
    alerts = load()
    assert alerts.webhook.url is not None
    assert alerts.webhook.url.get_secret_value() == URL
    assert not any(word in f"{alerts!r} {alerts} {alerts.model_dump_json()}" for word in ("s3cret", "t0ken"))


def test_an_address_in_the_place_of_all_of_it_is_not_shown_either() -> None:
    data = {"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "alerts": URL}
    with pytest.raises(SettingsError) as caught:
        validate_door_settings(data, Path("doorlog.yaml"))
    assert "s3cret" not in str(caught.value)


def test_a_file_of_the_address_stands_beside_the_configuration() -> None:
    assert load(webhook={"url_file": "hook.url"}).webhook.url_file == Path("/etc/doorlog/hook.url")


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3cret", "ftp://s3cret.example.com", "https://", "https:///s3cret", "https://s3cret:0/", "//s3cret"),
        *("https://s3cret:99999/", "https://a b/s3cret", "https://é/s3cret", "https://a/s3cret#x", "http://[s3cret/"),
        *("https://a/s3cret\r\nX: y", f"https://a/s3cret{'x' * 5000}"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert fault(webhook={"url": url}) == ("alerts.webhook.url", NO_URL)
    with pytest.raises(ValueError, match="expected an address"):
        parse_url(url)


@pytest.mark.parametrize(
    ("alerts", "place", "sentence"),
    [
        ({"webhook": {"url": 17}}, "alerts.webhook.url", NO_URL),
        ({"webhook": URL}, "alerts.webhook", "expected keys below it: cafile, timeout, url, url_file"),
        (
            {"webhook": {"url_file": URL}},
            "alerts.webhook.url_file",
            "expected the name of a file that holds the address; the address itself belongs into url",
        ),
        ({"webhook": {}}, "alerts.webhook", "set either url or url_file, where messages go"),
        ({"webhook": {**HOOK, "url_file": "x"}}, "alerts.webhook", "set either url or url_file, where messages go"),
        ({"webhook": {**HOOK, "timeout": 0}}, "alerts.webhook.timeout", "expected at least 1 (it is 0)"),
        ({"webhook": {**HOOK, "timeout": 61}}, "alerts.webhook.timeout", "expected at most 60 (it is 61)"),
        ({"every": 59}, "alerts.every", "expected at least 60 (it is 59)"),
        ({"interval": 0}, "alerts.interval", "expected at least 0.05 (it is 0)"),
        ({"rules": {"log_gap": {"limit": 1}}}, "alerts.rules", "log_gap has no limit: remove it"),
        ({"rules": {"filing": {}}}, "alerts.rules.filing", 'unknown key; did you mean "failing"?'),
        ({"rules": {"failing": {"limit": 0}}}, "alerts.rules.failing.limit", "expected more than 0 (it is 0)"),
        ({"rules": {"failing": None}}, "alerts.rules.failing", "is empty: give it a value, or remove the key"),
    ],
)
def test_a_fault_is_named_by_its_place_and_what_would_be_right(
    alerts: dict[str, Any], place: str, sentence: str
) -> None:
    assert fault(**alerts) == (place, sentence)
