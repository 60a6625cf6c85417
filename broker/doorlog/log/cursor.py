"""Where a reader of the log stands: the last record that it is done with, and the small file that remembers it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

CURSOR_MODE: Final = 0o640
_LONGEST: Final = 4096
"""Bytes that a cursor file may have; ours have about 50."""


@dataclass(frozen=True, slots=True)
class Position:
    """A record of the log.

    Attributes:
        sequence: ``event.sequence``.
        id: ``event.id``. It tells a record from another one with the same sequence, which can be written when a
            power failure has taken the end of the file away.
    """

    sequence: int
    id: str

    @property
    def run(self) -> str:
        """Which start of the broker wrote the record: what stands in ``event.id`` before the sequence."""
        return self.id.rpartition("-")[0]


def position_of(line: bytes) -> Position | None:
    """Return the place of a line in the log; None for what is no whole record, such as a line that a crash cut off.

    A JSON object that lost its end is no JSON any more, so that half a record is never taken for a whole one.
    """
    try:
        return _position(orjson.loads(line)["event"])
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None


def cursor_path(log: Path, sink: str) -> Path:
    """Return the file that remembers how far a sink has come, beside the log: ``doorlog.jsonl.central.cursor``.

    Args:
        log: The live file of the log.
        sink: The sink's name under ``log.sinks``.
    """
    return log.with_name(f"{log.name}.{sink}.cursor")


class CursorFile:
    """A position on the disk (mode 0640), replaced as a whole: whatever happens, it is the old one or the new one.

    Args:
        path: Where it stands; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: Position | None = None

    def load(self) -> Position | None:
        """Return what was stored last, None where nothing ever was.

        Raises:
            SinkError: The file can not be read, or holds no position.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_LONGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SinkError(f"the cursor {self.path} can not be read ({error.strerror})", lost=0) from error
        try:
            self._stored = _position(orjson.loads(data))
        except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
            self._stored = None
        if self._stored is None:
            raise SinkError(f"the cursor {self.path} is damaged", lost=0)
        return self._stored

    def store(self, position: Position) -> None:
        """Put a position on the disk; one that is there already costs nothing.

        Raises:
            SinkError: It can not be written.
        """
        if position == self._stored:
            return
        data = orjson.dumps({"sequence": position.sequence, "id": position.id}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            self._replace(data)
        except OSError as error:
            raise SinkError(f"the cursor {self.path} can not be written ({error.strerror})", lost=0) from error
        self._stored = position

    def _replace(self, data: bytes) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        # O_NOFOLLOW: who can write to the log's folder must not be able to have a file of its own choice overwritten.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(new, flags, CURSOR_MODE), "wb") as file:  # noqa: PTH123 - a descriptor is no path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _position(facts: Any) -> Position | None:
    sequence, name = facts["sequence"], facts["id"]
    if type(sequence) is not int or sequence < 0 or not isinstance(name, str):  # a bool is an int
        return None
    return Position(sequence, name)
