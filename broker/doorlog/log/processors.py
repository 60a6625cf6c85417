"""The small callables that turn an event into a line, each with structlog's processor signature.

structlog hands each of them ``(logger, method_name, event_dict)`` and passes on what it returns. Before ``unfold`` the
``event_dict`` holds the typed event under ``event``, with ``sequence``, ``id`` and ``service`` beside it, and
``message`` and ``reason`` once they are said; after it, the record as nested plain values; ``render`` makes the bytes.
Any structlog processor can stand between these two; where none does, ``Encoder`` takes the place of both: it says the
same in less than half the time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from doorlog.events import parts
from doorlog.events.base import Part
from doorlog.events.parts import AlertPart, TlsClientPart, TlsServerPart, X509Part
from doorlog.events.records import EcsPart
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import EventDict, Processor

    from doorlog.events.records import Event

TEXT_LIMIT: Final = 2048
"""Characters, as ``events.parts.Text``."""
REMEMBERED: Final = 512
"""Parts whose JSON is kept."""
LONGEST: Final = 8192
"""Bytes of JSON of a part that is kept: all in all at most 4 MB, whatever clients send."""

_IS_SHARED: Final = {
    kind: kind in {AlertPart, EcsPart, TlsClientPart, TlsServerPart, X509Part}
    for kind in (EcsPart, *vars(parts).values())
    if isinstance(kind, type) and issubclass(kind, Part)
}
"""All kinds of parts, and whether one is made for many records: each served chain, each certificate, what the devices
of one build offer."""
_SET_BY_THE_LOG: Final = ("reason", "sequence", "id")
"""Under ``event``."""
_PLACED: Final = frozenset({"timestamp", "message", "event", "service", "doorlog"})

_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_APPEND_NEWLINE
_LARGEST_LONG: Final = 2**63 - 1

_INVISIBLE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON allows in the clear, but a terminal, a pager or a line splitter obeys: C1 controls, separators, bidi."""
_INVISIBLE_LEADS: Final = (b"\x7f", b"\xc2", b"\xd8", b"\xe2")
"""How any of them begins in UTF-8. Most lines hold none and need no search of their text, which takes 20 us."""


def record_processors(
    message_of: Callable[[Event], str],
    extra: Sequence[Processor] = (),
    refine: Callable[[Event], Event] | None = None,
    reason_of: Callable[[Event], str] | None = None,
) -> list[Processor]:
    """Return the whole list, from a typed event to bytes.

    Args:
        message_of: says an event in one sentence.
        extra: structlog processors that see and may change the finished record, before it is rendered.
        refine: says more about an event than its room knew, such as which device it was.
        reason_of: says why an event happened that does not tell.
    """
    first = [Refinement(refine)] if refine is not None else []
    last = [unfold, *extra, render] if extra else [Encoder()]
    return [*first, Sentence(message_of, reason_of), *last]


