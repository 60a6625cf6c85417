"""The files of a log as it is at one moment, held open: they stay what they were, whatever becomes of their names.

A broker renames its live file, compresses closed segments and deletes old ones while a query runs. The live file is
opened before the closed segments are listed: if it is closed meanwhile, it is known again and taken once. They are
listed until a list holds nothing that is not open: in a large folder, a list can miss a file that is renamed just then.
"""

from __future__ import annotations

import os
import resource
import zlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from errno import EMFILE
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import orjson
from zstandard import ZstdError

from doorlog.errors import LogError
from doorlog.log.segments import (
    closed_segments,
    first_line,
    live_file,
    plain_name,
    segment_name,
    sequence_in,
    sequence_of,
)
from doorlog.readers.spans import files_between

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_DESCRIPTORS: Final = Path("/proc/self/fd")
"""Where Linux has a link to each open file of a process, even if it has no name any more."""
_DELETED: Final = " (deleted)"
"""What Linux appends to the name that such a file had."""
_SUFFIXES: Final = (".zst", ".gz")
_TRIES: Final = 10
_MOST_FILES: Final = 20_000
_ROTATIONS: Final = 3
"""How often logrotate may rename its files while they are read."""
_SPARE: Final = 200
"""Files that the process may open beside those of the log."""


class Links:
    """Files that are held open, and links to them with names that mean nothing to DuckDB. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._number = 0
        self._names: set[str] = set()
        self.paths: dict[str, Path] = {}
        """What each link leads to."""

    def __enter__(self) -> Self:
        """Make a folder for them."""
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="doorlog-")))
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of all of them."""
        self._stack.close()

    def abandon(self) -> None:
        """Remove the links alone, at once; never raises."""
        rmtree(self._folder, ignore_errors=True)

    def add(self, path: Path, suffix: str) -> tuple[str, int]:
        """Open a file for reading.

        Args:
            path: Where it is.
            suffix: What the link ends in: by that DuckDB knows what it is.

        Returns:
            The link, and the descriptor of the file.

        Raises:
            OSError: It can not be opened.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._stack.callback(os.close, descriptor)
        self._number += 1
        link = self._folder / f"{self._number}{suffix}"
        opened = _DESCRIPTORS / str(descriptor)
        link.symlink_to(opened if _DESCRIPTORS.is_dir() else path.absolute())
        self.may_become(opened.readlink() if _DESCRIPTORS.is_dir() else path.resolve())
        self.paths[str(link)] = path
        return str(link), descriptor

    def may_become(self, path: Path) -> None:
        """Expect a file to be renamed so: DuckDB judges by the name that an open file has by now."""
        self._names.add(str(path).removesuffix(_DELETED))

    def names(self) -> list[str]:
        """Return the links, and the names that the files have or may get, also those of deleted ones."""
        return [*self.paths, *(name + ending for name in self._names for ending in ("", _DELETED))]

    def are_in(self, text: str) -> bool:
        """Whether a text names one of them."""
        return any(link in text for link in self.paths)

    def named(self, text: str) -> str:
        """Return a text of DuckDB with the names of the files in place of the links."""
        for link in sorted(self.paths, key=len, reverse=True):
            text = text.replace(link, str(self.paths[link]))
        return text


@dataclass(frozen=True, slots=True)
class Held:
    """A file of a log that is open.

    Attributes:
        path: Where it was when it was opened.
        link: Leads to it, also when it has another name or none.
        size: Bytes on disk.
        inode: Device and inode.
    """

    path: Path
    link: str
    size: int
    inode: tuple[int, int]

    @property
    def first(self) -> bytes:
        """The first line; empty where there is none, or it can not be read."""
        try:
            return first_line(Path(self.link))
        except (OSError, EOFError, zlib.error, ZstdError):
            return b""


def hold(log: Path, links: Links, since: datetime | None = None, until: datetime | None = None) -> list[Held]:
    """Open the files of a log, in order.

    What is deleted before it could be opened is left out.

    Args:
        log: The live file, or a folder that holds one log.
        links: Holds them.
        since: Files that hold only earlier records are left out.
        until: As ``since``, for later ones.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: The folder or a file can not be read.
        LogError: There are too many.
    """
    path = live_file(log) if log.is_dir() else log
    files = _Files(path, links)
    for _ in range(_TRIES):
        found = _listed(path)
        if found is not None and not files.take(_between(found, since, until)):
            break
    held = files.in_order()
    if not held:
        raise FileNotFoundError(2, "No such file or directory", str(log))
    for name in _later_names(path, held):
        links.may_become(path.resolve().with_name(name))
    return held


class _Files:
    def __init__(self, path: Path, links: Links) -> None:
        self._path = path
        self._links = links
        self._closed: dict[str, Held] = {}
        self._known: set[str | tuple[int, int]] = set()
        self.live = self._opened(path) if path.is_file() else None

    def take(self, paths: list[Path]) -> bool:
        """Open what is not open yet; return whether there was anything."""
        missing = [path for path in paths if path != self._path and not self._is_known(path)]
        _allow(2 * len(missing))  # for each of them what is kept of it, too
        for path in missing:
            with suppress(FileNotFoundError):  # deleted, or it has another name by now, which the next list tells
                self._take(path)
        return bool(missing)

    def in_order(self) -> list[Held]:
        """Return those that are open; what was the live file can have become a closed segment with others behind it."""
        return sorted([*self._closed.values(), *([self.live] if self.live else [])], key=_order)

    def _is_known(self, path: Path) -> bool:
        if sequence_in(path.name) is not None:
            return plain_name(path) in self._known
        with suppress(FileNotFoundError):  # logrotate renames its files: theirs say nothing
            return _inode(path.stat()) in self._known
        return False

    def _take(self, path: Path) -> None:
        held = self._opened(path)
        name = plain_name(path) if sequence_in(path.name) is not None else held.first.hex()
        self._known.add(name)
        if not self._is_live(held):
            self._closed.setdefault(name, held)

    def _is_live(self, held: Held) -> bool:
        """Whether a file is the one that was the live file when this began."""
        if self.live is None:
            return False
        return held.inode == self.live.inode or (held.first != b"" and held.first == self.live.first)

    def _opened(self, path: Path) -> Held:
        try:
            link, descriptor = self._links.add(path, segment_suffix(path))
        except OSError as error:
            if error.errno != EMFILE:
                raise
            remedy = "name a shorter time, or allow more (ulimit -n)"
            raise LogError(f"{path}: too many files are open: {remedy}") from error
        found = os.fstat(descriptor)
        self._known.add(_inode(found))
        return Held(path, link, found.st_size, _inode(found))


def segment_suffix(path: Path) -> str:
    """Return the suffix by which DuckDB knows how a file of a log is compressed."""
    return ".jsonl" + (path.suffix if path.suffix in _SUFFIXES else "")


def _listed(live: Path) -> list[Path] | None:
    """Return the files of a log; None if one of logrotate's was renamed before it could be read."""
    try:
        return [*closed_segments(live), *([live] if live.is_file() else [])]
    except FileNotFoundError:
        if not live.parent.is_dir():
            raise
        return None


