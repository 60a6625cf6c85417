"""What it costs to know many devices: time for each failure that is named, memory, and how fast connects are learned.

Events are those of a small simulation, multiplied: other devices at other addresses. That says nothing about how well
they are named, and is not meant to.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from bench.meters import resident_bytes
from doorlog.events.changes import changed
from doorlog.events.parts import UNKNOWN_DEVICE
from doorlog.events.records import ConnectEvent, Event
from doorlog.identity.directory import Directory
from doorlog.identity.evidence import evidence_of
from doorlog.identity.gathering import around, at_address
from doorlog.identity.resolve import Fleet, resolve
from doorlog.simulation.namer import Forgetful, Learned, Namer
from doorlog.simulation.plan import BEGIN, Plan
from doorlog.simulation.play import Order, play
from doorlog.simulation.scenarios import SCENARIOS
from doorlog.simulation.scoring import is_failure

_FAILURES = 5_000
_AT_ONCE = 2_000  # connects of one second, after which what was learned is waited for
_BETWEEN = timedelta(milliseconds=1)
_SITE = 10
_SHARING = 0.3  # of the devices live behind an address with others


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured.

    Attributes:
        devices: That are known.
        resolution_us: The median of asking the directory and weighing what it says: CPU of the thread that does.
        median_us: Of all of naming a failure: also reading the event, the words, and the part of the record.
        p99_us: The same.
        megabytes: By which the resident set has grown, from before the first device.
        disk_megabytes: What was written.
        learned: Connects for each second of wall time, until they count.
        learned_cpu: Connects for each second of CPU, all threads.
    """

    devices: int
    resolution_us: float
    median_us: float
    p99_us: float
    megabytes: float
    disk_megabytes: float
    learned: float
    learned_cpu: float


class _Keeping(Forgetful):
    """Keeps the events of a simulation as the door made them."""

    def __init__(self) -> None:
        super().__init__()
        self.admitted: list[ConnectEvent] = []
        self.failed: list[ConnectEvent] = []

    def __call__(self, event: Event) -> Event:
        if isinstance(event, ConnectEvent) and event.tls is not None:
            (self.failed if is_failure(event) else self.admitted).append(event)
        return super().__call__(event)


def measure(devices: int) -> Cost:
    """Learn so many devices, then name failures among them."""
    samples, random = _samples(), Random(1)
    pairs = _pairs(samples)
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as name:
        folder = Path(name)
        gc.collect()
        before = resident_bytes(os.getpid())
        namer = Learned(folder)
        try:
            wall, cpu = _learn(namer, pairs, devices)
            gc.collect()
            taken = _failures(namer, pairs, devices, random)
            grown = resident_bytes(os.getpid()) - before
        finally:
            namer.close()
        resolving = _resolutions(folder, pairs, devices, random)
        disk = sum(file.stat().st_size for file in folder.iterdir())
    return Cost(
        devices=devices,
        resolution_us=statistics.median(resolving) * 1e6,
        median_us=statistics.median(taken) * 1e6,
        p99_us=sorted(taken)[len(taken) * 99 // 100] * 1e6,
        megabytes=grown / 1e6,
        disk_megabytes=disk / 1e6,
        learned=devices / wall,
        learned_cpu=devices / cpu,
    )


def _samples() -> _Keeping:
    kept = _Keeping()
    order = Order(SCENARIOS["static"], 120, Plan(before=1.0), 1)
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as name:
        asyncio.run(play(order, Path(name) / "played", namer_in=lambda _folder: kept))
    return kept


def _pairs(samples: _Keeping) -> list[tuple[ConnectEvent, ConnectEvent]]:
    """Put together how a client is admitted and how the same client fails, by JA4."""
    admitted = {_ja4(event): event for event in samples.admitted}
    return [(admitted[_ja4(event)], event) for event in samples.failed if _ja4(event) in admitted]


def _ja4(event: ConnectEvent) -> str | None:
    return event.tls.client.ja4 if event.tls and event.tls.client else None


def _learn(namer: Namer, pairs: list[tuple[ConnectEvent, ConnectEvent]], devices: int) -> tuple[float, float]:
    """Let every device be admitted once; return wall time and CPU, in seconds, without that of making the events."""
    wall = cpu = 0.0
    for first in range(0, devices, _AT_ONCE):
        events = [_of_device(pairs[n % len(pairs)][0], n, n) for n in range(first, min(first + _AT_ONCE, devices))]
        began, began_cpu = time.perf_counter(), time.process_time()
        for event in events:
            namer(event)
            namer.afterwards()
        namer.settle()
        wall += time.perf_counter() - began
        cpu += time.process_time() - began_cpu
    return wall, cpu


def _failures(
    namer: Namer, pairs: list[tuple[ConnectEvent, ConnectEvent]], devices: int, random: Random
) -> list[float]:
    taken = []
    for event in _failing(pairs, devices, random):
        began = time.thread_time()
        namer(event)
        taken.append(time.thread_time() - began)
    return taken


def _resolutions(
    folder: Path, pairs: list[tuple[ConnectEvent, ConnectEvent]], devices: int, random: Random
) -> list[float]:
    taken = []
    with Directory(folder / "devices.db") as known:
        fleet = Fleet(known.statistics, known.calibration, set())
        for event in _failing(pairs, devices, random):
            shown = evidence_of(event)
            began = time.thread_time()
            found, crowd = at_address(shown, known.view, known.statistics)
            if resolve(shown, found, fleet, crowd=crowd).confidence != "likely":
                found, crowd = around(shown, found, known.view, known.statistics)
                resolve(shown, found, fleet, crowd=crowd)
            taken.append(time.thread_time() - began)
    return taken


def _failing(pairs: list[tuple[ConnectEvent, ConnectEvent]], devices: int, random: Random) -> Iterator[ConnectEvent]:
    for number in range(_FAILURES):
        device = random.randrange(devices)
        yield _of_device(pairs[device % len(pairs)][1], device, devices + number)


def _of_device(event: ConnectEvent, device: int, number: int) -> ConnectEvent:
    """Make a connection of this device's; the number gives it its time and its id."""
    changes = {
        "timestamp": BEGIN + number * _BETWEEN,
        "source": changed(event.source, ip=_address(device), port=1024 + number % 60_000),
        "doorlog": changed(event.doorlog, connection_id=f"{number:016x}", device=UNKNOWN_DEVICE),
        "device": None,
    }
    if event.mqtt is not None:
        changes["mqtt"] = changed(event.mqtt, client_id=f"device-{device:06d}")
    return changed(event, **changes)


def _address(device: int) -> str:
    place = device // _SITE * _SITE if device % 100 < _SHARING * 100 else device
    return f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}"
