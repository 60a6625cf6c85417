"""How long it takes until ``doorlog tail -f`` shows a record: from its last byte in the file to the end of its line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, NamedTuple

import orjson

_RATE = 1_000  # records each second


class Lags(NamedTuple):
    """Milliseconds."""

    median: float
    worst: float


def lags(folder: Path, kinds: list[dict[str, Any]], *, seconds: float) -> Lags:
    """Write records at a steady rate, and have them followed."""
    folder.mkdir()
    log = folder / "doorlog.jsonl"
    lines = [orjson.dumps(kind) + b"\n" for kind in kinds]
    log.write_bytes(lines[0])
    command = [sys.executable, "-m", "doorlog", "tail", "-f", "-n", "1", "--json", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it follows from here on
        total = int(seconds * _RATE)
        came: list[float] = []
        reader = Thread(target=_read, args=(process.stdout, total, came))
        reader.start()
        written = _write(log, kinds, total)
        reader.join()
        process.terminate()
    late = [1000 * (arrived - left) for left, arrived in zip(written, came, strict=True)]
    return Lags(median(late), max(late))


def _write(log: Path, kinds: list[dict[str, Any]], total: int) -> list[float]:
    written = []
    begun = time.perf_counter()
    with log.open("ab", buffering=0) as file:
        for number in range(total):
            kind = kinds[number % len(kinds)]
            line = orjson.dumps(kind | {"event": kind["event"] | {"sequence": number + 2, "action": "connect"}}) + b"\n"
            time.sleep(max(0.0, begun + number / _RATE - time.perf_counter()))
            file.write(line)
            written.append(time.perf_counter())
    return written


def _read(stream: Any, total: int, came: list[float]) -> None:
    for _ in range(total):
        stream.readline()
        came.append(time.perf_counter())
