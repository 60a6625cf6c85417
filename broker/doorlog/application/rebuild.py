"""``doorlog devices rebuild``: from all records of a log to a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from doorlog.application.log_progress import reading
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


def rebuild_directory(log: Path, directory: Path, settings: DeviceSettings) -> Rebuilt:
    """Learn from all records of a log, and put what came of it in the place of what a directory has learned.

    Args:
        log: The live file or a folder of segments.
        directory: The directory; made if it is not there.
        settings: Where a device's id is taken from, and how many are remembered.

    Raises:
        LogError: The log can not be read.
        DirectoryError: The directory can not be written.
    """
    unreadable = 0
    with Rebuild(directory, settings) as made, reading(log, "learning") as files:
        for line in _lines(files):
            try:
                made.take(ANY_EVENT.validate_json(line))
            except ValidationError:
                unreadable += 1
        return Rebuilt(directory, made.replace(), made.sightings, unreadable)


def _lines(files: list[LogFile]) -> Iterator[bytes]:
    for block in blocks_of(files):
        yield from block.data[block.start : block.stop].splitlines()
