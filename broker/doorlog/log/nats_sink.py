"""Records in a stream of NATS JetStream: durable, replicated, for a whole fleet of brokers.

Each record is published under ``Nats-Msg-Id: event.id``. JetStream drops one that comes again within the stream's
duplicate window, so that it holds each record once although a courier brings it at least once. ``docs/nats.md`` says
where that ends.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from doorlog.errors import SinkError
from doorlog.log.nats_connection import Connection
from doorlog.log.nats_settings import NatsSettings
from doorlog.log.nats_subject import Addressing

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from doorlog.log.nats_subject import Message
    from doorlog.log.sink import SinkContext

_SPARE_SECONDS: Final = 2.0
"""What the sink's loop may take longer than the time-outs that it keeps by itself."""


class NatsSink:
    """Publishes records to JetStream, and takes a batch for taken when the stream has acknowledged all of it.

    Args:
        settings: Its keys.
        context: Which log it belongs to.

    Raises:
        SinkError: A file that it needs can not be read.
    """

    Settings: ClassVar = NatsSettings
    buffer: ClassVar[Literal["memory", "file"]] = "file"

    def __init__(self, settings: NatsSettings, context: SinkContext) -> None:
        self.name = f"nats {settings.stream}"
        self._settings = settings
        self._client_name = f"{context.service_name} {context.instance_id}"
        self._addressing = Addressing(settings.subject, settings.unproven_devices)
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stop = asyncio.Event()
        _check_files(settings)

    def write(self, lines: Sequence[bytes]) -> None:
        """Publish records in order and wait until JetStream has stored them.

        Raises:
            SinkError: It has not stored all; ``lost`` counts from the first that it did not acknowledge.
        """
        messages = [self._addressing.message(line) for line in lines]
        size = self._settings.in_flight
        for begin in range(0, len(messages), size):
            try:
                # Connecting has a time-out, and then the acknowledgements; letting go of a connection has one too.
                self._run(self._publish(messages[begin : begin + size]), 3 * self._settings.timeout)
            except SinkError as error:
                left = min(size, len(messages) - begin) if error.lost is None else error.lost
                behind = max(0, len(messages) - begin - size)
                raise SinkError(str(error), lost=left + behind) from error

    def close(self) -> None:
        """End the connection and its thread."""
        if self._loop is None or self._thread is None:
            return
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        try:
            asyncio.run_coroutine_threadsafe(self._leave(), loop).result(self._settings.timeout + _SPARE_SECONDS)
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(_SPARE_SECONDS)

    def _run(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(lambda _loop, _context: None)  # of nats-py's tasks: publish sees it too
            self._stop = asyncio.Event()
            name = f"doorlog-log-{self.name}-loop"
            self._thread = Thread(target=_serve, args=(self._loop, self._stop), name=name, daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(seconds + _SPARE_SECONDS)
        except FutureTimeoutError:
            future.cancel()
            raise SinkError(f"NATS: no answer within {seconds + _SPARE_SECONDS:g} s") from None

    # on the thread of its loop

    async def _publish(self, messages: Sequence[Message]) -> None:
        if self._connection is None or not self._connection.is_open:
            await self._leave()
            self._connection = Connection(self._settings, self._client_name)
            try:
                await self._connection.open()
            except SinkError:
                await self._leave()
                raise
        try:
            await self._connection.publish(messages)
        except SinkError:
            await self._leave()  # nothing more comes of it than the same records, in the same order
            raise

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _serve(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_until(stop))


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _check_files(settings: NatsSettings) -> None:
    for key in ("credentials_file", "nkey_file", "password_file", "cafile", "certfile", "keyfile"):
        path = getattr(settings, key)
        try:
            if path is not None:
                with path.open("rb"):
                    pass
        except OSError as error:
            raise SinkError(f"{key}: {path} can not be read ({error.strerror})") from error
