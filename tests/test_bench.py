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


def bench(*arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench", "--smoke", "--json", *arguments]
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
