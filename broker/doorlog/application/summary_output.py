"""``doorlog summary`` for a person and for a program."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from doorlog.application.devices_output import ago, counted, padded
from doorlog.application.hints import command
from doorlog.identity.words import span
from doorlog.readers.troubles import MOST_THERE
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.readers.summary import CodeCount, Failing, Served, Summary
    from doorlog.readers.troubles import Headline, Named

_LIMIT: Final = 120
_SENTENCE: Final = 1_000
_SHORT: Final = 8
"""Digits of a hash that are shown."""


def as_plain_summary(summary: Summary, top: int, headline: Headline) -> dict[str, Any]:
    """Return a summary as JSON values; moments in RFC 3339.

    Args:
        summary: What was found.
        top: How many devices are listed.
        headline: What there is to know first.
    """
    return {
        "trouble": headline.is_bad,
        "headline": "".join(
            part if isinstance(part, str) else _plain(part) if isinstance(part, datetime) else part.device
            for part in headline.parts
        ),
        "since": _plain(summary.since),
        "until": _plain(summary.until),
        "attempts": summary.attempts,
        "admitted": summary.admitted,
        "failed": summary.failed,
        "before": {"attempts": summary.before[0], "admitted": summary.before[1]},
        "missing": summary.missing,
        "starts": summary.starts,
        "stopped": _plain(summary.stopped),
        "codes": [_values(code) | {"new": code.new} for code in summary.codes],
        "failing": len(summary.devices),
        "devices": [
            _values(device) | {"new": device.new, "recovered": device.recovered} for device in summary.devices[:top]
        ],
        "certificates": [_values(served) for served in summary.certificates],
    }


def print_summary(summary: Summary, top: int, headline: Headline, log_options: Sequence[str] = ()) -> None:
    """Print a summary: coloured on a terminal, plain in a pipe.

    Args:
        summary: What was found.
        top: How many devices are listed.
        headline: What there is to know first.
        log_options: How this command was told of its log; so are those that it suggests.
    """
    console = Console(highlight=False, soft_wrap=True)
    for line in (*_lines(summary, top, headline), *_hints(summary, log_options)):
        console.print(line)


def _lines(summary: Summary, top: int, headline: Headline) -> Iterator[Text]:
    yield Text("".join(map(_part, headline.parts)), "bold red" if headline.is_bad else "green")
    yield Text()
    length = span((summary.until - summary.since).total_seconds())
    yield Text.assemble((f"{counted(summary.attempts, 'attempt')} in {length}", "bold"), _rate(summary))
    attempts, admitted = summary.before
    before = f"{counted(attempts, 'attempt')}: {admitted:,} admitted{_share(attempts, admitted)}"
    yield Text(f"as long before: {before if attempts else 'nothing to compare with'}")
    if summary.starts:
        yield Text(f"the broker started {counted(summary.starts, 'time')}", "yellow")
    if summary.stopped is not None:
        yield Text(f"the broker stopped at {_local(summary.stopped)}: nobody can come in", "bold red")
    if summary.missing:
        yield Text(f"{counted(summary.missing, 'record')} missing, as the log itself says", "bold red")
    if not summary.codes:
        yield Text("no attempt failed" if summary.attempts else "nobody came: is this the right log?", "green")
    else:
        cells = (_code_cells(code, is_new=summary.is_comparable and code.new) for code in summary.codes)
        yield from _section("WHY THEY FAILED", _CODE_TITLES, cells)
        yield from _devices(summary, top)
    if summary.certificates:
        yield from _section("CERTIFICATES SERVED", _CERTIFICATE_TITLES, map(_certificate_cells, summary.certificates))


def _hints(summary: Summary, log_options: Sequence[str]) -> Iterator[Text]:
    """Suggest commands about the first names that can be pasted: clients choose some of them."""
    whys = (command(("why", code.code)) for code in summary.codes[:1])
    named = [(one.device, one.code) for one in summary.devices if one.device is not None]
    named.sort(key=lambda one: one[1] != summary.codes[0].code)  # an example of what is explained
    devices = (command(("device", name), log_options) for name, _ in named)
    suggested = (("what it means and what to do", whys), ("what happened to one of them", devices))
    found = [(words, line) for words, lines in suggested if (line := next(filter(None, lines), None))]
    if found:
        yield Text()
    for words, line in found:
        yield Text(f"{words}:  {line}", "dim")


def _part(part: str | datetime | Named) -> str:
    if isinstance(part, datetime):
        return _local(part)
    return safe_text(part, _SENTENCE) if isinstance(part, str) else safe_text(part.device, _LIMIT)


def _local(moment: datetime) -> str:
    """Tell a moment as ``doorlog tail`` does, in this machine's time zone."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _devices(summary: Summary, top: int) -> Iterator[Text]:
    now = summary.until
    known = [one for one in summary.devices if one.device is not None]
    began = sum(one.new and not one.recovered for one in known)
    new = f", {began:,} of them not as long before" if summary.is_comparable else ""
    cells = (_device_cells(one, now, is_new=summary.is_comparable and one.new) for one in islice(summary.devices, top))
    unknown = len(summary.devices) - len(known)
    others = f", and {unknown:,} unknown address{'es'[: 2 * (unknown != 1)]}" if unknown else ""
    yield from _section(f"WHO FAILED: {counted(len(known), 'device')}{new}{others}", _DEVICE_TITLES, cells)
    if len(summary.devices) > top:
        yield Text(f"and {len(summary.devices) - top:,} more (--top)", "dim")


