"""``doorlog alerts``: a test message and what became of it, and the rules with their limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from doorlog.application.cli import ExitCode
from doorlog.passwords import set_password
from doorlog.settings.alert_models import DEFAULTS
from support.commands import doorlog, write_yaml
from support.webhook_receiver import receiving


def configuration(folder: Path, **groups: Any) -> Path:
    set_password(folder / "users.txt", "pump-17", "secret")
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={"plain": {"bind": "127.0.0.1:0"}},
        auth={"plugins": {"amqtt_doorlog.PasswordFilePlugin": {"password_file": "users.txt"}}},
        log={"file": {"path": "doorlog.jsonl"}},
        **groups,
    )


def test_a_test_message_arrives_and_its_address_is_not_shown(tmp_path: Path) -> None:
    with receiving() as receiver:
        path = configuration(tmp_path, alerts={"webhook": {"url": receiver.url}}, service={"name": "broker-1"})
        said = doorlog("alerts", "test", "-c", path)
        plain = doorlog("alerts", "test", "-c", path, "--json")
    assert (said.code, said.err) == (0, [])
    assert re.fullmatch(r"alerts\.webhook: the message was taken: HTTP 200 OK, after \d+\.\d\d s", said.out[0])
    assert json.loads("".join(plain.out)) | {"seconds": 0} == {
        "taken": True, "status": 200, "seconds": 0, "sentence": "HTTP 200 OK",
    }  # fmt: skip
    message = receiver.messages[0]
    assert (message["rule"], message["service"]) == ("test", "broker-1")
    assert message["text"] == "broker-1: This is a test: alerts of doorlog reach this place."
    assert "s3cret" not in "".join((*said.out, *plain.out))


def test_a_message_that_is_not_taken(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.statuses.extend((403, 403))
        path = configuration(tmp_path, alerts={"webhook": {"url": receiver.url}})
        said = doorlog("alerts", "test", "-c", path)
        plain = doorlog("alerts", "test", "-c", path, "--json")
    assert (said.code, said.out) == (ExitCode.FAILED, [])
    assert re.fullmatch(
        r"doorlog: alerts\.webhook: the message was not taken: HTTP 403 Forbidden, after .* s", said.err[0]
    )
    assert plain.code == ExitCode.FAILED
    assert json.loads("".join(plain.out))["status"] == 403


@pytest.mark.parametrize("command", ["test", "list"])
def test_without_alerts_there_is_nothing_to_try(tmp_path: Path, command: str) -> None:
    path = configuration(tmp_path)
    said = doorlog("alerts", command, "-c", path)
    assert said.code == ExitCode.SETTINGS
    assert said.err == [f"doorlog: {path}: alerts: is not set: name a webhook, see docs/alerts.md"]
    missing = doorlog("alerts", command, "-c", tmp_path / "none.yaml")
    assert (missing.code, len(missing.err)) == (ExitCode.SETTINGS, 1)


def test_the_rules_with_their_limits(tmp_path: Path) -> None:
    rules = {"failing": {"enabled": False}, "log_lags": {"limit": 7.5, "pending": 0}}
    path = configuration(tmp_path, alerts={"webhook": {"url": "https://s3cret.example.com/"}, "rules": rules})
    said = doorlog("alerts", "list", "-c", path)
    plain = json.loads("".join(doorlog("alerts", "list", "-c", path, "--json").out))
    assert (said.code, len(said.out)) == (0, len(DEFAULTS))
    assert "s3cret" not in "".join(said.out)
    (failing,) = [line for line in said.out if line.startswith("failing ")]
    (lags,) = [line for line in said.out if line.startswith("log_lags ")]
    assert re.search(r"\boff +limit 0\.5\b", failing)
    assert re.search(r"\bfor 0 s +limit 7\.5 +Events wait", lags)
    assert [row["rule"] for row in plain] == list(DEFAULTS)
    assert plain[0]["pending"] == DEFAULTS["failures_after_new_certificate"].pending


@pytest.mark.parametrize(
    ("webhook", "line"),
    [
        (
            {"url": "http://s3cret.example.com/"},
            "warning: alerts.webhook: names of devices cross the network in the clear",
        ),
        ({"url": "http://127.0.0.1:1/"}, None),
        ({"url_file": "none.url"}, "error: alerts.webhook: url_file {folder}/none.url: No such file or directory"),
        (
            {"url": "https://a/", "cafile": "none"},
            "error: alerts.webhook: cafile {folder}/none: No such file or directory",
        ),
    ],
)
def test_check_looks_at_the_webhook(tmp_path: Path, webhook: dict[str, str], line: str | None) -> None:
    out = doorlog("check", "-c", configuration(tmp_path, alerts={"webhook": webhook})).out
    found = [said for said in out if "alerts" in said]
    assert "s3cret" not in "".join(out)
    assert len(found) == (line is not None)
    assert line is None or found[0].startswith(line.format(folder=tmp_path))
