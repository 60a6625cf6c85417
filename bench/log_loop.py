"""What the event loop notices of the log: how late it is for what comes in, while records are made."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.servers import ROOT

_PATIENCE = 30.0


class Delays(NamedTuple):
    """Milliseconds from when something was sent to the event loop until it was read."""

    median: float
    p99: float
    worst: float


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, work: Callable[[], None]) -> None:
        self.delays: list[float] = []
        self.over = asyncio.Event()
        self._work = work

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        if not data:
            self.over.set()
            return
        self.delays.append((time.monotonic_ns() - int.from_bytes(data)) / 1e6)
        self._work()


def delays(seconds: float, work: Callable[[], None]) -> Delays:
    """Measure a loop that does some work each millisecond, on uvloop where it is installed, like the broker."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        measured = sorted(runner.run(_measure(seconds, work)))
    p99 = measured[min(int(len(measured) * 0.99), len(measured) - 1)]
    return Delays(measured[len(measured) // 2], p99, measured[-1])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return] # it is one
    except ImportError:
        return None


async def _measure(seconds: float, work: Callable[[], None]) -> list[float]:
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(lambda: _Listener(work), ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    argv = [sys.executable, "-m", "bench.ticks", str(port), str(seconds)]
    process = subprocess.Popen(argv, cwd=ROOT)  # noqa: ASYNC220 - before anything is measured
    try:
        async with asyncio.timeout(seconds + _PATIENCE):
            await listener.over.wait()
    finally:
        process.kill()
        process.wait()
        transport.close()
    return listener.delays
