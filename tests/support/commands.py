"""The ``doorlog`` command in tests: in this process, or as a process of its own."""

from __future__ import annotations

import random
import socket
import sys
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import yaml
from typer.testing import CliRunner

from doorlog.application.cli import app
from support.processes import Serving, run, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from support.processes import Finished

DOORLOG = (sys.executable, "-m", "doorlog")
READY = r"doorlog is ready|^doorlog: ready: (?P<urls>.*)"
_EPHEMERAL = 32_768  # from here on, Linux gives ports to outgoing connections
LOCAL_PORTS = {"plain": 1883, "tls": 8883, "mtls": 8884, "ws": 8083, "wss": 8084}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said: its exit code, the lines on standard output and those on standard error."""

    code: int
    out: list[str]
    err: list[str]


def doorlog(*argv: str | Path, stdin: bytes = b"") -> Said:
    """Run a command in this process."""
    with patch.object(sys, "argv", ["doorlog"]):  # as it is called where it suggests other commands
        result = CliRunner().invoke(app, [str(word) for word in argv], input=stdin, prog_name="doorlog")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout.splitlines(), result.stderr.splitlines())


async def run_doorlog(*argv: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command as a process, to its end."""
    return await run([*DOORLOG, *argv], cwd=cwd, env=env, patience=30)


@asynccontextmanager
async def serving_doorlog(
    *argv: str | Path, cwd: Path, shell: str = "", env: Mapping[str, str] | None = None
) -> AsyncIterator[Serving]:
    """Start ``doorlog run`` as a process and wait until it is ready.

    Args:
        argv: What follows ``doorlog``.
        cwd: Where it runs.
        shell: Redirections, such as ``2>errors``.
        env: Further environment variables.
    """
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *map(str, (*DOORLOG, *argv))] if shell else [*DOORLOG, *argv]
    async with serving(command, ready=READY, patience=30, cwd=cwd, env=env, grace=20) as server:
        yield server


async def stopped(server: Serving, number: int) -> int:
    """Send a signal and return the exit code."""
    server.process.send_signal(number)
    return await server.process.wait()


def free_offset() -> int:
    """Return what may be added to the usual ports so that all of them were free a moment ago."""
    while True:
        offset = random.randrange(10_000, _EPHEMERAL - max(LOCAL_PORTS.values()))
        if _all_free(port + offset for port in LOCAL_PORTS.values()):
            return offset


def free_fixed_port() -> int:
    """Return a port that was free a moment ago, and that no outgoing connection takes meanwhile."""
    while True:
        port = random.randrange(10_000, _EPHEMERAL)
        if _all_free([port]):
            return port


def _all_free(ports: Iterable[int]) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("", port))
        except OSError:
            return False
        return True


def write_yaml(path: Path, **groups: Any) -> Path:
    """Write a configuration."""
    path.write_text(yaml.safe_dump(groups), encoding="utf-8")
    return path


def ports_of(server: Serving) -> dict[str, int]:
    """Return the port of each listener, from the line in which the broker said that it is ready."""
    urls = (entry.split(" ") for entry in server.ready["urls"].split(", "))
    return {name: int(url.rpartition(":")[2]) for name, url in urls}
