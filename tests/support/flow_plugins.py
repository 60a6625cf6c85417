"""amqtt plugins of strangers for the flow tests, loaded by dotted path; what they do wrong harms only themselves."""

from __future__ import annotations

import asyncio

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session


class TellsThePassword(BaseAuthPlugin):
    """Fails with what it was given in the text of its exceptions, as database drivers do."""

    async def authenticate(self, *, session: Session) -> bool | None:
        cause = ValueError(f"no such row: {session.password!r}")
        raise ConnectionError(f"INSERT INTO logins VALUES ({session.username!r}, {session.password!r})") from cause


class TellsThePasswordWhenCancelled(BaseAuthPlugin):
    """Waits for a backend, and fails with what it was given when it is told to stop."""

    async def authenticate(self, *, session: Session) -> bool | None:
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never
        except asyncio.CancelledError:
            raise RuntimeError(f"gave up on {session.password!r}") from None


class TellsWhatItKnows(BaseTopicPlugin):
    """Fails over every topic, with what it was given in the text."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        assert session is not None
        raise LookupError(f"no rule for {session.username!r}, {session.password!r}, {topic!r}")


class AbstainsFromTopics(BaseTopicPlugin):
    """Has no opinion."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        return None


class NeverAnswersTopics(BaseTopicPlugin):
    """Waits for a backend that never answers."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never


class SlowBackend(BaseAuthPlugin):
    """Asks a backend over the network, which answers when the test lets it, and never takes a password of `admin`.

    Other users are admitted at once.
    """

    answers: asyncio.Event
    asked: asyncio.Event

    async def authenticate(self, *, session: Session) -> bool | None:
        if session.username != "admin":
            return True
        SlowBackend.asked.set()
        await SlowBackend.answers.wait()
        return False


class HangsForOne(BaseAuthPlugin):
    """Never answers for the user `patience`; admits everybody else."""

    async def authenticate(self, *, session: Session) -> bool | None:
        if session.username == "patience":
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never
        return True
