"""The file of the device directory: its tables, how it is opened, and what happens when it is damaged."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from doorlog.errors import DirectoryError

VERSION: Final = 1
BUSY_SECONDS: Final = 30.0
"""How long one program waits for another that is writing: an import or a rebuild takes seconds."""
_APPLICATION: Final = 0x646F6F72
"""``application_id`` of the file: that it is ours, whatever its name."""

_SCHEMA: Final = """
CREATE TABLE device (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user_name TEXT,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    last_admitted REAL NOT NULL,
    connects INTEGER NOT NULL DEFAULT 1,
    rhythm REAL,
    absence REAL,
    moves REAL NOT NULL DEFAULT 0,
    moves_expected REAL NOT NULL DEFAULT 0,
    address TEXT NOT NULL,
    network TEXT NOT NULL,
    look TEXT,
    former_look TEXT,
    served TEXT,
    listener TEXT,
    tls_version TEXT,
    protocol_version TEXT,
    keep_alive INTEGER,
    connection_id TEXT,
    sessions INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX device_place ON device (network, look, last_seen);
CREATE INDEX device_look ON device (look);
CREATE TABLE sighting (
    address TEXT NOT NULL,
    device INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    first REAL NOT NULL,
    last REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (address, device)
) WITHOUT ROWID;
CREATE INDEX sighting_address ON sighting (address, last);
CREATE INDEX sighting_device ON sighting (device, last);
CREATE TABLE certificate (
    sha256 TEXT NOT NULL,
    device INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    subject TEXT,
    first REAL NOT NULL,
    last REAL NOT NULL,
    PRIMARY KEY (sha256, device)
) WITHOUT ROWID;
CREATE INDEX certificate_device ON certificate (device);
CREATE TABLE ticket (
    digest TEXT PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    issued REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX ticket_device ON ticket (device, issued);
CREATE TABLE failure (
    id TEXT NOT NULL,
    is_claim INTEGER NOT NULL, -- evidence.Whose
    moment REAL NOT NULL,
    code TEXT NOT NULL,
    confidence TEXT NOT NULL,
    method TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (id, is_claim)
) WITHOUT ROWID;
CREATE TABLE inventory (
    id TEXT PRIMARY KEY,
    name TEXT,
    site TEXT,
    model TEXT,
    serial TEXT,
    tags TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;
CREATE INDEX inventory_serial ON inventory (serial);
CREATE TABLE inventory_address (
    address TEXT NOT NULL,
    id TEXT NOT NULL REFERENCES inventory ON DELETE CASCADE,
    PRIMARY KEY (address, id)
) WITHOUT ROWID;
CREATE INDEX inventory_address_id ON inventory_address (id);
CREATE TABLE statistic (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
LEARNED: Final = ("device", "sighting", "certificate", "ticket", "failure", "statistic")
"""The tables that the log can give again; the others hold what an operator imported."""


def open_store(path: Path) -> sqlite3.Connection:
    """Open the directory for writing; create it, readable by its owner alone, if it is not there.

    Args:
        path: The file; SQLite keeps two more beside it while it is open (``-wal``, ``-shm``).

    Returns:
        A connection in autocommit mode. What is committed survives the death of the process at any moment.

    Raises:
        DirectoryError: It can not be used: with the path and the remedy. A damaged file is left as it is.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise _unusable(path, error) from error
    with _opened(path, "rw") as connection:
        _prepare(connection, path)  # first: another program's file is left as it is
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a directory that is there, for reading, beside a broker that may be writing it.

    Raises:
        DirectoryError: It is not there, or can not be read.
    """
    if not path.exists():
        raise DirectoryError(
            f"{path} is not there: a broker makes it with the first admission; or name the log with --log"
        )
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    with _opened(path, "rw" if may_write else "ro") as connection:
        connection.execute("PRAGMA query_only = ON")
        _expect_ours(connection, path)
    return connection


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Connect to a file, and let go of it again if what is done with it first fails."""
    connection = None
    try:
        connection = _connect(path, mode)
        yield connection
    except (sqlite3.Error, DirectoryError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _unusable(path, error) from error
        raise


def set_aside(path: Path) -> Path:
    """Move a damaged directory out of the way, with what SQLite keeps beside it.

    Returns:
        Where it is now.

    Raises:
        DirectoryError: It can not be moved.
    """
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise _unusable(path, error) from error
    return aside


def hidden_names(connection: sqlite3.Connection) -> list[str]:
    """Return which names ``log.privacy`` hides from this directory, in its words."""
    row = connection.execute("SELECT value FROM statistic WHERE key = 'hidden'").fetchone()
    return list(json.loads(row[0])) if row is not None else []


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        _expect_ours(connection, path)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _expect_ours(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise DirectoryError(f"{path} is no device directory of doorlog: name another file in device.directory")
    if version > VERSION:
        raise DirectoryError(f"{path} was written by a newer doorlog (version {version}; this one reads {VERSION})")


def is_damaged(error: DirectoryError) -> bool:
    """Whether a directory could not be used since its file is damaged."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


def _unusable(path: Path, error: OSError | sqlite3.Error) -> DirectoryError:
    fault = error.strerror if isinstance(error, OSError) else str(error)
    return DirectoryError(f"the device directory {path} can not be used: {fault}")
