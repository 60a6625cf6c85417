"""Free loopback ports for the few servers that cannot be told to pick one themselves.

There is no "wait until the port answers" here: asking a port is a connection attempt, and the door would record it.
Wait for the line in which the server says that it listens: `support.processes.serving`.
"""

from __future__ import annotations

import socket


def free_ports(count: int, host: str = "127.0.0.1") -> tuple[int, ...]:
    """Return `count` different TCP ports that were free on `host` a moment ago.

    Prefer port 0 where a server offers it: another process may take one of these before the server does.
    """
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            held.append(socket.socket())
            held[-1].bind((host, 0))
        return tuple(port.getsockname()[1] for port in held)
    finally:
        for port in held:
            port.close()


def free_port(host: str = "127.0.0.1") -> int:
    """Return one TCP port that was free on `host` a moment ago."""
    return free_ports(1, host)[0]
