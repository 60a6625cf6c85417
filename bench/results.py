"""What was measured, what it should be, and the page that shows both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

COLUMNS = {
    "mosquitto": "mosquitto 2.0.11",
    "amqtt": "stock amqtt",
    "doorlog": "doorlog",
    "doorlog_asyncio": "doorlog without uvloop",
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure for each server."""

    scenario: str
    what: str
    unit: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Check:
    """A figure that should not be above a limit."""

    scenario: str
    what: str
    server: str
    measured: float
    limit: float
    unit: str = "x"

    @property
    def passed(self) -> bool:
        return self.measured <= self.limit


@dataclass(slots=True)
class Results:
    """Everything of one run."""

    machine: Mapping[str, str]
    measurements: list[Measurement] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": dict(self.machine),
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "checks": [{**asdict(check), "passed": check.passed} for check in self.checks],
            "notes": self.notes,
        }

    def as_markdown(self) -> str:
        blocks = [_INTRODUCTION, _machine_table(self.machine)]
        if self.checks:
            blocks += ["## Targets", _checks_table(self.checks)]
        if self.measurements:
            blocks += ["## Figures", _measurements_table(self.measurements)]
        if self.notes:
            blocks += ["## Notes", "\n".join(f"- {note}" for note in self.notes)]
        return "\n\n".join(blocks) + "\n"


_INTRODUCTION = """\
# Benchmarks

Made by `python -m bench --write`; `make bench` prints the same. Each server runs in a process of its own, a client in
another, over loopback.

- CPU is what the kernel charged to the server's process for each operation, user and system, all threads together: the
  median of several rounds. Within a round the client turns from server to server every ten operations. A ratio is the
  median of the rounds' ratios, so that a machine that is busy for a while does little harm.
- Memory is what the resident set of a fresh process grows by for each connection. The kernel's socket buffers come on
  top, for every server alike.
- doorlog writes each record to a file; stock amqtt 0.12.1 and mosquitto log nothing. doorlog and stock amqtt share a
  login plugin that compares two strings, mosquitto's password file has one round of PBKDF2.
- PINGRESP is timed by an admitted TLS client every 20 ms; the storm comes from a process of its own."""


def _machine_table(machine: Mapping[str, str]) -> str:
    return table(("", ""), [(name, value) for name, value in machine.items()])


def _checks_table(checks: Sequence[Check]) -> str:
    rows = [
        (
            check.scenario,
            check.what,
            COLUMNS.get(check.server, check.server),
            f"{number(check.measured)} {check.unit}",
            f"≤ {number(check.limit)} {check.unit}",
            "pass" if check.passed else "**miss**",
        )
        for check in checks
    ]
    return table(("", "what", "server", "measured", "target", ""), rows)


def _measurements_table(measurements: Sequence[Measurement]) -> str:
    servers = [server for server in COLUMNS if any(server in measurement.values for measurement in measurements)]
    rows = [
        (
            measurement.scenario,
            measurement.what,
            measurement.unit,
            *(number(measurement.values[server]) if server in measurement.values else "" for server in servers),
        )
        for measurement in measurements
    ]
    return table(("", "what", "unit", *(COLUMNS[server] for server in servers)), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``passed`` is None where nothing is asked for."""

    what: str
    measured: str
    beside: str = ""
    goal: str = ""
    passed: bool | None = None


def as_markdown(facts: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Return the facts of the machine and what was measured on it, as two tables."""
    verdicts = {True: "pass", False: "**miss**", None: ""}
    lines = [(row.what, row.measured, row.beside, row.goal, verdicts[row.passed]) for row in rows]
    head = ("what", "measured", "beside", "goal", "")
    return f"{table(('', ''), list(facts.items()))}\n\n{table(head, lines)}\n"
