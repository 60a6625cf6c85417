"""Authentication plugins as strangers write them, good and bad; amqtt loads them by dotted path."""

from __future__ import annotations

import asyncio

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

SECRET = "hunter2-in-an-exception"


class Allows(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        return True


class Denies(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        return False


class Abstains(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        return None


class Raises(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        raise KeyError(SECRET)


class Exits(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        raise SystemExit(SECRET)


class MissesItsBackend(BaseAuthPlugin):
    """Its own time-out, long before ours."""

    async def authenticate(self, *, session: Session) -> bool | None:
        async with asyncio.timeout(0):
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never


class AwaitsTheCancelled(BaseAuthPlugin):
    """What it waits for has been cancelled by somebody else, such as a closed connection pool."""

    async def authenticate(self, *, session: Session) -> bool | None:
        backend: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        backend.cancel()
        return await backend


class SaysOk(BaseAuthPlugin):
    """True enough for an ``if``, but no bool: a forgotten await would look the same."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return "ok"  # type: ignore[return-value] # that is the mistake


class Hangs(BaseAuthPlugin):
    """Waits for a backend that never answers."""

    def __init__(self, context: object) -> None:
        super().__init__(context)  # type: ignore[arg-type] # amqtt passes a BaseContext
        self.cancelled = 0

    async def authenticate(self, *, session: Session) -> bool | None:
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class IgnoresCancellation(BaseAuthPlugin):
    """Retries whatever happens, as a careless ``except BaseException`` does, until it is let go."""

    def __init__(self, context: object) -> None:
        super().__init__(context)  # type: ignore[arg-type] # amqtt passes a BaseContext
        self.let_go = asyncio.Event()
        self.attempts = 0
        self.ended = asyncio.Event()

    async def authenticate(self, *, session: Session) -> bool | None:
        while not self.let_go.is_set():
            self.attempts += 1
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        self.ended.set()
        return True


class Refuses(BaseAuthPlugin):
    """Denies with whatever refusal a test puts here."""

    refusal: object = None
    reason: object = None

    async def authenticate(self, *, session: Session) -> bool | None:
        session.attributes["doorlog.refusal"] = self.refusal
        session.attributes["doorlog.refusal.reason"] = self.reason
        return False


class Whispers(BaseAuthPlugin):
    """Leaves a refusal behind although it does not deny."""

    async def authenticate(self, *, session: Session) -> bool | None:
        session.attributes["doorlog.refusal"] = "throttled"
        return None


class Vouches(BaseAuthPlugin):
    """Knows the device by a name that CONNECT does not hold."""

    principal: object = "token-owner"

    async def authenticate(self, *, session: Session) -> bool | None:
        session.attributes["doorlog.principal"] = self.principal
        session.attributes["doorlog.auth.method"] = "token"
        return True
