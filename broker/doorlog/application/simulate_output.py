"""What a simulation showed, as a table for a person or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from doorlog.simulation.scoring import Score, first_failures, score

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.simulation.play import Order, Played

_NO_SHARE: Final = "-"


def print_played(order: Order, played: Played, folder: Path) -> None:
    """Print what was simulated, how well it was named, and where it lies.

    Args:
        order: What was simulated.
        played: What came of it.
        folder: Where it was written.
    """
    console = Console(highlight=False, soft_wrap=True)
    scenario, plan = order.scenario, order.plan
    console.print(f"{scenario.name}: {scenario.says}")
    console.print(
        f"{played.devices} devices, {plan.before:g} days before a rotation and {plan.after:g} after, "
        f"seed {order.seed}: {played.attempts:,} connection attempts, {len(played.failures):,} of them failed "
        "before they said who they are"
    )
    console.print()
    console.print(_table(score(played.failures), score(first_failures(played.failures))))
    console.print()
    for what, name in (("log", "log/doorlog.jsonl"), ("truth", "truth.jsonl")):
        console.print(f"{what + ':':7}{folder / name}")


def as_json(order: Order, played: Played, folder: Path) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "scenario": order.scenario.name,
        "seed": order.seed,
        "days": {"before": order.plan.before, "after": order.plan.after},
        "begin": order.plan.begin.isoformat(),
        "devices": played.devices,
        "attempts": played.attempts,
        "per_attempt": score(played.failures).as_json(),
        "per_device": score(first_failures(played.failures)).as_json(),
        "log": str(folder / "log" / "doorlog.jsonl"),
        "truth": str(folder / "truth.jsonl"),
    }


def _table(attempts: Score, devices: Score) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("each failure", justify="right")
    table.add_column("each device's first", justify="right")
    for name, *cells in zip(_NAMES, _cells(attempts), _cells(devices), strict=True):
        table.add_row(name, *cells)
    return table


_NAMES: Final = (
    "failures of devices that were known",
    "named (certain or likely)",
    "of all names, right",
    "of those called certain, right",
    "of those called likely, right",
    "truth is the best candidate",
    "truth among the best three",
    "truth among all candidates",
    "strangers taken for a device",
    "devices never seen, taken for another",
    "CPU of naming one, median",
)


def _cells(shown: Score) -> tuple[str, ...]:
    return (
        f"{shown.failures:,}",
        share(shown.coverage),
        share(shown.precision),
        _called(shown.certain),
        _called(shown.likely),
        share(shown.top1),
        share(shown.top3),
        share(shown.among),
        f"{shown.strangers_named:,} of {shown.strangers:,}",
        f"{shown.unseen_named:,} of {shown.unseen:,}",
        _NO_SHARE if shown.microseconds is None else f"{shown.microseconds:.1f} us",
    )


def share(value: float | None) -> str:
    """Return a share in percent, without rounding what is not all of it up to all."""
    if value is None:
        return _NO_SHARE
    return f"{min(value, 0.9999) if value < 1 else value:.2%}"


def _called(called: tuple[int, float | None]) -> str:
    count, right = called
    return f"{share(right)} of {count:,}" if count else _NO_SHARE
