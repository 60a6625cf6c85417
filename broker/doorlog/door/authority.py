"""What the door asks of whatever stands behind it: judge a CONNECT, serve an admitted connection.

Embedded amqtt is one authority; an upstream broker reached over TCP can be another. The door assumes nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from doorlog.events.codes import Code
from doorlog.events.parts import VerdictPart

if TYPE_CHECKING:
    from doorlog.door.connection import DoorConnection

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over one CONNECT.

    Attributes:
        code: ``admitted``, or a code of the credentials stage.
        verdicts: What each plugin said.
        method: How the device proved itself: ``password``, ``certificate``, ``anonymous``.
        principal: Who it proved to be, None for nobody in particular.
        reason: One plain sentence, where the code alone does not say it.
        session: The authority's own state, handed back to ``serve``.
    """

    code: Code
    verdicts: tuple[VerdictPart, ...] = ()
    method: str | None = None
    principal: str | None = None
    reason: str | None = None
    session: Any = None


class Authority(Protocol):
    """Judges and serves."""

    async def judge(self, connection: DoorConnection) -> Judgement:
        """Decide over a complete, valid CONNECT. May take ``limits.auth_timeout``; must not raise."""
        ...

    async def serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        """Serve an admitted connection to its end, CONNACK first."""
        ...

    def dismiss(self, judgement: Judgement) -> None:
        """Let go of what was held for a connection that was judged admitted, and will not be served after all."""
        ...


async def judgement_of(authority: Authority, connection: DoorConnection) -> Judgement:
    """Ask an authority; whatever it does, there is a judgement."""
    try:
        judgement: object = await authority.judge(connection)
    except Exception:  # noqa: BLE001 - whatever stands behind the door, the door goes on
        _log.exception("the authority failed to judge a connection")
    else:
        if isinstance(judgement, Judgement):
            return judgement
        _log.error("the authority judged a connection with %s", type(judgement).__name__)
    return Judgement(Code.AUTH_BACKEND_ERROR)
