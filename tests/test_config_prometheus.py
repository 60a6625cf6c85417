"""The rules for Prometheus: promtool runs their tests, each has one that it fires in, and all they ask for exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from doorlog.application.cli import app
from doorlog.application.facts import Facts
from doorlog.application.metrics import exposition
from doorlog.events.codes import Code
from doorlog.log.status import LogStatus

FOLDER = Path(__file__).parent.parent / "config" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "doorlog-alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "doorlog-alerts.test.yml").read_text("utf-8"))["tests"]
NAMES = {rule["alert"] for rule in RULES}
METRIC = re.compile(r"\b(?:doorlog|process)_[a-z_]+\b")
WELL = LogStatus(mode="durable", failure=None, sequence=0, waiting=0, unwritten=0)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def metrics() -> set[str]:
    """Return every name that a query may ask for."""
    text = exposition(Facts(WELL, 0, 0)).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE))
    parts = {
        f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket", "sum", "count")
    }
    return set(kinds) | parts


def promtool(*words: str, cwd: Path = FOLDER) -> str:
    done = subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_files() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "doorlog-alerts.yml")
    promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_each_rule_fires_when_it_should_and_not_otherwise() -> None:
    promtool("test", "rules", "doorlog-alerts.test.yml")


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
    assert set(re.findall(r"\bdoorlog ([a-z]+)", action)) <= set(commands.commands)
    assert rule["annotations"]["summary"].startswith("{{ $labels.instance }}: ")
