"""A readable line for each record, for a person in front of a terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.console import COLOR_SYSTEMS, Console
from rich.style import Style

from doorlog.errors import SinkError
from doorlog.log.descriptor import DescriptorWriter
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from rich.color import ColorSystem

MESSAGE_LIMIT: Final = 600
"""Characters of a message; the whole is in the file."""
FIELD_LIMIT: Final = 64
_CANDIDATES: Final = 3
"""Devices that are named where it was one of several."""

_QUIET: Final = Style.parse("dim")
_PLACE: Final = Style.parse("cyan")
_DEVICE: Final = Style.parse("bold")


@dataclass(frozen=True, slots=True)
class _Mark:
    sign: str
    ascii_sign: str
    style: Style


_MARKS: Final = {
    "success": _Mark("✓", "+", Style.parse("green")),
    "failure": _Mark("✗", "x", Style.parse("bold red")),
}
_NO_MARK: Final = _Mark("•", "-", Style.parse("yellow"))


@dataclass(frozen=True, slots=True)
class Readable:
    """Turns records into lines. Nothing that a record holds can move the cursor, colour a word or break a line."""

    colors: ColorSystem | None = None
    """None for plain text."""
    ascii_only: bool = False
    """For terminals that can not show ✓ and ✗."""
    timezone: tzinfo | None = None
    """None for the computer's own."""
    dated: bool = False
    """Whether the day is told, too: for records that may be older than today."""

    @classmethod
    def for_stream(cls, stream: TextIO, *, dated: bool = False) -> Readable:
        """Return what suits the stream: rich knows terminals, NO_COLOR, FORCE_COLOR and TERM=dumb."""
        console = Console(file=stream)
        colors = None if console.no_color else COLOR_SYSTEMS.get(console.color_system or "")
        return cls(colors, ascii_only=console.options.ascii_only, dated=dated)

    def line(self, record: Mapping[str, Any]) -> str:
        r"""Return one line that ends in ``\n``; a field that is absent or odd is left out."""
        mark = _MARKS.get(_text(record, "event", "outcome"), _NO_MARK)
        sign = mark.ascii_sign if self.ascii_only else mark.sign
        head = f"{self._paint(self._time(record), _QUIET)} {self._paint(f'{sign} {_what(record)}', mark.style)}"
        columns = (
            head,
            _text(record, "source", "ip"),
            self._paint(_text(record, "doorlog", "listener"), _PLACE),
            self._paint(_device(record), _DEVICE),
            _text(record, "message", limit=MESSAGE_LIMIT),
        )
        return "  ".join(filter(None, columns)) + "\n"

    def _paint(self, text: str, style: Style) -> str:
        return style.render(text, color_system=self.colors) if text and self.colors is not None else text

    def _time(self, record: Mapping[str, Any]) -> str:
        try:
            moment = datetime.fromisoformat(_text(record, "@timestamp")).astimezone(self.timezone)
        except (ValueError, OverflowError):  # a year that no time zone can move
            return "---------- --:--:--" if self.dated else "--:--:--"
        return moment.strftime("%Y-%m-%d %H:%M:%S" if self.dated else "%H:%M:%S")


class ConsoleSink:
    """Writes readable lines to a terminal, or to whatever stands in its place. Wrap it in a ``Courier``.

    Args:
        stream: standard error or standard output; only its descriptor is written to, past its buffer.

    Raises:
        SinkError: the stream has no open descriptor.
    """

    name = "console"

    def __init__(self, stream: TextIO) -> None:
        self._encoding = stream.encoding
        self._readable = Readable.for_stream(stream)
        try:
            self._writer = DescriptorWriter(os.dup(stream.fileno()))
        except (OSError, ValueError) as error:
            raise SinkError("can not show records on the console: it is closed") from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Show records.

        Raises:
            SinkError: the terminal has gone.
        """
        records = (orjson.loads(line) for line in lines if b'"action":"audit_checkpoint"' not in line)  # for machines
        readable = map(self._readable.line, records)
        self._writer.write([line.encode(self._encoding, "backslashreplace") for line in readable])

    def close(self) -> None:
        """Let go of the terminal, which stays open.

        Raises:
            SinkError: the last line could be shown only in part.
        """
        self._writer.close()


def _what(record: Mapping[str, Any]) -> str:
    action, code = _text(record, "event", "action"), _text(record, "event", "code")
    if action == "connect" and code:
        return code
    return f"{action} {code}".strip()


def _device(record: Mapping[str, Any]) -> str:
    device = _text(record, "device", "id")
    if device and _text(record, "doorlog", "device", "confidence") != "certain":
        return f"{device}?"
    return device or _text(record, "mqtt", "client_id") or _one_of(record)


def _one_of(record: Mapping[str, Any]) -> str:
    """Name the devices that an attempt may have come from, the likeliest first."""
    candidates: Any = record
    for key in ("doorlog", "device", "candidates"):
        candidates = candidates.get(key) if isinstance(candidates, dict) else None
    if not isinstance(candidates, list):
        return ""
    names = [name for one in candidates[:_CANDIDATES] if isinstance(one, dict) and (name := _text(one, "id"))]
    more = ", …" if len(candidates) > _CANDIDATES else ""
    first = "maybe" if len(candidates) == 1 else "one of"
    return f"{first} {', '.join(names)}{more}?" if names else ""


def _text(record: Mapping[str, Any], *path: str, limit: int = FIELD_LIMIT) -> str:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return safe_text(value, limit) if isinstance(value, str) else ""
