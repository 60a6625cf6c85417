"""``doorlog summary`` for a person and for a program."""

from __future__ import annotations

import shlex
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from doorlog.application.devices_output import ago, counted, padded
from doorlog.identity.words import span
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from doorlog.readers.summary import CodeCount, Failing, Served, Summary

_LIMIT: Final = 120
_SHORT: Final = 8
"""Digits of a hash that are shown."""


def as_plain_summary(summary: Summary, top: int) -> dict[str, Any]:
    """Return a summary as JSON values; moments in RFC 3339.

    Args:
        summary: What was found.
        top: How many devices are listed.
    """
    return {
        "since": _plain(summary.since),
        "until": _plain(summary.until),
        "attempts": summary.attempts,
        "admitted": summary.admitted,
        "failed": summary.failed,
        "before": {"attempts": summary.before[0], "admitted": summary.before[1]},
        "missing": summary.missing,
        "starts": summary.starts,
        "codes": [_values(code) | {"new": code.new} for code in summary.codes],
        "failing": len(summary.devices),
        "devices": [
            _values(device) | {"new": device.new, "recovered": device.recovered} for device in summary.devices[:top]
        ],
        "certificates": [_values(served) for served in summary.certificates],
    }


def print_summary(summary: Summary, top: int) -> None:
    """Print a summary: coloured on a terminal, plain in a pipe."""
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(summary, top):
        console.print(line)


def _lines(summary: Summary, top: int) -> Iterator[Text]:
    length = span((summary.until - summary.since).total_seconds())
    yield Text.assemble((f"{counted(summary.attempts, 'attempt')} in {length}", "bold"), _rate(summary))
    attempts, admitted = summary.before
    yield Text(f"as long before: {counted(attempts, 'attempt')}: {admitted:,} admitted{_share(attempts, admitted)}")
    if summary.starts:
        yield Text(f"the broker started {counted(summary.starts, 'time')}", "yellow")
    if summary.missing:
        yield Text(f"{counted(summary.missing, 'record')} missing, as the log itself says", "bold red")
    if not summary.codes:
        yield Text("no attempt failed" if summary.attempts else "nobody came: is this the right log?", "green")
    else:
        yield from _section("WHY THEY FAILED", _CODE_TITLES, map(_code_cells, summary.codes))
        yield from _devices(summary, top)
    if summary.certificates:
        yield from _section("CERTIFICATES SERVED", _CERTIFICATE_TITLES, map(_certificate_cells, summary.certificates))
    if summary.codes:
        yield Text()
        yield from _hint("what it means and what to do", "why", (code.code for code in summary.codes[:1]))
        yield from _hint("what happened to one of them", "device", (one.device for one in summary.devices))


def _hint(words: str, command: str, names: Iterable[str | None]) -> Iterator[Text]:
    """Name a command for the first name that can be typed: clients choose them, and somebody may paste the line."""
    name = next((name for name in names if name and name.isprintable() and len(name) <= _LIMIT), None)
    if name is not None:
        end_of_options = "-- " if name.startswith("-") else ""
        yield Text(f"{words}:  doorlog {command} {end_of_options}{shlex.quote(name)}", "dim")


def _devices(summary: Summary, top: int) -> Iterator[Text]:
    now = summary.until
    known = [one for one in summary.devices if one.device is not None]
    began = sum(one.new and not one.recovered for one in known)
    title = f"WHO FAILED: {counted(len(known), 'device')}, {began:,} of them since then, not before"
    yield from _section(title, _DEVICE_TITLES, (_device_cells(one, now) for one in islice(summary.devices, top)))
    if len(summary.devices) > top:
        yield Text(f"and {len(summary.devices) - top:,} more (--top)", "dim")


_CODE_TITLES: Final = ("ATTEMPTS", "BEFORE", "CODE", "DEVICES", "")
_DEVICE_TITLES: Final = ("DEVICE", "FAILED", "BEFORE", "CODE", "SINCE", "LAST", "")
_CERTIFICATE_TITLES: Final = ("LISTENER", "CERTIFICATE", "BY", "VALID UNTIL", "ADMITTED", "FAILED", "SHA-256")


def _code_cells(code: CodeCount) -> list[str]:
    sources = f"{code.sources:,} unknown address{'es'[: 2 * (code.sources != 1)]}"
    who = " and ".join(filter(None, (f"{code.devices:,}", sources if code.sources else "")))
    return [f"{code.attempts:,}", f"{code.before:,}", safe_text(code.code, _LIMIT), who, "new" if code.new else ""]


def _device_cells(one: Failing, now: datetime) -> list[str]:
    name = safe_text(one.device, _LIMIT) if one.device else f"(unknown) {safe_text(one.source or '-', _LIMIT)}"
    marks = (("new", one.new), ("recovered", one.recovered), ("claimed", one.claimed))
    return [
        name,
        f"{one.attempts:,}",
        f"{one.before:,}",
        safe_text(one.code or "-", _LIMIT),
        ago(one.first.timestamp(), now.timestamp()),
        ago(one.last.timestamp(), now.timestamp()),
        ", ".join(word for word, holds in marks if holds),
    ]


def _certificate_cells(one: Served) -> list[str]:
    texts = (one.listener, one.subject or "-", one.issuer or "-")
    until = one.not_after.date().isoformat() if one.not_after is not None else "-"
    return [
        *(safe_text(text, _LIMIT) for text in texts),
        until,
        f"{one.admitted:,}",
        f"{one.failed:,}",
        safe_text(one.sha256[:_SHORT].lower(), _SHORT),
    ]


def _section(title: str, titles: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[Text]:
    yield Text()
    yield Text(title, "bold")
    for number, row in enumerate(padded([titles, *rows])):
        style = "dim" if number == 0 else "red" if row[-1].startswith("new ") else ""
        yield Text("  " + "".join(row).rstrip(), style)


def _rate(summary: Summary) -> str:
    return f": {summary.admitted:,} admitted{_share(summary.attempts, summary.admitted)}, {summary.failed:,} failed"


def _share(attempts: int, admitted: int) -> str:
    return f" ({admitted / attempts:.1%})" if attempts else ""


def _values(row: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row._asdict().items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
