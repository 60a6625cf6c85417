"""The page of metrics: each with type, labels and meaning, as a broker tells it, and every rule."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from support.promtool import Told, told

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")


def test_every_metric_is_on_the_page_as_a_broker_tells_it() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*) \| (.*) \|$", PAGE, flags=re.MULTILINE)
    documented = {
        name: Told(kind, frozenset(re.findall(r"`([a-z]+)`", labels)), words) for name, kind, labels, words in rows
    }
    assert documented == told()


def test_every_rule_is_on_the_page() -> None:
    rules = yaml.safe_load((ROOT / "config" / "prometheus" / "doorlog-alerts.yml").read_text("utf-8"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^\| `(Doorlog[A-Za-z]+)` \|", PAGE, flags=re.MULTILINE)) == names
