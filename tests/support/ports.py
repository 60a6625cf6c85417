"""Free loopback ports for the few servers that cannot be told to pick one themselves.

There is no "wait until the port answers" here: asking a port is a connection attempt, and the door would record it.
Wait for the line in which the server says that it listens: `support.processes.serving`.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, closing, suppress
from typing import Final

_RANGE: Final = range(10_000, 30_000)
"""Below what Linux gives to whoever asks for port 0, and to outgoing connections: nobody gets these by chance."""


def free_ports(count: int, host: str = "127.0.0.1") -> tuple[int, ...]:
    """Return `count` different TCP ports that were free on `host` a moment ago.

    Prefer port 0 where a server offers it: another process may take one of these before the server does.
    """
    with ExitStack() as stack:
        return tuple(_free_port(stack, host) for _ in range(count))


def _free_port(stack: ExitStack, host: str) -> int:
    while True:
        held = stack.enter_context(closing(socket.socket()))
        with suppress(OSError):
            held.bind((host, secrets.choice(_RANGE)))
            return int(held.getsockname()[1])


def free_port(host: str = "127.0.0.1") -> int:
    """Return one TCP port that was free on `host` a moment ago."""
    return free_ports(1, host)[0]
