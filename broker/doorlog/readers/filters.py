"""Which records a reader wants: conditions over plain records, and what must stand in a line for it to be one."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from doorlog.events.codes import Action
from doorlog.readers.record import text_at
from doorlog.readers.search import as_json, items_at

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPAN: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXPECTED: Final = 'expected a time such as "2026-03-01T15:02:11Z", or a span back such as 90s, 15m, 24h or 7d'

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Filters:
    """What is wanted of a record. None, or nothing: anything."""

    device: str | None = None
    """``device.id``."""
    maybe: bool = False
    """Whether a device that is only one of the candidates is wanted, too."""
    codes: Sequence[str] = ()
    """``event.code``, any of them."""
    stage: str | None = None
    outcome: str | None = None
    listener: str | None = None
    source: Network | None = None
    """What ``source.ip`` is in."""
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    """What must stand somewhere in the line; upper and lower case of ASCII letters are the same."""
    checkpoints: bool = True
    """Whether records that are for machines only are wanted, too."""

    def may_match(self, lines: bytes) -> bool:
        """Whether a line need be parsed at all; of more than one, whether any of them need be."""
        texts = (self.device, self.stage, self.outcome, self.listener)
        if not all(as_json(text) in lines for text in texts if text is not None):
            return False
        if self.text is not None and as_json(self.text)[1:-1].lower() not in lines.lower():
            return False
        return not self.codes or any(as_json(code) in lines for code in self.codes)

    def match(self, record: dict[str, Any]) -> bool:
        """Whether a record is wanted, whatever stands in it."""
        action = text_at(record, "event", "action")
        return (
            (self.checkpoints or action != Action.AUDIT_CHECKPOINT)
            and self._is_what_is_wanted(record)
            and (self.device is None or self._is_of_device(record, self.device))
            and (self.source is None or is_within(text_at(record, "source", "ip"), self.source))
            and self._is_in_time(record)
        )

    def _is_what_is_wanted(self, record: dict[str, Any]) -> bool:
        pairs = (
            (self.stage, ("doorlog", "stage")),
            (self.outcome, ("event", "outcome")),
            (self.listener, ("doorlog", "listener")),
        )
        is_code = not self.codes or text_at(record, "event", "code") in self.codes
        return is_code and all(wanted is None or text_at(record, *path) == wanted for wanted, path in pairs)

    def _is_of_device(self, record: dict[str, Any], device: str) -> bool:
        candidates = items_at(record, "doorlog", "device", "candidates") if self.maybe else []
        return device in (text_at(record, "device", "id"), *(text_at(one, "id") for one in candidates))

    def _is_in_time(self, record: dict[str, Any]) -> bool:
        if self.since is None and self.until is None:
            return True
        moment = time_of(text_at(record, "@timestamp"))
        if moment is None:
            return False
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)


def time_of(text: str | None) -> datetime | None:
    """Return a time with its offset (RFC 3339); None for what is none."""
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def moment(text: str, now: datetime, *, local: bool = False) -> datetime:
    """Return the moment that an operator means.

    Args:
        text: A time with its offset (RFC 3339), or a span back: a number and one of ``s m h d w``.
        now: What a span counts back from.
        local: Whether a time without an offset is one of this machine's time zone, as ``doorlog tail`` shows them.

    Raises:
        ValueError: It is neither. The text is ready for an operator.
    """
    span = _SPAN.fullmatch(text)
    if span is None:
        found = time_of(text) or (_local(text) if local else None)
    else:
        try:
            found = now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            found = None
    if found is None:
        raise ValueError(_EXPECTED)
    return found


def _local(text: str) -> datetime | None:
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text).astimezone(UTC)
    return None


def network(text: str) -> Network:
    """Return an address, or a network in CIDR (RFC 4632), as a network.

    Raises:
        ValueError: It is neither. The text is ready for an operator.
    """
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError('expected an address or a network, such as "192.0.2.7" or "192.0.2.0/24"') from None


def is_within(address: str | None, wanted: Network) -> bool:
    """Whether an address is in a network; what is no address is in none."""
    try:
        return ip_address(address or "") in wanted
    except ValueError:
        return False