class Refinement:
    """Replaces the event by one that says more."""

    def __init__(self, refine: Callable[[Event], Event]) -> None:
        self._refine = refine

    def __call__(self, _logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
        """Refine the event."""
        event_dict["event"] = self._refine(event_dict["event"])
        return event_dict


class Sentence:
    """Sets ``message``, the line that a person reads, and ``reason`` where an event has none.

    Both are safe to print and at most 2,048 characters. ``reason`` stays beside the event: to change the event for it
    would take longer than to say it.
    """

    def __init__(self, message_of: Callable[[Event], str], reason_of: Callable[[Event], str] | None = None) -> None:
        self._message_of = message_of
        self._reason_of = reason_of

    def __call__(self, _logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
        """Say the event, unless it says itself."""
        event: Event = event_dict["event"]
        event_dict["message"] = safe_text(event.message or self._message_of(event), TEXT_LIMIT)
        if self._reason_of is not None and event.event.reason is None:
            event_dict["reason"] = safe_text(self._reason_of(event), TEXT_LIMIT)
        return event_dict


def unfold(_logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
    """Put the event's fields, without those that are None, in the place of the typed event."""
    event: Event = event_dict.pop("event")
    record = event.model_dump(by_alias=True, exclude_none=True, warnings=False)
    doorlog = record.pop("doorlog")
    what = record.pop("event")
    what.update({name: event_dict.pop(name) for name in _SET_BY_THE_LOG if name in event_dict})
    message = event_dict.pop("message", event.message or "")
    # First what the eye looks for, doorlog last, where render keeps it.
    head = {"@timestamp": rfc3339(event.timestamp), "message": message}
    return {**head, "event": what, **record, **event_dict, **head, "doorlog": doorlog}


def render(_logger: Any, _method_name: str, event_dict: EventDict) -> bytes:
    r"""Return the record as one line of UTF-8 JSON with ``\n`` at its end, ``doorlog`` last: the chain stands there.

    Raises:
        TypeError: a value that is not JSON.
        RecursionError: values that hold themselves.
    """
    if "doorlog" in event_dict:
        event_dict["doorlog"] = event_dict.pop("doorlog")
    try:
        line = orjson.dumps(event_dict, option=_OPTIONS)
    except TypeError:  # lone surrogates, numbers over 64 bits
        line = orjson.dumps(_mend(event_dict), option=_OPTIONS)
    return _visible(line)


class Encoder:
    """A processor from the typed event to its line. For one thread."""

    def __init__(self) -> None:
        # By identity, which is safe as long as the part is held beside its JSON.
        self._known: dict[int, tuple[Part, orjson.Fragment]] = {}

    def __call__(self, logger: Any, method_name: str, event_dict: EventDict) -> bytes:
        r"""Return the record as one line of UTF-8 JSON with ``\n`` at its end.

        Raises:
            TypeError: a value that is not JSON.
        """
        try:
            return _visible(orjson.dumps(self._record(event_dict), self._json_of, _OPTIONS))
        except TypeError:  # lone surrogates, numbers over 64 bits
            return render(logger, method_name, unfold(logger, method_name, event_dict))

    @property
    def remembered(self) -> int:
        """How many parts are kept as JSON."""
        return len(self._known)

    def _record(self, event_dict: EventDict) -> dict[str, Any]:
        """Return the fields of the record in their order: when, what, who, and ``doorlog`` last, for the chain."""
        event: Event = event_dict["event"]
        what = _present(event.event)
        for name in _SET_BY_THE_LOG:
            if name in event_dict:
                what[name] = event_dict[name]
        return {
            "@timestamp": _moment(event.timestamp),
            "message": event_dict["message"],
            "event": what,
            "service": event_dict["service"],
            **{
                name: self._json_of(part)
                for name, part in event.__dict__.items()
                if part is not None and name not in _PLACED
            },
            "doorlog": _present(event.doorlog),
        }

    def _json_of(self, part: Any) -> Any:
        """Return what stands in the JSON for a part; orjson asks for each, and again for what these hold."""
        try:
            is_shared = _IS_SHARED[part.__class__]
        except KeyError:
            raise TypeError(f"{type(part).__name__} is no JSON") from None
        if not is_shared:
            return _present(part)
        known = self._known.get(id(part))
        return known[1] if known is not None else self._remembered(part)

    def _remembered(self, part: Part) -> Any:
        fields = _present(part)
        if part.__class__ is TlsClientPart and ("x509" in fields or "tickets" in fields):
            return fields  # one device's, of which only the certificate comes again
        json = orjson.dumps(fields, self._json_of, _OPTIONS).removesuffix(b"\n")
        if len(json) > LONGEST:
            return fields
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        fragment = orjson.Fragment(json)
        self._known[id(part)] = (part, fragment)
        return fragment


def _present(part: Part) -> dict[str, Any]:
    return {name: value for name, value in part.__dict__.items() if value is not None}


def _moment(moment: datetime) -> datetime | str:
    """Return a moment as orjson writes it the same way, ten times as fast, if it does."""
    return moment if moment.tzinfo is UTC and moment.microsecond else rfc3339(moment)


def _visible(line: bytes) -> bytes:
    """Return JSON that says the same, with what can not be seen escaped."""
    if line.isascii() and b"\x7f" not in line:
        return line
    if not any(lead in line for lead in _INVISIBLE_LEADS):
        return line
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", line.decode()).encode()


def rfc3339(moment: datetime) -> str:
    """Return a moment as UTC with six digits of fraction and Z, so that lines sort by it (RFC 3339, 5.1)."""
    utc = moment.replace(tzinfo=None) if moment.tzinfo in (UTC, None) else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _mend(value: Any) -> Any:
    """Return the value with texts and numbers that JSON can not carry made ones that it can."""
    match value:
        case str():
            return safe_text(value, TEXT_LIMIT)
        case bool():
            return value
        case int():
            return max(-_LARGEST_LONG, min(value, _LARGEST_LONG))
        case dict():
            return {_mend(str(key)): _mend(item) for key, item in value.items()}
        case list() | tuple():
            return [_mend(item) for item in value]
        case _:
            return value
