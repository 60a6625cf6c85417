"""A record as a syslog message of RFC 5424: its severity, its header, its structured data, the JSON behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import orjson

from doorlog.log.syslog_excerpt import excerpt, last_resort
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
"""The names of RFC 5424, table 1, in the order of their numbers."""
_FACILITIES: Final[tuple[str, ...]] = get_args(Facility)

ERROR: Final = 3
WARNING: Final = 4
INFORMATIONAL: Final = 6

SMALLEST_LIMIT: Final = 2048
"""Bytes that any record can be shortened to; every receiver should take as many (RFC 5424, 6.1)."""

EXAMPLE_NUMBER: Final = 32473
"""The private enterprise number for examples (RFC 5612): doorlog has none of its own."""

_NIL: Final = "-"
_LARGEST_SEQUENCE: Final = 2**31 - 1
_VALUE_LIMIT: Final = 128
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]")
_TO_ESCAPE: Final = re.compile(r'["\\\]]')


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: what all messages of one broker have in common."""

    facility: Facility
    hostname: str
    app_name: str
    process_id: str
    """``PROCID``: another one means another run (RFC 5424, 6.2.6)."""
    version: str
    """Of doorlog."""
    instance_id: str
    enterprise_number: int = EXAMPLE_NUMBER
    """Stands in the name of our structured data: ``doorlog@32473``."""

    def message(self, line: bytes) -> bytes:
        r"""Return a record as a message, whole; never raises, whatever the line holds.

        Args:
            line: One record as UTF-8 JSON, with or without ``\n`` at its end.
        """
        record = _parsed(line)
        return self._header(record) + self._structured_data(record) + b" " + line.rstrip(b"\n")

    def short_message(self, line: bytes, limit: int) -> bytes:
        """Return a record as a message of at most so many bytes: whole if it fits, else an excerpt that says so.

        Args:
            line: As above.
            limit: At least ``SMALLEST_LIMIT``.
        """
        whole = self.message(line)
        if len(whole) <= limit:
            return whole
        record = _parsed(line)
        head = self._header(record)
        data = self._structured_data(record) + b" "
        shortened = excerpt(record, len(line), limit - len(head) - len(data))
        return head + data + shortened if shortened is not None else head + b"- " + last_resort(record)

    def _header(self, record: Mapping[str, Any]) -> bytes:
        """Return ``PRI`` to ``MSGID`` (RFC 5424, 6.2), with the space behind it."""
        priority = _FACILITIES.index(self.facility) * 8 + severity(record)
        moment = _text(record, "@timestamp")
        fields = (
            f"<{priority}>1",
            moment if _TIMESTAMP.fullmatch(moment) else _NIL,
            printable(self.hostname, 255),
            printable(self.app_name, 48),
            printable(self.process_id, 128),
            printable(_text(record, "event", "action"), 32),
        )
        return " ".join(fields).encode() + b" "

    def _structured_data(self, record: Mapping[str, Any]) -> bytes:
        """Return ``STRUCTURED-DATA`` (RFC 5424, 6.3): ``meta`` and ``origin`` as registered (7.2, 7.3), and our own."""
        sequence = _at(record, "event", "sequence")
        known = isinstance(sequence, int) and sequence > 0
        ours = {
            "code": _text(record, "event", "code"),
            "outcome": _text(record, "event", "outcome"),
            "id": _text(record, "event", "id"),
            "sequence": str(sequence) if known else "",
            "instance": self.instance_id,
        }
        wrapped = str((sequence - 1) % _LARGEST_SEQUENCE + 1) if known else ""
        return (
            element("meta", {"sequenceId": wrapped})
            + element("origin", {"software": "doorlog", "swVersion": self.version[:32]})
            + element(f"doorlog@{self.enterprise_number}", ours)
        ).encode()


def severity(record: Mapping[str, Any]) -> int:
    """Return the severity of a record (RFC 5424, table 2).

    What the log itself lost, and a fault of the broker's own, is an error; what was refused, has failed or is about to
    expire a warning; all else is informational.
    """
    action, outcome, code = (_text(record, "event", name) for name in ("action", "outcome", "code"))
    if action == "audit_gap" or code in ("internal_error", "log_unavailable"):
        return ERROR
    if outcome == "failure" or action == "certificate_expiring":
        return WARNING
    return INFORMATIONAL


def element(name: str, values: Mapping[str, str]) -> str:
    """Return an ``SD-ELEMENT`` (RFC 5424, 6.3.1); a value that is empty is left out."""
    return f"[{name}{''.join(f' {key}={quoted(value)}' for key, value in values.items() if value)}]"


def quoted(value: str) -> str:
    r"""Return a ``PARAM-VALUE`` in its quotes: ``"``, ``\`` and ``]`` have a backslash before them (RFC 5424, 6.3.3).

    Of a value, 128 characters are kept; those that could forge a line or hide words are escaped as in all our texts.
    """
    escaped = _TO_ESCAPE.sub(lambda match: "\\" + match[0], safe_text(value, _VALUE_LIMIT))
    return f'"{escaped}"'


def printable(text: str, limit: int) -> str:
    """Return a header field: printable ASCII without spaces (RFC 5424, 6), at most so many characters, never empty."""
    return _NOT_PRINTABLE.sub("_", text[:limit]) or _NIL


def framed(message: bytes) -> bytes:
    """Return a message for a stream, its length in bytes before it (octet counting: RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return b"%d %b" % (len(message), message)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _at(record: Mapping[str, Any], *path: str) -> Any:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(record: Mapping[str, Any], *path: str) -> str:
    value = _at(record, *path)
    return value if isinstance(value, str) else ""
