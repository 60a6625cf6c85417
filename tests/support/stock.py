"""Stock amqtt 0.12.1, in the test's event loop or as its own command: what attacks succeed against.

It leaves connections and tasks behind, which is part of what the tests show; here they are cleared away.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from amqtt.broker import Broker

from support.clients.base import Target
from support.ports import free_port
from support.processes import serving

FREE = "127.0.0.1:0"


class Stock:
    """A stock broker in this event loop; `stock` makes one.

    Attributes:
        broker: amqtt's own.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.broker = Broker(config)
        self._writers: list[asyncio.StreamWriter] = []
        self._serve = self.broker.stream_connected
        self.broker.stream_connected = self._connected  # type: ignore[method-assign] # to know what is left open

    def target(self, listener: str = "default") -> Target:
        """Return where a listener listens."""
        server = self.broker._servers[listener].instance
        return Target("127.0.0.1", next(iter(server.sockets)).getsockname()[1])

    def places(self, listener: str) -> int:
        """Return how many connections more a listener would take."""
        semaphore = self.broker._servers[listener].semaphore
        assert semaphore is not None
        return semaphore._value

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        self._writers.append(writer)
        await self._serve(reader, writer, listener_name)

    async def close(self, before: set[asyncio.Task[Any]]) -> None:
        """Stop the broker, cut what it left open, and end every task that is not among those of `before`."""
        for writer in self._writers:
            writer.transport.abort()
        with suppress(Exception):  # it fails over connections that are gone
            async with asyncio.timeout(5):
                await self.broker.shutdown()
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=5)


@asynccontextmanager
async def stock(plugins: Mapping[str, Any], **listeners: Mapping[str, Any]) -> AsyncIterator[Stock]:
    """Run a stock broker.

    Args:
        plugins: Options by dotted path.
        listeners: Options of listeners beside the plain one, which is called `default`.
    """
    before = asyncio.all_tasks()
    tcp = {"type": "tcp", "bind": FREE}
    running = Stock(
        {
            "listeners": {"default": tcp, **{name: {**tcp, **options} for name, options in listeners.items()}},
            "plugins": dict(plugins),
        }
    )
    await running.broker.start()
    try:
        yield running
    finally:
        await running.close(before)


@asynccontextmanager
async def stock_command(folder: Path, plugins: Mapping[str, Any]) -> AsyncIterator[Target]:
    """Run `amqtt -c FILE` with one plain listener."""
    config = folder / "amqtt.yaml"
    argv: list[str | Path] = [Path(sys.executable).with_name("amqtt"), "-c", config]
    async with AsyncExitStack() as stack:
        for tries_left in (2, 1, 0):
            port = free_port()
            listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
            config.write_text(yaml.safe_dump({"listeners": {"default": listener}, "plugins": dict(plugins)}))
            try:
                await stack.enter_async_context(serving(argv, ready="Starting session expiration monitor", patience=30))
                break
            except RuntimeError as error:  # somebody else took the port in the meantime
                if not tries_left or "address already in use" not in str(error):
                    raise
        yield Target("127.0.0.1", port)
