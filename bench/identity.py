"""How well devices that fail in TLS are named, scenario by scenario, and what naming costs: ``make bench-identity``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import machine
from bench.identity_cost import Cost, measure
from bench.identity_naive import Beside
from bench.results import table
from doorlog.application.simulate_output import share
from doorlog.application.simulation import announce
from doorlog.simulation.namer import Learned
from doorlog.simulation.plan import Plan
from doorlog.simulation.play import Order, play
from doorlog.simulation.scenarios import SCENARIOS
from doorlog.simulation.scoring import Bin, Failure, Score, first_failures, score

_MEDIAN_US, _MEGABYTES, _LEARNED = 50.0, 300.0, 2_000.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What a scenario is to show: at least, or exactly."""

    what: str
    least: float
    of: Callable[[Score], float | None]
    exactly: bool = False

    def met(self, value: float | None) -> bool:
        """Nothing named is as precise as can be; nothing to name covers nothing."""
        if value is None:
            return self.what == "precision"
        return value == self.least if self.exactly else value >= self.least


def _goals(coverage: float, precision: float) -> tuple[Goal, ...]:
    return (
        Goal("coverage", coverage, lambda found: found.coverage),
        Goal("precision", precision, lambda found: found.precision),
    )


_NEVER_NAMED = (
    Goal("coverage", 0.0, lambda found: found.coverage, exactly=True),
    Goal("truth among all candidates", 1.0, lambda found: found.among),
)
GOALS = {
    "static": _goals(0.99, 0.999),
    "dhcp": _goals(0.9, 0.99),
    "nat2": _NEVER_NAMED,
    "nat10": _NEVER_NAMED,
    "nat100": _NEVER_NAMED,
    "nat10mixed": _goals(0.5, 0.98),
    "nat10varied": _goals(0.5, 0.98),
    "mtls": _goals(0.99, 0.999),
}
"""By scenario; the others are shown without."""


@dataclass(slots=True)
class Result:
    """What came of a scenario, all seeds together."""

    scenario: str
    devices: int = 0
    attempts: int = 0
    wall: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    guessed: list[Failure] = field(default_factory=list)

    @property
    def each(self) -> Score:
        return score(self.failures)

    @property
    def naive(self) -> Score:
        return score(self.guessed)

    @property
    def first(self) -> Score:
        return score(first_failures(self.failures))

    def checks(self) -> list[tuple[str, Goal, float | None]]:
        """Goals are for each failure, and for what counts once for each device."""
        views = (("each failure", self.each), ("each device's first", self.first))
        return [(view, goal, goal.of(found)) for goal in GOALS.get(self.scenario, ()) for view, found in views]


