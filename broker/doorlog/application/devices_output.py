"""``doorlog devices`` for a person and for a program."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from doorlog.identity.words import span
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.identity.overview import DeviceSummary, LastFailure

STYLES: Final = {"failing": "bold red", "silent": "yellow", "ok": "green"}
_LIMIT: Final = 120


def as_plain(device: DeviceSummary) -> dict[str, Any]:
    """Return a device as JSON values; moments in RFC 3339, what is not known left out."""
    plain = device._asdict()
    for name in ("last_success", "first_seen"):
        plain[name] = moment_of(plain[name])
    for name in ("last_failure", "last_claim"):
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
    titles = ["DEVICE", "STATE", "LAST ADMITTED", "LAST FAILURE", "CODE", "ADDRESS"]
    rows = [_cells(device, now) for device in devices]
    if any(device.site for device in devices):
        titles.append("SITE")
        rows = [[*row, _text(device.site)] for row, device in zip(rows, devices, strict=True)]
    rows.insert(0, [Text(title, "bold") for title in titles])
    console.print(Text("\n").join([*_aligned(rows), Text(_sums(devices))]))


def _aligned(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Yield a line for each row; no line ends in spaces."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        line = Text()
        for cell, width in zip(cells, widths, strict=False):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.append_text(last)
        line.rstrip()
        yield line


def _cells(device: DeviceSummary, now: float) -> list[Text]:
    failure = device.last_failure
    state = f"{device.state}, connected" if device.connected else device.state
    doubt = "?" if failure is not None and failure.confidence != "certain" else ""
    return [
        _text(device.id),
        Text(state, STYLES[device.state]),
        Text(ago(device.last_success, now)),
        Text(ago(failure.moment, now) if failure is not None else "-"),
        _text(f"{failure.code}{doubt}" if failure is not None else None),
        _text(device.address),
    ]


def _sums(devices: Sequence[DeviceSummary]) -> str:
    counts: Counter[str] = Counter(device.state for device in devices)
    said = ", ".join(f"{counts[state]:,} {state}" for state in STYLES)
    doubtful = any(one.last_failure is not None and one.last_failure.confidence != "certain" for one in devices)
    return f"{counted(len(devices), 'device')}: {said}{'; ? likely this device, not certain' if doubtful else ''}"


def _text(value: str | None) -> Text:
    return Text(safe_text(value, _LIMIT) if value else "-")


def counted(number: int, what: str) -> str:
    """Say a number of things: ``1 device``, ``2,000 devices``."""
    return f"{number:,} {what}{'s'[: number != 1]}"


def ago(moment: float | None, now: float) -> str:
    """Say how long ago a moment is: ``3 hours ago``; ``never`` for None."""
    if moment is None:
        return "never"
    return f"{span(max(0.0, now - moment))} ago" if now - moment >= 60 else "just now"


def moment_of(seconds: float | None) -> str | None:
    """Return seconds since 1970 as RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
