"""One attempt as a picture in words: the stages that it passed, and the one at which it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from doorlog.events.codes import Action, Code, Stage
from doorlog.readers.record import text_at
from doorlog.readers.show import pretty

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES: Final = (
    ("TCP", {Stage.ACCEPT, Stage.PROXY}),
    ("TLS", {Stage.HELLO, Stage.HANDSHAKE}),
    ("CONNECT", {Stage.CONNECT}),
    ("credentials", {Stage.CREDENTIALS}),
    ("session", {Stage.SESSION}),
)
_LONGEST: Final = 4_000


class Passed(NamedTuple):
    """A stage."""

    name: str
    state: str
    """``passed``, ``stopped`` or ``never`` reached."""


def stages_of(records: Sequence[dict[str, Any]]) -> list[Passed]:
    """Return how far an attempt came; nothing for records of no attempt."""
    attempt = next((one for one in records if text_at(one, "event", "action") == Action.CONNECT), None)
    if attempt is None:
        return []
    stage, is_admitted = text_at(attempt, "doorlog", "stage"), text_at(attempt, "event", "code") == Code.ADMITTED
    stopped = next((place for place, (_, stages) in enumerate(_NAMES) if stage in stages), 0)
    states = ("passed", "stopped", "never")
    return [
        Passed(name, "passed" if is_admitted else states[(place >= stopped) + (place > stopped)])
        for place, (name, _) in enumerate(_NAMES)
    ]


def fields_of(record: dict[str, Any]) -> str:
    """Return a record as lines of JSON, with what could hide a word escaped."""
    return "\n".join(pretty(record, _LONGEST))
