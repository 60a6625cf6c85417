"""What an operator knows of the devices, imported from a CSV file: names, sites, models, serials, fixed addresses."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.errors import DirectoryError
from doorlog.identity.places import place_of
from doorlog.text import safe_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

COLUMNS: Final = ("id", "name", "site", "model", "serial", "addresses", "tags")
MOST_DEVICES: Final = 1_000_000
MOST_VALUES: Final = 64
"""Addresses, and tags, of one device."""
LONGEST: Final = 256
"""Characters of a value."""
MOST_FAULTS: Final = 20
_SEPARATORS: Final = (",", ";", "\t")


class Imported(NamedTuple):
    """One device, as an operator knows it."""

    id: str
    name: str | None = None
    site: str | None = None
    model: str | None = None
    serial: str | None = None
    addresses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def read_inventory(path: Path) -> list[Imported]:
    """Read a CSV file (RFC 4180) with a line of column names.

    Args:
        path: UTF-8, separated by commas, semicolons or tabs. ``id`` must be among its columns; ``addresses`` and
            ``tags`` may hold several values, separated by spaces.

    Raises:
        DirectoryError: It can not be read, or says something that can not be meant: up to 20 faults, each with its
            line, the column and the remedy. Nothing of it should be used then.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _devices(path, file)
    except OSError as error:
        raise DirectoryError(f"{path}: can not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DirectoryError(f"{path}: is no UTF-8 text: save it as CSV UTF-8") from error
    except csv.Error as error:
        raise DirectoryError(f"{path}: is no CSV: {error}") from error


def _devices(path: Path, lines: Iterable[str]) -> list[Imported]:
    iterator = iter(lines)
    header = next(iterator, "")
    separator = max(_SEPARATORS, key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=separator), [])]
    faults = list(_column_faults(columns))
    devices: dict[str, Imported] = {}
    if not faults:
        reader = csv.reader(iterator, delimiter=separator, strict=True)
        for row in reader:
            line = reader.line_num + 1
            if any(value.strip() for value in row):
                faults += [f"line {line}: {fault}" for fault in _take(row, columns, devices)]
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise DirectoryError("\n".join(f"{path}: {fault}" for fault in faults[:MOST_FAULTS]))
    return list(devices.values())


def _column_faults(columns: Sequence[str]) -> Iterator[str]:
    if "id" not in columns:
        yield f"line 1: has no column id; the first line names the columns, of {', '.join(COLUMNS)}"
        return
    for name in columns:
        if name not in COLUMNS:
            yield f"line 1: column {safe_text(name, 64)!r} is not known; there are {', '.join(COLUMNS)}"
        elif columns.count(name) > 1:
            yield f"line 1: column {name} is there twice"


def _take(row: Sequence[str], columns: Sequence[str], devices: dict[str, Imported]) -> Iterator[str]:
    """Take one line; yield what is wrong with it."""
    if len(row) > len(columns):
        yield f"has {len(row)} values for {len(columns)} columns: put a value that holds the separator in quotes"
        return
    values = {name: value.strip() for name, value in zip(columns, row, strict=False)}
    several = {name: tuple(dict.fromkeys(values.pop(name, "").split())) for name in ("addresses", "tags")}
    faults = [*_value_faults(values, several, devices)]
    if not faults:
        known = {name: value or None for name, value in values.items() if name != "id"}
        addresses = tuple(place_of(address).address for address in several["addresses"])
        devices[values["id"]] = Imported(values["id"], **known, addresses=addresses, tags=several["tags"])
    yield from faults


def _value_faults(
    values: dict[str, str], several: dict[str, tuple[str, ...]], devices: dict[str, Imported]
) -> Iterator[str]:
    name = values.get("id", "")
    if not name:
        yield "id: is empty"
    elif name in devices:
        yield f"id: {safe_text(name, 64)!r} is there twice"
    elif len(devices) >= MOST_DEVICES:
        yield f"id: there are more than {MOST_DEVICES:,} devices"
    for column, value in values.items():
        if len(value) > LONGEST or not value.isprintable():
            yield f"{column}: is longer than {LONGEST} characters, or holds some that can not be printed"
    for column, items in several.items():
        if len(items) > MOST_VALUES or any(len(item) > LONGEST or not item.isprintable() for item in items):
            yield f"{column}: has more than {MOST_VALUES} values, or one that is too long or can not be printed"
    for address in several["addresses"][:MOST_VALUES]:
        if not place_of(address).network:
            yield f"addresses: {safe_text(address, 64)!r} is no IPv4 or IPv6 address"


def store_inventory(connection: sqlite3.Connection, devices: Iterable[Imported], *, replace: bool) -> tuple[int, int]:
    """Put devices into a directory, all of them or none.

    Args:
        connection: A directory, open for writing.
        devices: What is known of them; what was imported of the same id before is replaced.
        replace: Whether those that are not among them are removed from the inventory (not from what was learned).

    Returns:
        How many devices are new in the inventory, and how many were removed.
    """
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    try:
        before = {name for (name,) in execute("SELECT id FROM inventory")}
        given = set()
        for device in devices:
            given.add(device.id)
            execute("DELETE FROM inventory WHERE id = ?", (device.id,))
            execute(
                "INSERT INTO inventory VALUES (?, ?, ?, ?, ?, ?)",
                (device.id, device.name, device.site, device.model, device.serial, json.dumps(device.tags)),
            )
            for address in device.addresses:
                execute("INSERT OR IGNORE INTO inventory_address VALUES (?, ?)", (address, device.id))
        removed = before - given if replace else set()
        for name in removed:
            execute("DELETE FROM inventory WHERE id = ?", (name,))
        execute("COMMIT")
    except BaseException:
        execute("ROLLBACK")
        raise
    return len(given - before), len(removed)
