"""``python -m bench.crash``: kills a broker under load at random moments, and looks at what is left each time.

The log is read as an auditor would: no torn line, an unbroken chain of hashes, sequences without a gap, and in mode
strict a record of every session that a client was told it has.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from doorlog.log.chain import NOTHING_BEFORE, line_hash, previous_of
from doorlog.log.segments import segments, sequence_of, whole_lines

CONNECT = bytes.fromhex("10ff00044d5154540402003c")
ADMITTED = b"\x20\x02\x00\x00"
CLIENTS = 4


class Load:
    """Clients that connect again and again until the broker is gone."""

    def __init__(self, port: int, life: int) -> None:
        self.admitted: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(port, f"{life}-{n}")) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, port: int, name: str) -> None:
        number = 0
        with suppress(OSError):
            while True:
                number += 1
                client_id = f"{name}-{number}"
                with socket.create_connection(("127.0.0.1", port), 5) as device:
                    device.sendall(_connect(client_id))
                    if device.recv(4) == ADMITTED:
                        self.admitted.append(client_id)


def _connect(client_id: str) -> bytes:
    body = CONNECT[2:] + len(client_id).to_bytes(2) + client_id.encode()
    return b"\x10" + bytes([len(body)]) + body


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=200, metavar="N", help="how often (default 200), half in each mode"
    )
    arguments = parser.parse_args()
    for mode in ("strict", "durable"):
        print(json.dumps(crash(mode, arguments.kills // 2)), flush=True)


def crash(mode: str, kills: int) -> dict[str, int | str | float]:
    """Kill a broker of a mode so often; return what was found."""
    moments, admitted = random.Random(mode), 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="doorlog-crash-") as name:
        folder = Path(name)
        log = folder / "log" / "doorlog.jsonl"
        faults = 0
        told: set[str] = set()
        for life in range(kills):
            process, port = _start(folder, mode)
            load = Load(port, life)
            time.sleep(moments.uniform(0.01, 0.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            load.join()
            told.update(load.admitted)
            admitted += len(load.admitted)
            if sys.stderr.isatty():
                print(f"\r{mode}: {life + 1}/{kills}", end="", file=sys.stderr, flush=True)
        process, _port = _start(folder, mode)
        process.send_signal(signal.SIGTERM)
        process.wait()
        lines = [line for path in segments(log) for line in whole_lines(path)]
        faults, recorded = _look(lines)
        return {
            "mode": mode,
            "kills": kills,
            "records": len(lines),
            "broken links or sequences": faults,
            "starts that say the broker before was interrupted": sum(b'"code":"interrupted"' in line for line in lines),
            "sessions that clients were told of": admitted,
            "of these without a record": len(told - recorded),
            "seconds": round(time.monotonic() - began, 1),
        }


def _start(folder: Path, mode: str) -> tuple[subprocess.Popen[str], int]:
    config = folder / "doorlog.yaml"
    config.write_text(
        'listeners: {plain: {bind: "127.0.0.1:0"}}\n'
        "auth: {plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {}}}\n"
        f"log: {{mode: {mode}, console: never, file: {{path: log/doorlog.jsonl, rotate_bytes: 262144}}}}\n"
    )
    command = [sys.executable, "-m", "doorlog", "run", "-c", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "ready:" in line:
            return process, int(line.rpartition(":")[2])
    raise RuntimeError("the broker did not start")


def _look(lines: list[bytes]) -> tuple[int, set[str]]:
    faults, previous, recorded = 0, NOTHING_BEFORE, set()
    for sequence, line in enumerate(lines, 1):
        record = json.loads(line)
        faults += previous_of(line) != previous or sequence_of(line) != sequence
        previous = line_hash(line)
        if record["event"]["action"] == "connect" and record["event"]["code"] == "admitted":
            recorded.add(record["mqtt"]["client_id"])
    return faults, recorded


if __name__ == "__main__":
    main()
