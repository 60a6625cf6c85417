"""The rules for Prometheus: promtool runs their tests, each has one that it fires in, and all they ask for exists."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from doorlog.application.cli import app
from doorlog.events.codes import Code
from support.promtool import METRIC, metrics, needs_promtool, promtool

FOLDER = Path(__file__).parent.parent / "config" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "doorlog-alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "doorlog-alerts.test.yml").read_text("utf-8"))["tests"]
NAMES = {rule["alert"] for rule in RULES}


@needs_promtool
def test_prometheus_takes_the_files() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "doorlog-alerts.yml", cwd=FOLDER)
    promtool("check", "config", "prometheus.yml", cwd=FOLDER)


@needs_promtool
def test_each_rule_fires_when_it_should_and_not_otherwise() -> None:
    promtool("test", "rules", "doorlog-alerts.test.yml", cwd=FOLDER)


def test_each_rule_has_a_test_in_which_it_fires() -> None:
    """A test names exactly what fires: a rule that never does fails its own test, one that always does all others."""
    fired = [
        sample["labels"]
        for test in TESTS
        for query in test.get("promql_expr_test", [])
        for sample in query["exp_samples"]
    ]
    assert {f'{{alertname="{name}"}}' for name in NAMES} == set(fired)
    assert len(fired) > len(RULES)


@needs_promtool
@pytest.mark.parametrize("wrong", ["vector(0) > 1", "vector(1)"])
def test_the_tests_notice_a_rule_that_is_never_or_always_true(wrong: str, tmp_path: Path) -> None:
    changed = [{**rule, "expr": wrong} if rule["alert"] == "DoorlogDown" else rule for rule in RULES]
    groups = {"groups": [{"name": "doorlog", "rules": changed}]}
    (tmp_path / "doorlog-alerts.yml").write_text(yaml.safe_dump(groups), "utf-8")
    shutil.copy(FOLDER / "doorlog-alerts.test.yml", tmp_path)
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", "doorlog-alerts.test.yml", cwd=tmp_path)


def test_every_metric_of_a_rule_is_told() -> None:
    asked = {name for rule in RULES for name in METRIC.findall(rule["expr"])}
    assert len(asked) > 10
    assert asked <= metrics()


def test_every_code_of_a_rule_exists() -> None:
    codes = {
        code for rule in RULES for found in re.findall(r'code=~?"([^"]+)"', rule["expr"]) for code in found.split("|")
    }
    assert codes
    assert codes <= set(map(str, Code))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_says_what_to_do_with_commands_that_there_are(rule: dict[str, Any]) -> None:
    commands: Any = get_command(app)
    action = rule["annotations"]["action"]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    named = re.findall(r"\bdoorlog ([a-z]+)((?: (?:-{1,2}[a-z]+|CONFIG|[a-z_]+|\{\{[^}]*\}\}))*)", action)
    for command, rest in named:
        options = {option for parameter in commands.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z]+", rest)) <= options
    assert rule["annotations"]["summary"].startswith("{{ $labels.instance }}: ")
