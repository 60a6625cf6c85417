"""Prometheus' own promtool, and the metrics that a broker tells, with what they are called in a query."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from doorlog.application.facts import Facts
from doorlog.application.metrics import exposition
from doorlog.events.changes import changed
from doorlog.log.sink import SinkStatus
from doorlog.log.status import LogStatus
from doorlog.watch.tally import Tally
from support.events import admitted_connect, one_of_each, served_certificate

METRIC = re.compile(r"\b(?:doorlog|process)_[a-z_]+\b")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@dataclass(frozen=True, slots=True)
class Told:
    """What a broker says of a metric.

    Attributes:
        kind: ``counter``, ``gauge`` or ``histogram``.
        labels: Of its samples, without ``le``.
        words: Its help.
    """

    kind: str
    labels: frozenset[str]
    words: str


def told() -> dict[str, Told]:
    """Return what a broker tells after one event of every kind, by the name of the metric."""
    return read(_full().decode())


def read(text: str) -> dict[str, Told]:
    """Read metrics in the text format."""
    found = {}
    for family in text_string_to_metric_families(text):
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = Told(family.type, labels, family.documentation)
    return found


def metrics() -> set[str]:
    """Return every name that a query may ask for."""
    known = told()
    parts = {
        f"{n}_{part}" for n, one in known.items() if one.kind == "histogram" for part in ("bucket", "sum", "count")
    }
    return set(known) | parts


def promtool(*words: str, cwd: Path) -> str:
    """Run it; it must succeed."""
    done = subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _full() -> bytes:
    tally = Tally(["tls"])
    admitted = admitted_connect()
    assert admitted.tls is not None
    timed = changed(admitted, tls=changed(admitted.tls, handshake_duration=2_000_000))
    for event in (served_certificate(), timed, *one_of_each()):
        tally.count(event)
        tally.count_gap(event)
        tally.count_cohorts(["berlin"], "failure")
    log = LogStatus("durable", None, sequence=1, waiting=0, unwritten=0, sinks=(SinkStatus("syslog"),))
    return exposition(Facts(log, 1, 1, counts=tally.counts(), devices={"ok": 1}))
