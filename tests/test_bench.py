"""The benchmark still runs: every scenario with next to nothing to do, real servers and all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXACT = ("records lost", "records missing", "accepted sockets", "connect records", "gaps")


def bench(*arguments: str, module: str = "bench") -> dict[str, Any]:
    argv = [sys.executable, "-m", module, "--smoke", "--json", *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return] # an object, as its first use shows


@pytest.mark.parametrize("scenarios", ["1234", "56", "79", "8"])
def test_a_benchmark_measures_doorlog_beside_stock_amqtt(scenarios: str) -> None:
    report = bench(*scenarios)

    measured = report["measurements"]
    assert {measurement["scenario"] for measurement in measured} == set(scenarios)
    assert all("doorlog_asyncio" in measurement["values"] for measurement in measured)
    counted = [check for check in report["checks"] if check["what"].startswith(EXACT)]
    assert all(check["passed"] for check in counted), counted
    assert bool(counted) is (scenarios in ("79", "8"))


def test_the_log_is_measured_beside_others_with_the_same_events() -> None:
    rows = {row["what"]: row for row in bench(module="bench.log")["rows"]}

    assert [what for what in rows if what.startswith("best_effort against ")] == [
        "best_effort against logging + python-json-logger",
        "best_effort against structlog + logging",
    ]
    assert {"doorlog", "logging", "structlog", "this", "resident"} <= {what.split()[0].strip(",") for what in rows}
    assert any("event loop" in what for what in rows)


def test_the_benchmark_of_verify_measures_it_beside_others() -> None:
    argv = [sys.executable, "-m", "bench.verify", "--records", "500", "--rounds", "1", "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)

    assert done.returncode == 0, done.stderr
    tools = [figure["tool"] for figure in json.loads(done.stdout)["figures"]]
    assert tools[:3] == ["doorlog verify --key", "doorlog verify", "doorlog verify, .zst"]


def test_reading_a_log_is_measured_beside_jq() -> None:
    rows = [row["what"] for row in bench(module="bench.read")["rows"]]

    assert {"summary, one file", "summary, segments and index", "a text, one file", "its worst lag"} <= set(rows)


def test_the_benchmark_of_identity_compares_what_is_named_with_the_truth() -> None:
    argv = [sys.executable, "-m", "bench.identity", "--quick", "--seeds", "1", "--scenario", "mtls", "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (scenario,) = report["scenarios"]
    assert scenario["scenario"] == "mtls"
    assert scenario["each_failure"]["failures"] > scenario["first_failures"]["failures"] > 0
    assert all(check["passed"] for check in scenario["checks"])  # a certificate says whose it is
    assert report["cost"]["devices"] == 3_000
