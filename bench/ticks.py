"""A clock in a process of its own: ``python -m bench.ticks PORT SECONDS`` sends the time each millisecond (UDP)."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress

EVERY_NS = 1_000_000


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    due = time.monotonic_ns()
    end = due + int(seconds * 1e9)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        while due < end:
            time.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
            sock.send(time.monotonic_ns().to_bytes(8))
            due += EVERY_NS
        for _ in range(3):  # the first may find no room, and the others nobody
            time.sleep(0.05)
            with suppress(OSError):
                sock.send(b"")


if __name__ == "__main__":
    main()
