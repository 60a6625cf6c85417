"""The small callables that turn an event into a line, each with structlog's processor signature.

structlog hands each of them ``(logger, method_name, event_dict)`` and passes on what it returns. Before ``unfold`` the
``event_dict`` holds the typed event under ``event``, with ``sequence``, ``id`` and ``service`` beside it; after it, the
record as nested plain values; ``render`` makes the bytes. Any structlog processor can stand between these two.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import EventDict, Processor

    from doorlog.events.records import Event

TEXT_LIMIT: Final = 2048
"""Characters, as ``events.parts.Text``."""

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
) -> list[Processor]:
    """Return the whole list, from a typed event to bytes.

    Args:
        message_of: says an event in one sentence.
        extra: structlog processors that see and may change the finished record, before it is rendered.
        refine: says more about an event than its room knew, such as which device it was.
    """
    first = [Refinement(refine)] if refine is not None else []
    return [*first, Sentence(message_of), unfold, *extra, render]


class Refinement:
    """Replaces the event by one that says more."""

    def __init__(self, refine: Callable[[Event], Event]) -> None:
        self._refine = refine

    def __call__(self, _logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
        """Refine the event."""
        event_dict["event"] = self._refine(event_dict["event"])
        return event_dict


class Sentence:
    """Sets ``message``: the line that a person reads, safe to print and at most 2,048 characters."""

    def __init__(self, message_of: Callable[[Event], str]) -> None:
        self._message_of = message_of

    def __call__(self, _logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
        """Say the event, unless it says itself."""
        event: Event = event_dict["event"]
        event_dict["message"] = safe_text(event.message or self._message_of(event), TEXT_LIMIT)
        return event_dict


def unfold(_logger: Any, _method_name: str, event_dict: EventDict) -> EventDict:
    """Put the event's fields, without those that are None, in the place of the typed event."""
    event: Event = event_dict.pop("event")
    record = event.model_dump(by_alias=True, exclude_none=True, warnings=False)
    record["event"].update(sequence=event_dict.pop("sequence"), id=event_dict.pop("id"))
    message = event_dict.pop("message", event.message or "")
    head = {"@timestamp": rfc3339(event.timestamp), "message": message}  # first in the line, for the eye
    doorlog = record.pop("doorlog")
    return {**head, **record, **event_dict, **head, "doorlog": doorlog}


def render(_logger: Any, _method_name: str, event_dict: EventDict) -> bytes:
    r"""Return the record as one line of UTF-8 JSON with ``\n`` at its end, ``doorlog`` last whatever came behind it.

    Raises:
        TypeError: a value that is not JSON.
        RecursionError: values that hold themselves.
    """
    if "doorlog" in event_dict:
        event_dict["doorlog"] = event_dict.pop("doorlog")  # the chain stands at its end
    try:
        line = orjson.dumps(event_dict, option=_OPTIONS)
    except TypeError:  # lone surrogates, numbers over 64 bits
        line = orjson.dumps(_mend(event_dict), option=_OPTIONS)
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
