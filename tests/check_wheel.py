"""Starts the broker from an installed wheel and looks whether all of it is there.

    python tests/check_wheel.py SCRATCH

SCRATCH/venv is an environment in which nothing but the wheel and its locked dependencies are installed.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE = 60  # seconds
LOCAL_PORTS = (1883, 8883, 8884, 8083, 8084)
CONNECT = bytes.fromhex("100d00044d5154540402003c0001") + b"w"  # client id "w", keep-alive 60 s, no user name
NOT_AUTHORIZED = b"\x20\x02\x00\x05"


def main(scratch: Path) -> None:
    """Look at one thing after another; the first that is missing ends it."""
    commands = scratch / "venv" / "bin"
    folder = scratch / "somewhere else"  # so that nothing of the checkout is found by accident
    folder.mkdir()
    check_commands(commands, folder)
    check_packages(commands, folder)
    check_broker(commands, folder)
    sys.stdout.write("the wheel is whole\n")


def check_commands(commands: Path, folder: Path) -> None:
    """The command says what it is, and knows its schema."""
    version = output(folder, commands / "doorlog", "--version")
    assert re.fullmatch(r"doorlog \d+\.\d+\.\d+\S*\n", version), version
    assert json.loads(output(folder, commands / "doorlog", "schema"))["title"] == "doorlog record"
    assert output(folder, commands / "python", "-m", "doorlog", "--version") == version


def check_packages(commands: Path, folder: Path) -> None:
    """Both packages come from the wheel, with their data and types, and nothing else lies beside them."""
    where = output(
        folder,
        commands / "python",
        "-c",
        "import doorlog, amqtt_doorlog, doorlog.events.explanations as e; e.explanations();"
        "print(doorlog.__file__, amqtt_doorlog.__file__, *amqtt_doorlog.__all__, sep='\\n')",
    ).splitlines()
    packages = [Path(file).parent for file in where[:2]]
    assert all("site-packages" in package.parts for package in packages), where
    assert all((package / "py.typed").is_file() for package in packages)
    assert "DoorPlugin" in where
    assert not any((packages[0].parent / name).exists() for name in ("tests", "broker", "plugins", "config", "bench"))


def check_broker(commands: Path, folder: Path) -> None:
    """A broker without a configuration starts, refuses a stranger, records it, and stops."""
    offset = free_offset()
    argv = [str(commands / "doorlog"), "run", "--port-offset", str(offset)]
    with subprocess.Popen(argv, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True) as broker:
        try:
            wait_for_banner(broker)
            with socket.create_connection(("127.0.0.1", LOCAL_PORTS[0] + offset), PATIENCE) as device:
                device.sendall(CONNECT)
                answer = device.recv(4)
                source = device.getsockname()[1]
            broker.send_signal(signal.SIGTERM)
            assert broker.wait(PATIENCE) == 0
        finally:
            broker.kill()
    assert answer == NOT_AUTHORIZED, answer
    lines = (folder / ".doorlog" / "log" / "doorlog.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    (connect,) = [record for record in records if record["event"]["action"] == "connect"]
    assert connect["source"]["port"] == source
    assert connect["event"]["code"] == "no_credentials", connect
    assert records[-1]["doorlog"]["audit"] == {"accepted": 1, "connects": 1}


def wait_for_banner(broker: subprocess.Popen[str]) -> None:
    """Read until the broker has said that it is ready, in a thread, since it might never do so."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in broker.stdout or ():
            lines.put(line)

    threading.Thread(target=listen, daemon=True).start()
    while not lines.get(timeout=PATIENCE).startswith("doorlog is ready"):
        pass


def output(folder: Path, *argv: str | Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        argv, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """Nothing of ours: no PYTHONPATH, no virtual environment."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def free_offset() -> int:
    """Return what may be added to the usual ports so that all of them were free a moment ago."""
    for offset in range(10_000, 23_000, 17):  # below the ports of outgoing connections
        try:
            for port in LOCAL_PORTS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return offset
    raise RuntimeError("no free ports")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
