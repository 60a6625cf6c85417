"""``doorlog devices`` for a person and for a program."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from doorlog.identity.words import span
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.identity.overview import DeviceSummary, LastFailure

STYLES: Final = {"failing": "bold red", "unclear": "magenta", "silent": "yellow", "ok": "green"}
_LIMIT: Final = 120
_DOUBTS: Final = {"certain": "", "ambiguous": "??"}
_LEGEND: Final = {"?": "likely this device, not certain", "??": "this device or one that looks like it"}
_A_MOMENT, _A_MINUTE = 10.0, 60.0


def as_plain(device: DeviceSummary) -> dict[str, Any]:
    """Return a device as JSON values; moments in RFC 3339, what is not known left out."""
    plain = device._asdict()
    for name in ("last_success", "first_seen"):
        plain[name] = moment_of(plain[name])
    for name in ("last_failure", "last_claim", "last_unclear"):
        failure: LastFailure | None = plain[name]
        plain[name] = failure._asdict() | {"moment": moment_of(failure.moment)} if failure is not None else None
    plain["tags"] = list(device.tags) or None
    return {name: value for name, value in plain.items() if value is not None}


def print_devices(devices: Sequence[DeviceSummary], now: float, *, known: int) -> None:
    """Print a table: coloured on a terminal; plain in a pipe, a line for each device, columns parted by two spaces.

    Args:
        devices: Those that are asked for.
        now: Seconds since 1970.
        known: How many there are all in all.
    """
    console = Console(highlight=False, soft_wrap=True)
    if not devices:
        others = f"none of {counted(known, 'device')} is like that"
        console.print(Text(others if known else "no device is known yet: the first one that is admitted will be"))
        return
    rows = list(padded([_titles(devices), *(_cells(device, now) for device in devices)]))
    if console.is_terminal:
        styles = ["bold", *(STYLES[device.state] for device in devices)]
        for (name, state, *rest), style in zip(rows, styles, strict=True):
            console.print(Text.assemble(name, (state, style), *rest))
    else:  # several times as fast, which matters where there are 100,000
        typer.echo("\n".join("".join(row).rstrip() for row in rows))
    typer.echo(_sums(devices))


def _titles(devices: Sequence[DeviceSummary]) -> list[str]:
    site = ["SITE"] if any(device.site for device in devices) else []
    return ["DEVICE", "STATE", "LAST ADMITTED", "LAST FAILURE", "CODE", "ADDRESS", *site]


def _cells(device: DeviceSummary, now: float) -> list[str]:
    failure = device.shown_failure
    doubt = _doubt(failure) if failure is not None else ""
    return [
        _shown(device.id),
        f"{device.state}, connected" if device.connected else device.state,
        ago(device.last_success, now),
        ago(failure.moment, now) if failure is not None else "-",
        _shown(f"{failure.code}{doubt}" if failure is not None else None),
        _shown(device.address),
        _shown(device.site),
    ]


def padded(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield the cells of each row that have a title, as wide as the widest of their column and two spaces."""
    titles = rows[0]
    widths = [max(map(cell_len, column)) + 2 for column in zip(*rows, strict=False)]
    for row in rows:
        yield [cell + " " * (width - cell_len(cell)) for cell, width, _ in zip(row, widths, titles, strict=False)]


def _sums(devices: Sequence[DeviceSummary]) -> str:
    counts: Counter[str] = Counter(device.state for device in devices)
    said = ", ".join(f"{counts[state]:,} {state}" for state in STYLES if counts[state] or state != "unclear")
    doubts = {_doubt(one.shown_failure) for one in devices if one.shown_failure is not None}
    legend = "".join(f"; {sign} {words}" for sign, words in _LEGEND.items() if sign in doubts)
    return f"{counted(len(devices), 'device')}: {said}{legend}"


def _doubt(failure: LastFailure) -> str:
    return _DOUBTS.get(failure.confidence, "?")


def _shown(value: str | None) -> str:
    return safe_text(value, _LIMIT) if value else "-"


def counted(number: int, what: str) -> str:
    """Say a number of things: ``1 device``, ``2,000 devices``."""
    return f"{number:,} {what}{'s'[: number != 1]}"


def ago(moment: float | None, now: float) -> str:
    """Say how long ago a moment is: ``just now``, ``20 seconds ago``, ``3 hours ago``; ``never`` for None."""
    if moment is None:
        return "never"
    seconds = now - moment
    if seconds < _A_MOMENT:
        return "just now"
    return f"{span(seconds)} ago" if seconds >= _A_MINUTE else f"{seconds:.0f} seconds ago"


def moment_of(seconds: float | None) -> str | None:
    """Return seconds since 1970 as RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
