"""Programs that tests start: run to their end, talked to over a pipe, or serving until the test is done."""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

MAX_OUTPUT = 256 * 1024
"""Bytes of a program's output that are kept; the rest is read and dropped, so that the program never blocks on us."""

TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left behind: its exit code (negative: the signal that ended it) and all that it printed."""

    exit_code: int
    output: str
    timed_out: bool = False


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a client needs of the environment: English texts, no proxy, no coverage hook."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C", **(extra or {})}


async def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    patience: float = 15,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """Run `argv` to its end, for at most `patience` seconds, with stdout and stderr in one stream."""
    async with started(argv, env=env, cwd=cwd) as process:
        kept = bytearray()
        try:
            async with asyncio.timeout(patience):
                await _feed(process, stdin)
                await _collect(process.stdout, kept)
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return Finished(process.returncode or 0, readable(kept), timed_out=True)
        return Finished(process.returncode or 0, readable(kept))


async def talk(
    argv: Sequence[str | Path], *, say: bytes, until: re.Pattern[bytes], then: bytes, patience: float = 15
) -> tuple[Finished, re.Match[bytes] | None]:
    """Pipe `say` into `argv`, wait until its output matches `until`, pipe `then` into it and wait for its end.

    A program that ends without the match is no error: the match is None. stdout and stderr are one stream.
    """
    async with started(argv) as process:
        kept, match, timed_out = bytearray(), None, False
        try:
            async with asyncio.timeout(patience):
                await _feed(process, say, close=False)
                match = await _collect(process.stdout, kept, until)
                if match is not None:
                    await _feed(process, then)
                await _collect(process.stdout, kept)
                await process.wait()
        except TimeoutError:
            timed_out = True
            process.kill()
            await process.wait()
        return Finished(process.returncode or 0, readable(kept), timed_out), match


@asynccontextmanager
async def started(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> AsyncIterator[Process]:
    """Start `argv` with pipes; kill and reap it on the way out if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=clean_environment(env), cwd=cwd
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


@dataclass(slots=True)
class Serving:
    """A server that runs: `ready` is the match of the line in which it said so, `lines` what it printed so far."""

    process: Process
    ready: re.Match[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=5_000))
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def line(self, pattern: str, *, patience: float = 15) -> re.Match[str]:
        """Return the first match of `pattern` in a line that the server has printed, waiting if need be."""
        async with asyncio.timeout(patience), self._news:
            while True:
                for text in self.lines:
                    if (match := re.search(pattern, text)) is not None:
                        return match
                await self._news.wait()

    async def _listen(self) -> None:
        while self.process.stdout is not None and (raw := await self.process.stdout.readline()):
            async with self._news:
                self.lines.append(readable(raw).rstrip())
                self._news.notify_all()


@asynccontextmanager
async def serving(
    argv: Sequence[str | Path],
    *,
    ready: str,
    patience: float = 15,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    grace: float = 5,
) -> AsyncIterator[Serving]:
    """Start the server `argv`, wait for the line that matches `ready`, and stop the server when the test is done.

    It is stopped by SIGTERM, and killed if it still runs `grace` seconds later.

    Raises:
        RuntimeError: the server ended, or said nothing like `ready` within `patience` seconds.
    """
    async with started(argv, env=env, cwd=cwd) as process:
        said: list[str] = []
        try:
            async with asyncio.timeout(patience):
                match = await _until_ready(process, ready, said)
        except TimeoutError:
            match = None
        if match is None:
            raise RuntimeError(f"{argv[0]} did not get ready:\n{''.join(said)}")
        server = Serving(process, match)
        server.lines.extend(line for text in said for line in text.splitlines())
        listening = asyncio.create_task(server._listen())
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await _end(process, listening, grace)


async def _end(process: Process, listening: asyncio.Task[None], grace: float) -> None:
    try:
        async with asyncio.timeout(grace):
            await process.wait()
            await listening
    except TimeoutError:
        process.kill()
        listening.cancel()


async def _until_ready(process: Process, ready: str, said: list[str]) -> re.Match[str] | None:
    while process.stdout is not None and (raw := await process.stdout.readline()):
        said.append(readable(raw))
        if (match := re.search(ready, said[-1])) is not None:
            return match
    return None


async def _feed(process: Process, data: bytes, *, close: bool = True) -> None:
    """Write to the program; one that has already ended does not read any more, and that is its own business."""
    assert process.stdin is not None
    with suppress(ConnectionError):
        process.stdin.write(data)
        await process.stdin.drain()
        if close:
            process.stdin.close()


async def _collect(
    stream: asyncio.StreamReader | None, kept: bytearray, until: re.Pattern[bytes] | None = None
) -> re.Match[bytes] | None:
    """Read into `kept` until the end, or until what was kept matches `until`."""
    assert stream is not None
    while chunk := await stream.read(65_536):
        kept += chunk[: MAX_OUTPUT - len(kept)]
        if until is not None and (match := until.search(kept)) is not None:
            return match
    return None


def readable(raw: bytes | bytearray) -> str:
    """Return output as text, bytes that are no UTF-8 escaped."""
    return bytes(raw).decode("utf-8", "backslashreplace")
