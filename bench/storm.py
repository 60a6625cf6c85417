"""Clients that fail at a steady rate, in a process: ``python -m bench.storm KIND PORT RATE SECONDS CAFILE``.

KIND is ``handshake`` (refuse the server's certificate) or ``login`` (send a wrong password); prints their number.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

from bench import clients
from bench.plugins import WRONG_PASSWORD

# At most so many attempts are under way: a handshake is over in milliseconds, a login waits for the password's hash.
_THREADS = {"handshake": 8, "login": 64}


def storm(fail: Callable[[], None], rate: float, seconds: float, threads: int) -> int:
    """Fail so often, for so long; return how many attempts were made."""
    start = time.monotonic()

    def one_thread(number: int) -> int:
        return _paced(fail, start + number / rate, threads / rate, start + seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one_thread, range(threads)))


def _paced(fail: Callable[[], None], due: float, every: float, end: float) -> int:
    attempts = 0
    while due < end and time.monotonic() < end:
        time.sleep(max(due - time.monotonic(), 0))
        fail()
        attempts += 1
        due += every
    return attempts


def _log_in_in_vain(address: clients.Address) -> None:
    with closing(clients.dial(address)) as sock, suppress(OSError, RuntimeError):
        sock.settimeout(60)
        clients.log_in(sock, "guesser", WRONG_PASSWORD)


def main() -> None:
    kind, port, rate, seconds, cafile = sys.argv[1:]
    address = ("127.0.0.1", int(port))
    if kind == "handshake":
        foreign = clients.context(Path(cafile))
        fail: Callable[[], None] = lambda: clients.refuse_server(address, foreign)  # noqa: E731 - one of two one-liners
    else:
        fail = lambda: _log_in_in_vain(address)  # noqa: E731 - see above
    print(storm(fail, float(rate), float(seconds), _THREADS[kind]))


if __name__ == "__main__":
    main()
