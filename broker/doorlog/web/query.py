"""What stands in the URL of the log: filters, where to go on, and back again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from doorlog.events.codes import Outcome, Stage
from doorlog.readers.filters import Filters, moment, network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    Value = TypeVar("Value")

FIELDS: Final = ("device", "code", "stage", "outcome", "source", "listener", "text", "since", "until")
_LONGEST: Final = 2_000
"""Characters of a value: room for all codes together."""
_LARGEST: Final = 10**19


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody wants to see.

    Attributes:
        values: As they stand in the URL, those that are empty left out.
        filters: What they mean.
        below: Only records with a lower sequence; None for the latest.
        mistakes: What can not be meant, by field; such a value has no effect.
    """

    values: Mapping[str, str]
    filters: Filters
    below: int | None
    mistakes: Mapping[str, str]

    def url(self, path: str, **changes: str | int | None) -> str:
        """Return the address of the same, with some values changed, or left out where they are None."""
        wanted = {**self.values, **changes}
        text = urlencode({name: value for name, value in wanted.items() if value not in (None, "")})
        return f"{path}?{text}" if text else path

    @property
    def is_live(self) -> bool:
        """Whether records that come now can be among what is wanted."""
        return self.below is None and "until" not in self.values


def read_query(parameters: Mapping[str, str], now: datetime | None = None) -> Query:
    """Read the parameters of a URL, whatever they are."""
    now = now or datetime.now(UTC)
    values = {name: text[:_LONGEST] for name in FIELDS if (text := parameters.get(name, "").strip())}
    mistakes: dict[str, str] = {}

    def read(name: str, reading: Callable[[str], Value]) -> Value | None:
        try:
            return reading(values[name]) if name in values else None
        except ValueError as error:
            mistakes[name] = str(error)
            return None

    filters = Filters(
        device=values.get("device"),
        maybe=True,
        codes=tuple(values["code"].split()) if "code" in values else (),
        stage=read("stage", _one_of(Stage)),
        outcome=read("outcome", _one_of(Outcome)),
        listener=values.get("listener"),
        source=read("source", network),
        text=values.get("text"),
        since=read("since", lambda text: moment(text, now)),
        until=read("until", lambda text: moment(text, now)),
        checkpoints=False,
    )
    return Query(values, filters, _number(parameters.get("below", "")), mistakes)


def attempt_url(name: str | None, at: str | datetime | float | None) -> str:
    """Return the address of an attempt.

    Args:
        name: ``doorlog.connection_id``, or ``event.id`` of one of its records; whatever stands in a record.
        at: When one of its records was written, which tells where in a long log it is: RFC 3339, or seconds since 1970.
    """
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at
    text = moment.astimezone(UTC).isoformat() if isinstance(moment, datetime) else moment
    place = f"/attempt/{quote(name or '', safe='')}"
    return f"{place}?{urlencode({'at': text})}" if text else place


def _one_of(kind: type[Stage | Outcome]) -> Callable[[str], str]:
    def reading(text: str) -> str:
        if text not in list(kind):
            raise ValueError(f"expected one of {', '.join(kind)}")
        return text

    return reading


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST))
    return int(text) if is_number and 0 < int(text) < _LARGEST else None