def _between(found: list[Path], since: datetime | None, until: datetime | None) -> list[Path]:
    wanted = list(files_between(found, since, until)) or found[-1:]
    if len(wanted) > _MOST_FILES:
        raise LogError(f"{len(wanted):,} files are too many: name a shorter time, or remove old segments")
    return wanted


def _later_names(live: Path, files: list[Held]) -> Iterator[str]:
    """Yield the names that a broker gives to its live file, and logrotate to its own."""
    foreign = [held for held in files if sequence_in(held.path.name) is None]
    for held in foreign:
        first = held.first
        sequence = sequence_of(first)
        if held.path == live and sequence is not None:
            with suppress(ValueError, KeyError, TypeError):  # no record of ours
                yield segment_name(live, datetime.fromisoformat(orjson.loads(first)["@timestamp"]), sequence)
    yield from (f"{live.name}.{number}" for number in range(1, len(foreign) + _ROTATIONS))


def _order(held: Held) -> tuple[bool, int, str]:
    sequence = sequence_in(held.path.name)
    if sequence is None:
        sequence = sequence_of(held.first)
    return sequence is None, sequence or 0, held.path.name


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _allow(files: int) -> None:
    """Let the process open so many more files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + _SPARE if hard == resource.RLIM_INFINITY else min(files + _SPARE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
