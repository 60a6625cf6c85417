"""A log to be read in the benchmark: a simulated fleet's, again and again, until there are enough of its records.

The simulated records are real: of a real door, with real TLS. Each round of them is another fleet's: other device ids,
connections and times; all rounds together fill a week that ends now.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import orjson
from zstandard import ZstdCompressor

from doorlog.log.segments import segment_name

_SPAN = timedelta(days=7)
_SEGMENT = 134_217_728
"""Bytes, as ``log.file.rotate_bytes`` is unless it is set."""


def simulated_records(folder: Path, *, devices: int, days: float) -> list[dict[str, Any]]:
    """Return the records of a simulated fleet whose certificate is rotated."""
    command = [sys.executable, "-m", "doorlog", "simulate", "--folder", str(folder), "--devices", str(devices)]
    subprocess.run([*command, "--days", str(days), "--until-now"], check=True, stdout=subprocess.DEVNULL)
    return [orjson.loads(line) for line in (folder / "log" / "doorlog.jsonl").open("rb")]


def write_log(log: Path, kinds: list[dict[str, Any]], size: int) -> int:
    """Write a log of about so many bytes; return how many records it has."""
    log.parent.mkdir(parents=True)
    rounds = max(1, size // sum(len(orjson.dumps(kind)) for kind in kinds))
    step = _SPAN / (rounds * len(kinds))
    moment = datetime.now(UTC) - _SPAN
    number = 0
    with log.open("wb") as file:
        for fleet in range(rounds):
            for kind in kinds:
                number += 1
                moment += step
                file.write(orjson.dumps(_another(kind, fleet, number, moment)) + b"\n")
    return number


def device_of(fleet: int, kinds: list[dict[str, Any]]) -> str:
    """Return the device that failed most often, as it is called in one of the fleets."""
    failed = [_device(kind) for kind in kinds if kind["event"]["outcome"] == "failure" and _device(kind)]
    return f"{max(failed, key=failed.count)}-{fleet}"


def rotate(log: Path, folder: Path) -> Path:
    """Write the same log as a broker would have left it: in compressed segments, and a live file."""
    folder.mkdir(parents=True)
    live = folder / log.name
    with log.open("rb") as file:
        for piece in _pieces(file):
            first = orjson.loads(piece[: piece.index(b"\n")])
            name = segment_name(live, datetime.fromisoformat(first["@timestamp"]), first["event"]["sequence"])
            last = file.peek(1) == b""
            (live if last else folder / f"{name}.zst").write_bytes(piece if last else ZstdCompressor().compress(piece))
    return live


def _pieces(file: Any) -> Iterator[bytes]:
    for _ in count():
        piece = file.read(_SEGMENT) + file.readline()
        if not piece:
            return
        yield piece


def _another(kind: dict[str, Any], fleet: int, number: int, moment: datetime) -> dict[str, Any]:
    event = kind["event"] | {"sequence": number, "id": f"00000000000b-{number}"}
    time = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    record = kind | {"@timestamp": time, "event": event}
    if "connection_id" in kind["doorlog"]:
        record["doorlog"] = kind["doorlog"] | {"connection_id": f"{number:016x}"}
    if _device(kind):
        record["device"] = kind["device"] | {"id": f"{_device(kind)}-{fleet}"}
    return record


def _device(kind: dict[str, Any]) -> str | None:
    return (kind.get("device") or {}).get("id")
