"""Records in tests: lines read back from a file, and waiting for the one that matters.

Every record that is read here is validated against the JSON Schema. Nothing here looks again and again: a `RecordFile`
wakes up when something is written (inotify).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import Draft202012Validator

from doorlog.events.records import EVENT_MODELS
from doorlog.log.schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO, Self

Record = dict[str, Any]


@cache
def _validators() -> dict[str, Draft202012Validator]:
    """Return a validator for each action: it explains what is wrong better than `oneOf` does, and is faster."""
    schema = json_schema()
    del schema["oneOf"]
    return {
        action.value: Draft202012Validator({**schema, "$ref": f"#/$defs/{model.__name__}"})
        for model in EVENT_MODELS
        for action in model.actions
    }


def validate_record(record: Record) -> None:
    """Fail with every place where the record differs from its schema."""
    validator = _validators()[record["event"]["action"]]
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(record)]
    assert not wrong, f"not a valid record: {wrong}\n{orjson.dumps(record).decode()}"


def parse_records(lines: Iterable[bytes]) -> list[Record]:
    """Parse lines as records, each one valid against the schema."""
    records = [orjson.loads(line) for line in lines]
    for record in records:
        validate_record(record)
    return records


def read_records(path: Path) -> list[Record]:
    """Return the records of a file that is complete: its last line has its end."""
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data, f"the last line of {path} is torn: {data[-80:]!r}"
    return parse_records(data.splitlines())


def sequences(records: Iterable[Record]) -> list[int]:
    """Return the sequence number of each record."""
    return [record["event"]["sequence"] for record in records]


def vouched_for(records: list[Record]) -> list[Record]:
    """Return the records of a log that was closed in good order, without the checkpoint that must stand at its end."""
    checkpoint, before = records[-1], records[:-1]
    assert checkpoint["event"]["action"] == "audit_checkpoint"
    others = [record["event"]["action"] == "audit_checkpoint" for record in reversed(before)]
    since = others.index(True) if True in others else len(others)
    vouched = checkpoint["doorlog"]["checkpoint"]["records"]
    assert vouched == since or (before[0]["event"]["sequence"] > 1 and vouched >= since)
    return before


def action_is(action: str, **fields: object) -> Callable[[Record], bool]:
    """Return a predicate for `RecordFile.first`: the action, and fields of `event` (code="bad_password")."""
    wanted = {"action": action, **fields}
    return lambda record: all(record["event"].get(key) == value for key, value in wanted.items())


@contextmanager
def following(path: Path) -> Iterator[RecordFile]:
    """Follow a log file, from its first line; the file and its folder may not exist yet."""
    with _Watch(path.parent) as watch, closing(RecordFile(path, watch)) as records:
        yield records


class RecordFile:
    """A log file that something else is writing; `following` makes one."""

    def __init__(self, path: Path, watch: _Watch) -> None:
        self.path = path
        self.records: list[Record] = []
        """All that was read so far."""
        self._file: BinaryIO | None = None
        self._torn = b""
        self._watch = watch

    async def nth(self, number: int, *, timeout_s: float = 10) -> Record:
        """Wait until there are that many records; return the last of them. Counts from 1."""
        await self._until(lambda: len(self.records) >= number, f"record {number}", timeout_s)
        return self.records[number - 1]

    async def first(self, wanted: Callable[[Record], bool], *, after: int = 0, timeout_s: float = 10) -> Record:
        """Wait for a record that satisfies the predicate, leaving out the first `after` records; return it."""
        await self._until(lambda: any(map(wanted, self.records[after:])), "a certain record", timeout_s)
        return next(filter(wanted, self.records[after:]))

    async def _until(self, reached: Callable[[], bool], what: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not self._reads_until(reached):
                    await self._watch.change()
        except TimeoutError:
            seen = [f"{r['event']['action']} {r['event'].get('code', '')}".strip() for r in self.records]
            raise AssertionError(f"{what} did not come to {self.path}; these {len(seen)} did: {seen[-20:]}") from None

    def _reads_until(self, reached: Callable[[], bool]) -> bool:
        self._watch.aim()  # before reading, so that what is written after is noticed
        self._read()
        return reached()

    def _read(self) -> None:
        """Read what is new, up to the end of the last whole line, also when the file was rotated meanwhile."""
        while self.path.exists():
            rotated = self._file is not None and not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
            self._read_on()  # after looking: nothing comes to a file any more once another has its name
            if self._file is not None and not rotated:
                return
            self.close()
            self._file = self.path.open("rb")

    def _read_on(self) -> None:
        """Read the rest of the file that is open; keep a line that has no end yet for the next time."""
        if self._file is None:
            return
        whole, _, self._torn = (self._torn + self._file.read()).rpartition(b"\n")
        self.records += parse_records(whole.splitlines())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


class _Watch:
    """Wakes up when something in a folder changes (Linux, inotify(7)); before it exists, when it is created."""

    _EVENTS = 0x2 | 0x80 | 0x100  # IN_MODIFY, IN_MOVED_TO, IN_CREATE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[asyncio.Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_reading()
        os.close(self._fd)

    def aim(self) -> None:
        """Watch the folder, or the nearest one above it; again if one was created meanwhile."""
        watched = None
        while (nearest := self._nearest()) != watched:
            self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(nearest), self._EVENTS))
            watched = nearest

    async def change(self) -> None:
        """Wait for the next change; any number of tasks may."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._changed)
        self._waiting.append(changed := asyncio.Event())
        await changed.wait()

    def _changed(self) -> None:
        os.read(self._fd, 65536)
        self._stop_reading()
        while self._waiting:
            self._waiting.pop().set()

    def _stop_reading(self) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)

    def _nearest(self) -> Path:
        return next(folder for folder in (self._folder, *self._folder.parents) if folder.is_dir())

    def _checked(self, result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
