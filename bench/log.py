"""``python -m bench.log``: how fast doorlog's log is, beside the logging that everybody has; ratios of one run."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench import machine
from bench.log_events import maker, many, real_failures
from bench.log_loop import delays
from bench.log_rivals import RIVALS
from bench.meters import resident_bytes
from bench.results import Row, as_markdown, number
from doorlog.events.sentences import message_of, reason_of
from doorlog.identity.stated import identify
from doorlog.log.opening import open_log, service_part
from doorlog.settings.log_models import LogSettings

MODES: tuple[str, ...] = ("best_effort", "durable", "strict")
"""Those of ``log.mode`` that there are."""
_PER_SECOND, _MOST_MS = 60_000, 1.0
_LOOP_RATE = 5  # records each millisecond
_DISTINCT = 500  # events that are written again and again: as fresh in the processor's cache as they come from the door
_WAITING = 1000  # events in the queue at most, so that no mode has to lose or to refuse any
_SOAK_RATE = 2000
_MOMENTS = 10
_GROWTH_MB = 8.0
_STRICT_PER_SECOND, _DEVICES = 2000, 256


def open_bench_log(mode: str, folder: Path) -> Any:
    """Open doorlog's log in one mode, as the broker does, with nothing left out and nothing folded.

    Returns:
        A log with ``record``, ``backlog`` and ``close``; in mode ``strict`` also ``on_disk``.
    """
    if mode not in MODES:
        raise ValueError(f"no such mode: {mode}")
    settings = LogSettings.model_validate(
        {
            "mode": mode,
            "file": {"path": folder / f"{mode}.jsonl", "rotate_bytes": 64_000_000, "keep_bytes": 256_000_000},
            "flood": {"enabled": False},  # each event is to be written
            "queue_records": 200_000,
        }
    )
    service = service_part("doorlog", "0", "bench")
    return open_log(settings, service=service, message_of=message_of, refine=identify, reason_of=reason_of)


@dataclass(frozen=True, slots=True)
class Size:
    """How much to do."""

    records: int = 20_000
    rounds: int = 5
    loop_seconds: float = 10.0
    soak_seconds: float = 60.0
    strict_seconds: float = 5.0


SMOKE = Size(records=300, rounds=1, loop_seconds=0.3, soak_seconds=0.5, strict_seconds=0.3)


@dataclass(slots=True)
class Report:
    """Everything of one run."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, measured: str, beside: str = "", goal: str = "", passed: bool | None = None) -> None:  # noqa: FBT001 - a cell of the table
        self.rows.append(Row(what, measured, beside, goal, passed))

    def as_markdown(self) -> str:
        return as_markdown(self.machine, self.rows)


class Spent:
    """CPU of this process, all threads, and wall time, in seconds; a context manager."""

    cpu = wall = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = time.process_time() - self._cpu, time.perf_counter() - self._wall


# Event to bytes in the file.


def throughput(report: Report, size: Size, folder: Path, kinds: list[Any]) -> None:
    """Write the same events by each way in turn, round by round; ratios are medians of the rounds' ratios."""
    some = many(kinds, min(size.records, _DISTINCT))
    events = [some[number % len(some)] for number in range(size.records)]
    ways: dict[str, Callable[[Path], Spent]] = {
        **{f"doorlog, {mode}": lambda path, mode=mode: _ours(mode, path, events) for mode in MODES},  # type: ignore[misc] # a lambda's default has no type
        **{name: lambda path, open_=open_: _theirs(open_, path, events) for name, (open_, _) in RIVALS.items()},  # type: ignore[misc] # as above
    }
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    sizes: dict[str, float] = {}
    for turn in range(size.rounds):
        for name, way in ways.items():
            path = folder / f"{turn}-{name.replace(' ', '-')}"
            path.mkdir()
            spent[name].append(way(path))
            sizes[name] = sum(file.stat().st_size for file in path.iterdir()) / size.records
            for file in path.iterdir():
                file.unlink()
    for name, rounds in spent.items():
        _speed(report, name, sizes[name], size.records, rounds)
    for mode in MODES:
        for name, (_, goal) in RIVALS.items():
            ratio = _ratio(spent[name], spent[f"doorlog, {mode}"])
            report.add(f"{mode} against {name}", f"{ratio:.1f} x as fast", "", f"≥ {goal:g} x", ratio >= goal)


def _ours(mode: str, path: Path, events: Sequence[Any]) -> Spent:
    log = open_bench_log(mode, path)
    with Spent() as spent:
        for index, event in enumerate(events):
            log.record(event)
            while index % 100 == 0 and log.backlog > _WAITING:
                time.sleep(0.002)
        log.close()
    return spent


def _theirs(open_: Any, path: Path, events: Sequence[Any]) -> Spent:
    with ExitStack() as stack:
        record = stack.enter_context(open_(path / "log.jsonl"))
        with Spent() as spent:
            for event in events:
                record(event)
    return spent


def _speed(report: Report, name: str, bytes_each: float, records: int, rounds: Sequence[Spent]) -> None:
    each = statistics.median(spent.cpu for spent in rounds) / records
    wall = records / statistics.median(spent.wall for spent in rounds)
    asked = name.startswith("doorlog") and "strict" not in name
    report.add(
        f"{name}: records/s of one core ({number(bytes_each)} bytes each)",
        f"{1 / each:,.0f} ({each * 1e6:.1f} us of CPU)",
        f"{wall:,.0f}/s by the clock",
        f"≥ {_PER_SECOND:,}" if asked else "",
        1 / each >= _PER_SECOND if asked else None,
    )


