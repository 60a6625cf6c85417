"""``doorlog health``: whether a broker accepts connections, without a record for each time that it is asked.

A connection that is opened and closed is an attempt like any other, and so a record. It would prove little: the kernel
completes it even if the broker hangs. The kernel's own table of listening sockets (Linux, proc_pid_net(5)) says more:
whether the port is open, and how many connections wait there for the broker to take them. Only where that table does
not show the port, as on other systems, a connection is tried.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from doorlog.settings.models import ListenerSettings

_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN: Final = "0A"
_PAUSE: Final = 0.05  # seconds between two looks
_CONNECT_TIMEOUT: Final = 2.0  # seconds

_MAX_ANSWER: Final = 4_194_304  # each code at each listener is a row of it

Address = tuple[str, int]
"""IP address and port."""
Queues = Mapping[Address, int]
"""How many connections wait at each listening address."""


class Health(NamedTuple):
    """How one listener does.

    Attributes:
        listener: Its name.
        healthy: Whether it accepts connections.
        sentence: In words.
    """

    listener: str
    healthy: bool
    sentence: str


def check_health(
    listeners: Mapping[str, ListenerSettings], *, patience: float = 2.0, look: Callable[[], Queues] | None = None
) -> list[Health]:
    """Ask how the listeners of a configuration do, on this machine and in this network namespace.

    Args:
        listeners: By name.
        patience: Seconds in which a queue of waiting connections must become shorter.
        look: Reads the kernel's table.

    Returns:
        One answer for each listener.
    """
    look = look or read_queues
    return [_health(name, listener, look, patience) for name, listener in listeners.items()]


def ask_monitor(bind: str, address: tuple[str, int]) -> Health:
    """Ask the broker's monitor how its log does.

    Args:
        bind: ``monitor.bind``, for the sentence.
        address: The same, taken apart.
    """
    connection = HTTPConnection(*address, timeout=_CONNECT_TIMEOUT)
    try:
        connection.request("GET", "/health")
        log = json.loads(connection.getresponse().read(_MAX_ANSWER))["log"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return Health("log", healthy=False, sentence=f"the monitor at {bind} gives no answer: is the broker running?")
    finally:
        connection.close()
    if log.get("failure") is not None:
        return Health("log", healthy=False, sentence=f"the log file can not be written: {log['failure']}")
    return Health("log", healthy=True, sentence=f"the log is written, {log.get('sequence')} records so far")


def _health(name: str, listener: ListenerSettings, look: Callable[[], Queues], patience: float) -> Health:
    if listener.address[1] == 0:
        return Health(name, healthy=True, sentence="port 0 takes a free port at each start: it can not be asked for")
    try:
        addresses = _resolved(*listener.address)
    except OSError as error:
        return Health(name, healthy=False, sentence=f"{listener.bind}: {error.strerror}")
    if _is_stuck(addresses, look, patience):
        return Health(name, healthy=False, sentence=f"{listener.bind} is open, but nobody lets in those who wait there")
    if addresses & look().keys():
        return Health(name, healthy=True, sentence=f"{listener.bind} accepts connections")
    return _try_to_connect(name, listener.bind, addresses)


def _is_stuck(addresses: set[Address], look: Callable[[], Queues], patience: float) -> bool:
    """Whether connections wait all the time and never become fewer; in a storm they do, now and then."""
    deadline = time.monotonic() + patience
    last = 0
    while waiting := sum(queue for address, queue in look().items() if address in addresses):
        if waiting < last:
            return False
        if time.monotonic() >= deadline:
            return True
        last = waiting
        time.sleep(_PAUSE)
    return False


def _try_to_connect(name: str, bind: str, addresses: set[Address]) -> Health:
    for host, port in sorted(addresses):
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound
        with suppress(OSError), socket.create_connection((here, port), _CONNECT_TIMEOUT):
            return Health(name, healthy=True, sentence=f"{bind} accepted a connection")
    return Health(name, healthy=False, sentence=f"nothing listens on {bind}: is the broker running?")


def _resolved(host: str, port: int) -> set[Address]:
    infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {(str(info[4][0]), port) for info in infos}


def read_queues() -> Queues:
    """Read the kernel's tables; empty where there are none."""
    queues: dict[Address, int] = {}
    for table in _TABLES:
        with suppress(OSError):
            queues.update(parse_table(Path(table).read_text(encoding="ascii")))
    return queues


def parse_table(text: str) -> Iterator[tuple[Address, int]]:
    """Read a table in the form of ``/proc/net/tcp`` or ``tcp6``; what is no listening socket is passed over.

    Args:
        text: The table.

    Returns:
        For each listening socket its address and how many connections wait there.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[3] == _LISTEN:
            with suppress(ValueError):
                address, _, port = words[1].partition(":")
                yield (_address(address), int(port, 16)), int(words[4].partition(":")[2], 16)


def _address(text: str) -> str:
    """Read an address that the kernel prints as 32-bit words in the byte order of the machine."""
    words = (int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    return str(ip_address(b"".join(socket.ntohl(word).to_bytes(4) for word in words)))
