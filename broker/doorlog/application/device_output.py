"""``doorlog device ID`` for a person and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from doorlog.application.devices_output import STYLES, ago, as_plain, counted, moment_of
from doorlog.application.hints import command
from doorlog.identity.words import span
from doorlog.readers.changes import changes_of
from doorlog.readers.record import text_at, value_at
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.identity.overview import DeviceSummary
    from doorlog.readers.history import Entry, History

Address = tuple[str, float, float, int]

_LIMIT: Final = 500
_MOMENT: Final = 40
_STYLES: Final = {
    "certain": "bold", "likely": "", "confirmed": "", "ambiguous": "dim", "claimed": "yellow"
}  # fmt: skip
_OUTCOMES: Final = {"success": "green", "failure": "red"}
_ADDRESSES_SHOWN: Final = 5
_A_MINUTE: Final = 60.0


def as_plain_history(device: DeviceSummary | None, addresses: Sequence[Address], history: History) -> dict[str, Any]:
    """Return all of it as JSON values."""
    return {
        "device": as_plain(device) if device is not None else None,
        "addresses": [
            {"address": address, "first": moment_of(first), "last": moment_of(last), "times": times}
            for address, first, last, times in addresses
        ],
        "found": history.found,
        "changes": changes_of(history.last_success, history.first_trouble),
        "history": [
            {"mark": entry.mark, **({"score": entry.score} if entry.score is not None else {}), "record": entry.record}
            for entry in history.entries
        ],
    }


def print_history(
    device_id: str,
    device: DeviceSummary | None,
    addresses: Sequence[Address],
    history: History,
    now: float,
    *,
    log_options: Sequence[str] = (),
) -> None:
    """Print who the device is, a line for each entry, and how to hear more of its last failure."""
    console = Console(highlight=False, soft_wrap=True)
    for line in _head(device_id, device, addresses, now):
        console.print(line)
    hidden = history.found - len(history.entries)
    if hidden > 0:
        console.print(Text(f"\n{counted(hidden, 'earlier record')}: --last {history.found} shows all", "dim"))
    elif history.entries:
        console.print()
    for entry in history.entries:
        console.print(_line(entry))
    for line in _changes(history):
        console.print(line)
    failed = (entry.record for entry in reversed(history.entries) if _may_be_its_failure(entry))
    last = text_at(next(failed, {}), "event", "id")
    if last is not None and (suggested := command(("show", last), log_options)) is not None:
        console.print(Text(f"\nthe last failure in words:  {suggested}", "dim"))


def _head(device_id: str, device: DeviceSummary | None, addresses: Sequence[Address], now: float) -> Iterator[Text]:
    name = safe_text(device_id, _LIMIT)
    if device is None:
        yield Text.assemble((name, "bold"), ": not in the device directory")
        return
    facts = ", ".join(filter(None, (device.name, device.model, device.serial, device.site, " ".join(device.tags))))
    yield Text.assemble((name, "bold"), f" ({safe_text(facts, _LIMIT)}): " if facts else ": ", _state(device))
    if device.last_success is not None:
        rhythm = f", every {span(device.rhythm)} in the mean" if device.rhythm and device.rhythm >= _A_MINUTE else ""
        times = "once" if device.connects == 1 else f"{device.connects:,} times"
        yield Text(f"  admitted {times}{rhythm}, last {ago(device.last_success, now)}")
    failure, claim = device.last_failure, device.last_claim
    if failure is not None:
        sure = "" if failure.confidence == "certain" else ", likely this device"
        told = f"{safe_text(failure.code, _LIMIT)} {ago(failure.moment, now)}"
        yield Text(f"  last failure {told}{sure} ({failure.times:,} in all)")
    if device.state == "unclear" and device.last_unclear is not None:
        told = f"{safe_text(device.last_unclear.code, _LIMIT)} {ago(device.last_unclear.moment, now)}"
        yield Text(f"  one of several that may have failed since: {told}", STYLES["unclear"])
    if claim is not None:
        refused = counted(claim.times, "refused login")
        told = f"{safe_text(claim.code, _LIMIT)} {ago(claim.moment, now)}"
        yield Text(f"  {refused} wrote its name from where it never was, last {told}", "yellow")
    for address, first, last, count in addresses[:_ADDRESSES_SHOWN]:
        seen = "once" if count == 1 else f"{count:,} times within {span(last - first)}"
        yield Text(f"  at {safe_text(address, _LIMIT)} {seen}, last {ago(last, now)}")
    if len(addresses) > _ADDRESSES_SHOWN:
        more = len(addresses) - _ADDRESSES_SHOWN
        yield Text(f"  and at {more} more: --json lists them")
    if device.look is not None:
        yield Text(f"  TLS: {safe_text(device.look, _LIMIT)} (JA4, server name)")


def _changes(history: History) -> Iterator[Text]:
    trouble = history.first_trouble
    if trouble is None or history.last_success is None:
        return
    since = safe_text(text_at(trouble, "@timestamp") or "", _MOMENT)[:19].replace("T", " ")
    code = safe_text(text_at(trouble, "event", "code") or "-", _LIMIT)
    words = "what changed before it began to fail" if history.first_failure else "what changed before that"
    yield Text.assemble("\n", (words, "bold"), f" ({code}, since {since} UTC)")
    for change in changes_of(history.last_success, history.first_trouble) or ["nothing that the log shows"]:
        yield Text(f"  - {safe_text(change, _LIMIT)}")


def _may_be_its_failure(entry: Entry) -> bool:
    action, outcome = (text_at(entry.record, "event", name) for name in ("action", "outcome"))
    return entry.mark != "claimed" and (action, outcome) == ("connect", "failure")


def _state(device: DeviceSummary) -> tuple[str, str]:
    return (f"{device.state}, connected" if device.connected else device.state), STYLES[device.state]


def _line(entry: Entry) -> Text:
    record = entry.record
    mark = f"{entry.mark} {entry.score:.2f}" if entry.score is not None else entry.mark
    outcome = _OUTCOMES.get(text_at(record, "event", "outcome") or "", "")
    moment = safe_text(entry.time[:19].replace("T", " "), 19)
    message = safe_text(text_at(record, "message") or "", _LIMIT)
    line = Text.assemble(moment, "  ", (f"{mark:<14}", _STYLES[entry.mark]), "  ", (message, outcome))
    reasons = value_at(record, "doorlog", "device", "evidence")
    if entry.mark in ("likely", "ambiguous") and isinstance(reasons, list):
        line.append(f"\n{'':37}{safe_text('; '.join(map(str, reasons)), _LIMIT)}", "dim")
    line.rstrip()
    return line