def run(name: str, seeds: Sequence[int], plan: Plan, shrink: int) -> Result:
    """Play a scenario with each seed."""
    scenario, result = SCENARIOS[name], Result(name)
    began = time.perf_counter()
    for seed in seeds:
        order = Order(scenario, max(2, scenario.devices // shrink), plan, seed)
        with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as folder:
            asked: list[Beside] = []

            def namer_in(path: Path, asked: list[Beside] = asked) -> Beside:
                asked.append(Beside(Learned(path)))
                return asked[0]

            played = asyncio.run(play(order, Path(folder) / "played", announce=announce, namer_in=namer_in))
        result.devices += played.devices
        result.attempts += played.attempts
        result.failures += played.failures
        result.guessed += asked[0].guessed(played.failures)
    result.wall = time.perf_counter() - began
    return result


# pages


def page(results: Sequence[Result], cost: Cost | None, facts: dict[str, str]) -> str:
    blocks = [table(("", ""), list(facts.items()))]
    if results:
        blocks += ["## Scenarios", _scenarios(results)]
        blocks += ["## Each failure", _scores([(result.scenario, result.each) for result in results])]
        blocks += ["## Each device's first failure", _scores([(result.scenario, result.first) for result in results])]
        blocks += ["## Beside it: the device last admitted from the same address"]
        blocks += [_scores([(result.scenario, result.naive) for result in results])]
        blocks += ["## Stated and observed", _calibration(results)]
        blocks += ["## Goals", _checks(results)]
    if cost is not None:
        blocks += ["## Cost", _cost(cost)]
    return "\n\n".join(blocks) + "\n"


def _scenarios(results: Sequence[Result]) -> str:
    rows = [
        (
            result.scenario,
            SCENARIOS[result.scenario].says,
            f"{result.devices:,}",
            f"{result.attempts:,}",
            f"{result.each.failures:,}",
            f"{result.each.devices:,}",
            f"{result.wall:.0f} s",
        )
        for result in results
    ]
    return table(("", "", "devices", "attempts", "failures", "of devices", "took"), rows)


def _scores(scores: Sequence[tuple[str, Score]]) -> str:
    head = ("", "failures", "coverage", "precision", "certain, right", "likely, right")
    head += ("top 1", "top 3", "among all", "strangers named", "unseen named", "us of CPU")
    return table(head, [(name, *_cells(found)) for name, found in scores])


def _cells(found: Score) -> tuple[str, ...]:
    return (
        f"{found.failures:,}",
        share(found.coverage),
        share(found.precision),
        *(f"{share(right)} of {count:,}" if count else "-" for count, right in (found.certain, found.likely)),
        share(found.top1),
        share(found.top3),
        share(found.among),
        f"{found.strangers_named:,} of {found.strangers:,}",
        f"{found.unseen_named:,} of {found.unseen:,}",
        "-" if found.microseconds is None else f"{found.microseconds:.1f}",
    )


def _calibration(results: Sequence[Result]) -> str:
    named = [(result.scenario, one) for result in results for one in result.each.calibration]
    rows = [(name, _bin(one), f"{one.count:,}", share(one.stated), share(one.observed)) for name, one in named]
    return table(("", "score of the best candidate", "failures", "stated", "observed"), rows)


def _bin(one: Bin) -> str:
    return f"from {one.begins:g}"


def _checks(results: Sequence[Result]) -> str:
    rows = [
        (
            result.scenario,
            view,
            goal.what,
            share(value),
            f"{'=' if goal.exactly else '≥'} {goal.least:.1%}",
            "pass" if goal.met(value) else "**miss**",
        )
        for result in results
        for view, goal, value in result.checks()
    ]
    return table(("", "", "what", "measured", "target", ""), rows)


def _cost(cost: Cost) -> str:
    what = f"with {cost.devices:,} known devices"
    rows = [
        (
            "a resolution, median",
            f"{cost.resolution_us:.1f} us",
            f"≤ {_MEDIAN_US:g} us",
            cost.resolution_us <= _MEDIAN_US,
        ),
        ("all of naming a failure, median", f"{cost.median_us:.1f} us", "", None),
        ("all of naming a failure, p99", f"{cost.p99_us:.1f} us", "", None),
        ("resident set, grown by", f"{cost.megabytes:.0f} MB", f"≤ {_MEGABYTES:g} MB", cost.megabytes <= _MEGABYTES),
        ("the directory on disk", f"{cost.disk_megabytes:.0f} MB", "", None),
        ("learning", f"{cost.learned:,.0f} connects/s", f"≥ {_LEARNED:,.0f}/s", cost.learned >= _LEARNED),
        ("learning, of one core", f"{cost.learned_cpu:,.0f} connects/s", "", None),
    ]
    verdicts = {True: "pass", False: "**miss**", None: ""}
    return table((what, "measured", "target", ""), [(*cells, verdicts[passed]) for *cells, passed in rows])


def as_json(results: Sequence[Result], cost: Cost | None, facts: dict[str, str]) -> dict[str, Any]:
    return {
        "machine": facts,
        "scenarios": [
            {
                "scenario": result.scenario,
                "devices": result.devices,
                "attempts": result.attempts,
                "seconds": result.wall,
                "each_failure": result.each.as_json(),
                "first_failures": result.first.as_json(),
                "naive": result.naive.as_json(),
                "checks": [_check(view, goal, value) for view, goal, value in result.checks()],
            }
            for result in results
        ],
        "cost": None if cost is None else asdict(cost),
    }


def _check(view: str, goal: Goal, value: float | None) -> dict[str, Any]:
    return {"view": view, "what": goal.what, "measured": value, "target": goal.least, "passed": goal.met(value)}


def main() -> None:
    arguments = _parse()
    facts = machine.describe() | {"Seeds": ", ".join(map(str, range(1, arguments.seeds + 1)))}
    plan = Plan(before=3.0) if arguments.quick else Plan(before=14.0)
    results = []
    for wanted in arguments.scenario or SCENARIOS:
        print(wanted, file=sys.stderr, flush=True)
        results.append(run(wanted, range(1, arguments.seeds + 1), plan, 4 if arguments.quick else 1))
    cost = None
    if arguments.cost:
        print("cost", file=sys.stderr, flush=True)
        cost = measure(3_000 if arguments.quick else 100_000)
    if arguments.json:
        print(json.dumps(as_json(results, cost, facts), indent=2))
    else:
        print(page(results, cost, facts))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.identity", description=_WHAT)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="this one only; may be repeated")
    parser.add_argument("--seeds", type=int, default=2, help="how many fleets of each (2)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the devices, 3 days instead of 14")
    parser.add_argument("--no-cost", dest="cost", action="store_false", help="leave out what naming costs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args()


_WHAT = """\
Simulates fleets in front of the real door (docs/simulate.md): devices connect for some days, then the served chain is
rotated, and those that had pinned the old one fail. What the log says of each failure is compared with the truth.
Coverage is the share of failures of devices that had been admitted before for which a device was named (certain or
likely); precision the share of all names that are right, those of strangers and of devices never seen included.
"""


if __name__ == "__main__":
    main()
