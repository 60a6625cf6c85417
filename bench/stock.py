"""Stock amqtt as a process of its own, silent: ``python -m bench.stock CONFIG`` (JSON)."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.broker import Broker


async def serve(config: dict[str, Any]) -> None:
    logging.getLogger().setLevel(logging.CRITICAL)
    broker = Broker(config)
    await broker.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("ready", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
