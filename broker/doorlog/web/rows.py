"""A record to what one row of the page shows: plain values, which the page escapes wherever it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from doorlog.events.codes import Action
from doorlog.readers.record import number_at, text_at, value_at
from doorlog.readers.search import items_at
from doorlog.text import safe_text
from doorlog.web.query import attempt_url

if TYPE_CHECKING:
    from doorlog.readers.tail import Found

_LONGEST: Final = 600


class Row(NamedTuple):
    """What is shown of a record."""

    time: str
    sequence: int
    state: str
    """``ok``, ``bad`` or ``info``."""
    what: str
    """The code, or the action of a record that has none."""
    device: str
    """Its id, for a link."""
    shown: str
    """Its id, for the eye."""
    is_sure: bool
    """Whether the device is certain, not likely."""
    candidates: str
    """Which devices it may have been, in words, where it is not known."""
    message: str
    link: str
    """Where the attempt is told."""


def row_of(found: Found) -> Row:
    """Return what is shown of a record, whatever stands in it."""
    record = found.record
    outcome, action = text_at(record, "event", "outcome"), text_at(record, "event", "action") or "record"
    code = text_at(record, "event", "code")
    evidence = value_at(record, "doorlog", "device")
    name = text_at(record, "doorlog", "connection_id") or text_at(record, "event", "id")
    moment = _short(text_at(record, "@timestamp"))
    state = "bad" if outcome == "failure" else "ok" if action == Action.CONNECT else "info"
    return Row(
        time=moment,
        sequence=number_at(record, "event", "sequence") or 0,
        state=state,
        what=_short(code if action == Action.CONNECT and code else f"{action} {code or ''}".strip()),
        device=text_at(record, "device", "id") or "",
        shown=_short(text_at(record, "device", "id")),
        is_sure=text_at(evidence, "confidence") == "certain",
        candidates=_candidates(items_at(evidence, "candidates")),
        message=safe_text(text_at(record, "message") or text_at(record, "event", "reason") or "", _LONGEST),
        link=attempt_url(name, moment),
    )


def _candidates(candidates: list[Any]) -> str:
    """Name the only one, or say how many there are."""
    if len(candidates) != 1:
        return f"one of {len(candidates)}" if candidates else ""
    name = text_at(candidates[0], "id")
    return f"maybe {_short(name)}" if name else ""


def plain(row: Row) -> dict[str, Any]:
    """Return a row as JSON values, for the script that adds it to the page."""
    return row._asdict()


def _short(text: str | None) -> str:
    return safe_text(text or "", 200)
