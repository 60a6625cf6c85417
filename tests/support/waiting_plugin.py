"""An amqtt authentication plugin, loaded by dotted path, that answers when the test lets it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

WAITING: dict[str, dict[str, Any]] = {"support.waiting_plugin.Waits": {}}


class Waits(BaseAuthPlugin):
    """Admits everybody but ``evil``, once ``answer`` is set; ``ready`` makes both events anew for a test."""

    asked: ClassVar[asyncio.Event]
    answer: ClassVar[asyncio.Event]

    @classmethod
    def ready(cls) -> None:
        cls.asked, cls.answer = asyncio.Event(), asyncio.Event()

    async def authenticate(self, *, session: Session) -> bool | None:
        self.asked.set()
        await self.answer.wait()
        return session.username != "evil"