def _ratio(theirs: Sequence[Spent], ours: Sequence[Spent]) -> float:
    return statistics.median(their.cpu / our.cpu for their, our in zip(theirs, ours, strict=True))


# What the event loop notices.


def loop_delay(report: Report, size: Size, folder: Path, kinds: list[Any]) -> None:
    """Compare a loop that makes 5,000 events a second with one that records them too, and with an idle one."""
    make = maker(kinds)

    def only_make() -> None:
        for _ in range(_LOOP_RATE):
            make()

    idle = delays(size.loop_seconds, lambda: None)
    making = delays(size.loop_seconds, only_make)
    beside = f"{making.p99:.2f} / {making.worst:.2f} without the log, {idle.p99:.2f} / {idle.worst:.2f} idle"
    for mode in MODES:
        log = open_bench_log(mode, folder)

        def make_and_record(log: Any = log) -> None:
            for _ in range(_LOOP_RATE):
                log.record(make())

        with Spent() as spent:
            late = delays(size.loop_seconds, make_and_record)
        log.close()
        report.add(
            f"{mode}: event loop, p50 / p99 / max at {_LOOP_RATE * 1000:,} records/s",
            f"{late.median:.2f} / {late.p99:.2f} / {late.worst:.2f} ms",
            beside,
            f"p99 < {_MOST_MS:g} ms",
            late.p99 < _MOST_MS,
        )
        report.add(f"{mode}: CPU of all that", f"{spent.cpu / spent.wall:.0%} of one core")


# Memory.


def soak(report: Report, size: Size, folder: Path, kinds: list[Any]) -> None:
    """Record at a steady rate for a while; look at the resident set at ten moments."""
    make = maker(kinds)
    log = open_bench_log(MODES[-1] if "durable" not in MODES else "durable", folder)
    start, done, seen = time.monotonic(), 0, []
    for moment in range(1, _MOMENTS + 1):
        while (now := time.monotonic() - start) < size.soak_seconds * moment / _MOMENTS:
            for _ in range(int(now * _SOAK_RATE) - done):
                log.record(make())
                done += 1
            time.sleep(0.005)
        seen.append(resident_bytes(os.getpid()) / 1e6)
    log.close()
    growth = max(seen[2:]) - seen[1]  # the first fifth is for caches to fill
    report.add(
        f"resident set over {size.soak_seconds:g} s, {done:,} records",
        f"{growth:+.1f} MB after the first fifth",
        "MB: " + " ".join(f"{megabytes:.0f}" for megabytes in seen),
        f"≤ {_GROWTH_MB:g} MB",
        growth <= _GROWTH_MB,
    )


# Strict.


def strict(report: Report, size: Size, folder: Path, kinds: list[Any]) -> None:
    """Have many devices wait for their records at once, beside what the disk can do."""
    syncs = _syncs(folder, size.strict_seconds / 2)
    report.add("this disk: fdatasync of one record", f"{syncs:,.0f}/s")
    if "strict" not in MODES:
        return
    make, log = maker(kinds), open_bench_log("strict", folder)
    rate = asyncio.run(_connects(log, make, size.strict_seconds))
    log.close()
    report.add(
        f"strict: connects/s of {_DEVICES} devices that wait for their record",
        f"{rate:,.0f}/s",
        f"{rate / syncs:.1f} x the disk's own fdatasync",
        f"≥ {_STRICT_PER_SECOND:,}, or the disk's own",
        rate >= min(_STRICT_PER_SECOND, syncs),
    )


async def _connects(log: Any, make: Callable[[], Any], seconds: float) -> float:
    done, start = 0, time.monotonic()

    async def device() -> None:
        nonlocal done
        while time.monotonic() - start < seconds:
            log.record(make())
            if not await log.on_disk():
                raise RuntimeError("a record did not get to the disk")
            done += 1

    async with asyncio.TaskGroup() as devices:
        for _ in range(_DEVICES):
            devices.create_task(device())
    return done / (time.monotonic() - start)


def _syncs(folder: Path, seconds: float) -> float:
    line, done = b"x" * 2600 + b"\n", 0
    with (folder / "syncs").open("ab", buffering=0) as file:
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            file.write(line)
            os.fdatasync(file.fileno())
            done += 1
    return done / passed


def main() -> None:
    arguments = _parse()
    size = SMOKE if arguments.smoke else Size(soak_seconds=arguments.soak)
    report = Report(machine.describe() | {"Run": "smoke" if arguments.smoke else "full"})
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        _say("real failures")
        kinds = real_failures(folder)
        gc.freeze()  # as a broker does once it has started
        for part in (throughput, loop_delay, strict, soak):
            _say(part.__name__)
            (folder / part.__name__).mkdir()
            part(report, size, folder / part.__name__, kinds)
    print(json.dumps(asdict(report), indent=2) if arguments.json else report.as_markdown())


def _parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.log", description=_WHAT)
    parser.add_argument("--soak", type=float, default=60.0, help="seconds to watch memory for (60)")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (by default that of the system)")
    parser.add_argument("--smoke", action="store_true", help="next to nothing, to see that everything still runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


_WHAT = """\
Compares doorlog's log with python-json-logger and structlog, all of them in one process and one run. Each is given the
same typed events, of handshakes that failed at a running broker, and writes the same fields to a file: who it was and
why are worked out for each record in all of them. doorlog also numbers its records, chains them by their hashes and
writes from a thread of its own; the other two write at once, as they do by default. Speed is in records for each second
of CPU of the whole process.
"""


if __name__ == "__main__":
    main()