_CODE_TITLES: Final = ("ATTEMPTS", "BEFORE", "CODE", "DEVICES", "")
_DEVICE_TITLES: Final = ("DEVICE", "FAILED", "BEFORE", "CODE", "SINCE", "LAST", "")
_CERTIFICATE_TITLES: Final = ("LISTENER", "CERTIFICATE", "BY", "SINCE", "VALID UNTIL", "ADMITTED", "FAILED", "SHA-256")


def _code_cells(code: CodeCount, *, is_new: bool) -> list[str]:
    sources = f"{code.sources:,} unknown address{'es'[: 2 * (code.sources != 1)]}"
    who = " and ".join(filter(None, (f"{code.devices:,}", sources if code.sources else "")))
    return [f"{code.attempts:,}", f"{code.before:,}", safe_text(code.code, _LIMIT), who, "new" if is_new else ""]


def _device_cells(one: Failing, now: datetime, *, is_new: bool) -> list[str]:
    marks = (("new", is_new), ("recovered", one.recovered), ("claimed", one.claimed))
    return [
        safe_text(one.device, _LIMIT) if one.device else f"(unknown) {safe_text(one.source or '-', _LIMIT)}",
        f"{one.attempts:,}",
        f"{one.before:,}",
        safe_text(one.code or "-", _LIMIT),
        _local(one.first),
        ago(one.last.timestamp(), now.timestamp()),
        ", ".join([*(word for word, holds in marks if holds), *_last_there(one)]),
    ]


def _last_there(one: Failing) -> Iterator[str]:
    if one.last_there:
        names = [safe_text(name, _LIMIT) for name in one.last_there[:MOST_THERE]]
        yield f"last there: {', '.join(names)}{', …' if len(one.last_there) > MOST_THERE else ''}"


def _certificate_cells(one: Served) -> list[str]:
    texts = (one.listener, one.subject or "-", one.issuer or "-")
    until = one.not_after.date().isoformat() if one.not_after is not None else "-"
    return [
        *(safe_text(text, _LIMIT) for text in texts),
        _local(one.first),
        until,
        f"{one.admitted:,}",
        f"{one.failed:,}",
        safe_text(one.sha256[:_SHORT].lower(), _SHORT),
    ]


def _section(title: str, titles: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[Text]:
    yield Text()
    yield Text(title, "bold")
    for number, row in enumerate(padded([titles, *rows])):
        style = "dim" if number == 0 else "red" if row[-1].startswith("new") else ""
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
