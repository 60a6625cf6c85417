"""``python -m bench.verify``: how fast ``doorlog verify`` goes over a log, beside tools that read the same file.

The records are full-size failures (a device refused our certificate) of many devices, chained and with signed
checkpoints, as the broker writes them. All tools take turns in each round; a figure is the best round's. CPU time is
what the kernel charged, all threads together, so that a second core can not make it look better.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from zstandard import ZstdCompressor

from bench import machine
from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import AuditPart, CheckpointPart, DoorlogPart, EventPart, SourcePart
from doorlog.events.records import AuditEvent, Event
from doorlog.events.sentences import message_of
from doorlog.log.chain import NOTHING_BEFORE, chained, key_id, line_hash, signed
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.readers.files import open_log
from doorlog.readers.verify import verify

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the sample events of the tests
from support.events import SERVICE, WHEN, failed_connect

TARGET = 300_000
_EACH = 10_000
_DEVICES = 512


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as name:
        folder = Path(name)
        key = Ed25519PrivateKey.generate()
        plain, packed = folder / "plain" / "doorlog.jsonl", folder / "packed" / "doorlog.jsonl.zst"
        size = write_log(plain, packed, arguments.records, key)
        figures = measure(contenders(plain, packed, arguments.records, key), arguments.rounds)
        report = {
            "machine": machine.describe(),
            "records": arguments.records,
            "bytes_a_record": round(size / arguments.records),
            "figures": [figure(what, seconds, arguments.records, size) for what, seconds in figures.items()],
        }
    print(json.dumps(report, indent=2) if arguments.json else as_text(report))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=300_000, help="how many [default: 300000]")
    parser.add_argument("--rounds", type=int, default=5, help="how often [default: 5]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


# the log


def write_log(plain: Path, packed: Path, records: int, key: Ed25519PrivateKey) -> int:
    """Write a log of full-size failures, plain and compressed; return its size in bytes."""
    for path in (plain, packed):
        path.parent.mkdir()
    with plain.open("wb") as file, ZstdCompressor(level=3).stream_writer(packed.open("wb")) as writer:
        for line in lines_of(records, key):
            file.write(line)
            writer.write(line)
        return file.tell()


def lines_of(records: int, key: Ed25519PrivateKey) -> Iterator[bytes]:
    templates = [_template(_failure(number)) for number in range(_DEVICES)]
    started = _template(_audit(Action.AUDIT_STARTED, DoorlogPart()))
    previous, connects = NOTHING_BEFORE, 0
    for sequence in range(1, records + 1):
        if sequence % _EACH == 0 or sequence == records:
            line = signed(chained(_numbered(_template(_checkpoint(connects, key)), sequence), previous), key)
        elif sequence == 1:
            line = chained(_numbered(started, sequence), previous)
        else:
            connects += 1
            line = chained(_numbered(templates[sequence * 7 % _DEVICES], sequence), previous)
        previous = line_hash(line)
        yield line


def _failure(number: int) -> Event:
    """Of one of many devices: messages and facts of different lengths."""
    event = failed_connect()
    source = SourcePart(
        ip=f"10.{number % 200}.{number % 7}.{number % 256}", port=1024 + number * 97 % 60_000, bytes=517
    )
    timing = event.event.model_copy(update={"duration": 10 ** (5 + number % 5) + number})
    return event.model_copy(update={"source": source, "event": timing})


def _checkpoint(connects: int, key: Ed25519PrivateKey) -> Event:
    part = CheckpointPart(records=_EACH, key_id=key_id(key.public_key()))
    audit = AuditPart(accepted=connects, connects=connects)
    return _audit(Action.AUDIT_CHECKPOINT, DoorlogPart(checkpoint=part, audit=audit))


def _audit(action: Action, doorlog: DoorlogPart) -> Event:
    event = EventPart(category=("process",), type=("info",), action=action, outcome=Outcome.SUCCESS)
    return AuditEvent(timestamp=WHEN, event=event, doorlog=doorlog)


def _last(_logger: Any, _method_name: str, record: Any) -> Any:
    record["doorlog"] = record.pop("doorlog")
    return record


def _template(event: Event) -> bytes:
    pipeline = Pipeline(record_processors(message_of, [_last]), SERVICE, Faults())
    line = pipeline.line(event)
    run = line.partition(b'"sequence":1,"id":"')[2].partition(b"-1")[0]
    return line.replace(b'"sequence":1,"id":"%b-1"' % run, b'"sequence":\0,"id":"000000000001-\0"')


def _numbered(template: bytes, sequence: int) -> bytes:
    return template.replace(b"\0", b"%d" % sequence)


# the tools


def contenders(plain: Path, packed: Path, records: int, key: Ed25519PrivateKey) -> dict[str, Callable[[], object]]:
    def verifying(path: Path, *keys: Ed25519PrivateKey) -> None:
        with open_log(path) as log:
            report = verify(log.files, [key.public_key() for key in keys])
        if not report.whole or report.records != records:
            raise RuntimeError(f"the log is not whole: {report.finding}")

    def command(*argv: str) -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

    found: dict[str, Callable[[], object]] = {
        "doorlog verify --key": lambda: verifying(plain, key),
        "doorlog verify": lambda: verifying(plain),
        "doorlog verify, .zst": lambda: verifying(packed),
    }
    if shutil.which("sha256sum"):
        found["sha256sum (the file as one)"] = lambda: command("sha256sum", str(plain))
    if shutil.which("jq"):
        found["jq .event.sequence"] = lambda: command("jq", ".event.sequence", str(plain))
    return found


def measure(tools: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return CPU seconds of the best round."""
    best: dict[str, float] = {}
    for number in range(rounds):
        for what, run in tools.items():
            if number >= 2 and what.startswith("jq"):
                continue  # it takes long, and is far from the others
            begun = _cpu()
            run()
            best[what] = min(best.get(what, float("inf")), _cpu() - begun)
    return best


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


# what is printed


def figure(what: str, seconds: float, records: int, size: int) -> dict[str, Any]:
    return {
        "tool": what,
        "records_a_second": round(records / seconds),
        "megabytes_a_second": round(size / seconds / 1e6),
    }


def as_text(report: dict[str, Any]) -> str:
    head = [f"{name}: {value}" for name, value in report["machine"].items()]
    rows = [
        f"{row['tool']:<30}{row['records_a_second']:>12,} records/s{row['megabytes_a_second']:>8,} MB/s"
        for row in report["figures"]
    ]
    passed = report["figures"][0]["records_a_second"] >= TARGET
    about = f"{report['records']:,} records of {report['bytes_a_record']:,} bytes; for each second of CPU time:"
    return "\n".join([*head, "", about, *rows, "", f"target: {TARGET:,} records/s: {'pass' if passed else 'MISS'}"])


if __name__ == "__main__":
    main()
