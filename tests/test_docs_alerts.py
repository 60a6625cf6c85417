"""The page of alerts: the message is one that is really sent, and the table tells each rule as it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import yaml

from doorlog.settings.alert_models import DEFAULTS, AlertSettings
from doorlog.watch.alert_message import body_of, message_of
from doorlog.watch.alert_rules import NO_COUNTS, Sample
from doorlog.watch.alerts import Alerts

PAGE = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text("utf-8")


def test_the_message_is_one_that_is_sent() -> None:
    counts = replace(
        NO_COUNTS,
        attempts={
            ("tls", "session", "admitted", "success"): 899,
            ("tls", "credentials", "bad_password", "failure"): 41,
        },
        cohorts={("site:berlin", "success"): 2, ("site:berlin", "failure"): 38},
    )
    devices = {("cohort", "site:berlin"): ("pump-17", "pump-18", "pump-21", "pump-4", "pump-9", "pump-2")}
    alerts = Alerts(DEFAULTS, every=14_400, resolve=300, start=0)
    told = [
        notice
        for moment in (0, 300)
        for notice in alerts.look(Sample(moment, 1_772_377_331 + moment, counts, devices=devices))
    ]
    (sent,) = [json.loads(body_of(message_of(notice, "doorlog"))) for notice in told]
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown == json.dumps(sent, indent=2) + "\n"


def test_each_field_of_it_is_told() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    told = re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)))
    assert set(json.loads(shown)) <= set(told)


def test_each_rule_is_told_as_it_is() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| .* \| (none|[\d.]+)[^|]* \| (\d+) s \|$", PAGE, re.MULTILINE)
    assert {name: (None if limit == "none" else float(limit), float(pending)) for name, limit, pending in rows} == {
        name: (rule.limit, rule.pending) for name, rule in DEFAULTS.items()
    }


def test_the_examples_are_configurations() -> None:
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert len(examples) == 2
    for example in examples:
        AlertSettings.model_validate(example["alerts"])
