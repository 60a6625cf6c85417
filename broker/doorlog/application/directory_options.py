"""Where the device directory is that a command is about, and how it is opened."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorlog.application.commands import log_of, refuse_both, warn
from doorlog.errors import DirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# As in cli: what a command needs is imported when it runs.
# ruff: noqa: PLC0415

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        help="The device directory.  [default: that of -c, or devices.db beside the log]",
        show_default=False,
    ),
]


def find_directory(log: Path | None, config: Path | None, directory: Path | None) -> Path | None:
    """Return the device directory that a command is about; None where the configuration keeps none.

    Raises:
        SettingsError: The configuration can not be read.
        typer.BadParameter: A log and a configuration are given.
    """
    refuse_both(log, config)
    if directory is not None:
        return directory
    if config is not None:
        from doorlog.identity.directory import directory_path
        from doorlog.settings.load import load_settings

        return directory_path(load_settings(config))
    place = log_of(log, config)
    return (place.parent if place.is_file() or place.suffix == ".jsonl" else place) / "devices.db"


def directory_of(log: Path | None, config: Path | None, directory: Path | None) -> Path:
    """Return the device directory that a command can not do without.

    Raises:
        DirectoryError: The configuration keeps none; else as ``find_directory``.
    """
    path = find_directory(log, config, directory)
    if path is None:
        raise DirectoryError(f"{config}: device: no device is remembered: set device.learn and log.file")
    return path


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a directory for reading.

    Raises:
        DirectoryError: It is not there, is none of ours, or can not be read.
    """
    from doorlog.identity.store import open_to_read

    with closing(open_to_read(path)) as connection, telling(path):
        yield connection


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Tell of a directory that is damaged deep inside, as a DirectoryError."""
    try:
        yield
    except sqlite3.Error as error:
        raise DirectoryError(f"{path}: can not be used: {error}: doorlog devices rebuild makes it anew") from error


def warn_of_damage(files: Iterable[str]) -> None:
    """Tell which files of a log could not be read to their end."""
    for name in files:
        warn(f"{name}: can not be read to its end: doorlog verify names the place")
