"""``doorlog devices`` for a person and for a program."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from doorlog.identity.words import span
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def print_devices(devices: Sequence[DeviceSummary], now: float) -> None:
    """Print a table: coloured on a terminal; plain in a pipe, a line for each device, columns parted by two spaces."""
    console = Console(highlight=False, soft_wrap=True)
    if not devices:
        console.print("no device is known yet: the first one that is admitted will be")
        return
    sited = any(device.site for device in devices)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("DEVICE", "STATE", "LAST ADMITTED", "LAST FAILURE", "CODE", "ADDRESS", *(["SITE"] if sited else [])):
        table.add_column(name, no_wrap=True, overflow="ignore")
    for device in devices:
        table.add_row(*_cells(device, now), *([_text(device.site)] if sited else []))
    console.print(table, no_wrap=True, crop=False)
    console.print(Text(_sums(devices)))


def _cells(device: DeviceSummary, now: float) -> tuple[Text, ...]:
    failure = device.last_failure
    state = f"{device.state}, connected" if device.connected else device.state
    doubt = "?" if failure is not None and failure.confidence != "certain" else ""
    return (
        _text(device.id),
        Text(state, STYLES[device.state]),
        Text(ago(device.last_success, now)),
        Text(ago(failure.moment, now) if failure is not None else "-"),
        Text(f"{failure.code}{doubt}" if failure is not None else "-"),
        _text(device.address),
    )


def _sums(devices: Sequence[DeviceSummary]) -> str:
    counts: Counter[str] = Counter(device.state for device in devices)
    said = ", ".join(f"{counts[state]:,} {state}" for state in STYLES)
    doubtful = any(one.last_failure is not None and one.last_failure.confidence != "certain" for one in devices)
    return f"{len(devices):,} devices: {said}{'; ? likely this device, not certain' if doubtful else ''}"


def _text(value: str | None) -> Text:
    return Text(safe_text(value, _LIMIT) if value else "-")


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
