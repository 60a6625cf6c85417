"""``doorlog devices rebuild``: from all records of a log to a directory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from doorlog.application.log_progress import reading
from doorlog.errors import LogError
from doorlog.events.records import ANY_EVENT
from doorlog.identity.rebuild import Rebuild
from doorlog.readers.lines import blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.readers.lines import LogFile
    from doorlog.settings.models import DeviceSettings


class Rebuilt(NamedTuple):
    """What came of it."""

    directory: Path
    devices: int
    admissions: int
    unreadable: int
    """Lines that are no records."""
    damaged: tuple[str, ...]
    """Files of the log that could not be read to their end."""
    aside: Path | None
    """Where the old directory is, if it was damaged."""


def rebuild_directory(log: Path, directory: Path, settings: DeviceSettings) -> Rebuilt:
    """Learn from all records of a log, and put what came of it in the place of what a directory has learned.

    Args:
        log: The live file or a folder of segments.
        directory: The directory; made if it is not there.
        settings: Where a device's id is taken from, and how many are remembered.

    Raises:
        LogError: The log can not be read, or holds no record: the directory stays as it is.
        DirectoryError: The directory can not be written.
    """
    counts = Counter[str]()
    damaged: list[str] = []
    with reading(log, "learning") as files, Rebuild(directory, settings) as made:
        for line in _lines(files, damaged):
            try:
                made.take(ANY_EVENT.validate_json(line))
                counts["records"] += 1
            except ValidationError:
                counts["unreadable"] += 1
        if not counts["records"]:
            raise LogError(f"{log}: holds no record that can be read: {directory} stays as it is")
        devices, aside = made.replace()
    return Rebuilt(directory, devices, made.sightings, counts["unreadable"], tuple(damaged), aside)


def _lines(files: list[LogFile], damaged: list[str]) -> Iterator[bytes]:
    for block in blocks_of(files):
        yield from block.data[block.start : block.stop].splitlines()
        if block.flaw not in (None, "writing"):
            damaged.append(block.file)
