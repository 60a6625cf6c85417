"""paho-mqtt as a client that stays: it logs in, subscribes, publishes, and keeps what it gets, on its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Condition

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from support.clients.base import Target

PATIENCE = 15.0
"""Seconds after which a test that waits for the broker fails."""

Received = tuple[str, bytes]


class PahoReader:
    """One connection; `paho_reader` makes one. Its methods may be awaited by one task at a time.

    Attributes:
        received: Topic and payload of each message, in order.
        on_received: Called for each message, on paho's thread, with what publishes.
        subscribed: The broker's answers to the filters, in order.
    """

    def __init__(self, user_name: str, password: str) -> None:
        self.received: list[Received] = []
        self.on_received: Callable[[mqtt.Client, Received], object] = lambda _client, _message: None
        self.subscribed: list[bool] = []
        self._refused: bool | None = None
        self._changed = Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"paho-{user_name}", reconnect_on_failure=False)
        self._client.username_pw_set(user_name, password)
        self._client.on_connect = lambda _client, _data, _flags, code, _properties: self._answer(code.is_failure)
        self._client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self._grant(
            [not code.is_failure for code in codes]
        )
        self._client.on_message = lambda _client, _data, message: self._take((message.topic, bytes(message.payload)))

    async def subscribe(self, *filters: str) -> list[bool]:
        """Subscribe; return which of the filters were granted."""
        before = len(self.subscribed)
        self._client.subscribe([(topic_filter, 2) for topic_filter in filters])
        await self._until(lambda: len(self.subscribed) == before + len(filters))
        return self.subscribed[before:]

    async def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        """Publish, until it is sent, or acknowledged where the QoS asks for it."""
        message = self._client.publish(topic, payload, qos, retain)
        await asyncio.to_thread(message.wait_for_publish, PATIENCE)
        assert message.is_published()

    async def until(self, reached: Callable[[list[Received]], bool]) -> list[Received]:
        """Wait until what was received is enough; return it."""
        await self._until(lambda: reached(self.received))
        return list(self.received)

    async def open(self, target: Target) -> None:
        await asyncio.to_thread(self._client.connect, target.host, target.port)
        self._client.loop_start()
        await self._until(lambda: self._refused is not None)
        assert self._refused is False

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def _until(self, reached: Callable[[], bool]) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(reached, PATIENCE)

        assert await asyncio.to_thread(wait), f"it did not come; these did: {self.received[-20:]}"

    def _answer(self, refused: bool) -> None:
        with self._changed:
            self._refused = refused
            self._changed.notify_all()

    def _grant(self, granted: list[bool]) -> None:
        with self._changed:
            self.subscribed += granted
            self._changed.notify_all()

    def _take(self, message: Received) -> None:
        self.on_received(self._client, message)
        with self._changed:
            self.received.append(message)
            self._changed.notify_all()


@asynccontextmanager
async def paho_reader(target: Target, user_name: str, password: str) -> AsyncIterator[PahoReader]:
    """Log in, and log off at the end."""
    reader = PahoReader(user_name, password)
    await reader.open(target)
    try:
        yield reader
    finally:
        await reader.close()
