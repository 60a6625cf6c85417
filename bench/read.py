"""``python -m bench.read``: how fast a log is read, beside jq over the same file; ratios of one run.

Each figure is of a whole process, as somebody types it, warm: the best of some rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from bench import machine
from bench.read_data import device_of, rotate, simulated_records, write_log
from bench.read_lag import lags
from bench.read_paint import paints
from bench.results import Row, as_markdown, number
from doorlog.readers.log_index import LogIndex

_SECONDS, _TIMES, _LAG_MS, _PAINT_MS = 2.0, 10.0, 100.0, 300.0


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as name:
        rows = list(_rows(Path(name), arguments))
    report = {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}
    print(json.dumps(report, indent=2) if arguments.json else as_markdown(report["machine"], rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.read", description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1_000, help="of records [default: 1000]")
    parser.add_argument("--rounds", type=int, default=3, help="how often [default: 3]")
    parser.add_argument("--smoke", action="store_true", help="next to nothing, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _rows(folder: Path, arguments: argparse.Namespace) -> Any:
    smoke = arguments.smoke
    kinds = simulated_records(folder / "fleet", devices=20 if smoke else 150, days=0.5 if smoke else 5)
    log = folder / "log" / "doorlog.jsonl"
    size = 2_000_000 if smoke else arguments.megabytes * 1_000_000
    records = write_log(log, kinds, size)
    segments = rotate(log, folder / "segments").parent
    index = LogIndex(segments)
    begun = time.perf_counter()
    for segment in index.missing():
        index.add(segment)
    indexed = time.perf_counter() - begun
    kept = sum(path.stat().st_size for path in index.folder.iterdir()) if index.folder.exists() else 0
    yield Row("the log", f"{log.stat().st_size / 1e6:,.0f} MB", f"{records:,} records")
    yield Row("its index, made as segments close", f"{indexed:.1f} s", f"{kept / 1e6:.1f} MB")
    device = device_of(0, kinds)
    rounds = 1 if smoke else arguments.rounds
    for what, mine, filter_ in _commands(device):
        best = _best(rounds, mine, filter_, log, segments)
        yield from _compared(what, best)
    yield from _painted(log, segments, device, rounds=rounds)
    found = lags(folder / "lag", kinds, seconds=1 if smoke else 10)
    yield Row("tail -f at 1,000 records/s: median lag", f"{found.median:.1f} ms", "", f"< {_LAG_MS:.0f}")
    yield Row("its worst lag", f"{found.worst:.1f} ms", "", f"< {_LAG_MS:.0f}", found.worst < _LAG_MS)


def _painted(log: Path, segments: Path, device: str, *, rounds: int) -> Any:
    """What a person waits for: the page's first paint, who may have it on one long file or on segments."""
    paths = {"overview": "/", "log": "/log", "log, one device": f"/log?device={device}", "device": f"/device/{device}"}
    for words, place in (("one file", log), ("segments and index", segments)):
        found = paints(place, paths, rounds=rounds)
        if found is None:
            yield Row("page", "not measured: there is no Chromium")
            return
        for name, (best, worst) in found.items():
            measured = f"{best:.0f} ms, at worst {worst:.0f} ms"
            yield Row(f"page, first paint: {name}, {words}", measured, "", f"< {_PAINT_MS:.0f} ms", worst < _PAINT_MS)


def _commands(device: str) -> list[tuple[str, list[str], str]]:
    """What is asked: of doorlog, and of jq."""
    fields = '[.event.code,.event.outcome,.device.id,.source.ip,.tls.server.hash.sha256,."@timestamp"]|@tsv'
    return [
        ("summary", ["summary", "--since", "30d", "--json"], f'select(.event.action=="connect")|{fields}'),
        ("one device's history", ["device", device, "--last", "1000", "--json"], f'select(.device.id=="{device}")'),
        (
            "a text",
            ["tail", "--text", f'"{device}"', "-n", "100000", "--json"],
            f'select(tostring|contains("{device}"))',
        ),
    ]


def _best(rounds: int, mine: list[str], filter_: str, log: Path, segments: Path) -> dict[str, Spent]:
    doorlog = [sys.executable, "-m", "doorlog", *mine, "--log"]
    contenders = {"one file": [*doorlog, str(log)], "segments": [*doorlog, str(segments)]}
    if shutil.which("jq"):
        contenders["jq"] = ["jq", "-c", "-r", filter_, str(log)]
    best: dict[str, Spent] = {}
    for turn in range(rounds):
        for name, command in contenders.items():
            if name != "jq" or turn == 0:  # it takes long, and is far from the others
                spent = _spent(command)
                best[name] = min(best.get(name, spent), spent)
    return best


def _spent(command: list[str]) -> Spent:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - begun, cpu)


def _compared(what: str, best: dict[str, Spent]) -> Any:
    for name, words in (("one file", f"{what}, one file"), ("segments", f"{what}, segments and index")):
        spent, jq = best[name], best.get("jq")
        measured = f"{spent.wall:.2f} s, {spent.cpu:.2f} s of CPU"
        yield Row(words, measured, "", f"< {_SECONDS:.0f} s", spent.wall < _SECONDS)
        if jq is not None:
            times = jq.wall / spent.wall
            beside = f"jq: {jq.wall:.1f} s; {jq.cpu / spent.cpu:.1f}x of CPU"
            yield Row("   times as fast as jq", number(times), beside, f">= {_TIMES:.0f}", times >= _TIMES)


if __name__ == "__main__":
    main()
