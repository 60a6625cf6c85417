"""amqtt plugins that do all that a careless author may do with a password, in a process that logs all it can."""

from __future__ import annotations

import asyncio
import logging
import sys

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

# As an operator does who looks for a fault: everything of everybody, from the moment that the plugins are loaded.
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True)


class CarelessAuth(BaseAuthPlugin):
    """Has an opinion of four users only; tells the password to whoever listens."""

    async def authenticate(self, *, session: Session) -> bool | None:
        match session.username:
            case "raises":
                cause = ValueError(f"no such row: {session.password!r}")
                raise ConnectionError(f"INSERT INTO logins VALUES ({session.password!r})") from cause
            case "hangs":
                return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never
            case "sulks":
                try:
                    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never
                except asyncio.CancelledError:
                    raise RuntimeError(f"gave up on {session.password!r}") from None
            case "explains":
                session.attributes["doorlog.refusal"] = "bad_password"
                session.attributes["doorlog.refusal.reason"] = f"{session.password} is not what stands in the file"
                return False
        return None


class CarelessTopics(BaseTopicPlugin):
    """Fails over some topics with all that it knows, hangs over others, and allows the rest."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        assert session is not None
        if topic is not None and topic.startswith("raise/"):
            raise LookupError(f"no rule for {session.username!r}, {session.password!r}, {vars(session)!r}")
        return not (topic or "").startswith("deny/")
