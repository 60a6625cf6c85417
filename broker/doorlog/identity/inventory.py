"""What an operator knows of the devices, imported from a CSV file: names, sites, models, serials, fixed addresses."""

from __future__ import annotations

import csv
import json
import sqlite3
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from doorlog.errors import DirectoryError
from doorlog.identity.places import place_of
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

COLUMNS: Final = ("id", "name", "site", "model", "serial", "addresses", "tags")
MOST_DEVICES: Final = 1_000_000
MOST_VALUES: Final = 64
"""Addresses, and tags, of one device."""
LONGEST: Final = 256
"""Characters of a value."""
LONGEST_LINE: Final = 65_536
"""Characters: more than all values of a device can have."""
MOST_FAULTS: Final = 20
_NO_ID: Final = f"has no column id: the first line names the columns, of {', '.join(COLUMNS)}"
_REMEDY: Final = "shorten it, or remove them"
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
    devices: dict[str, Imported] = {}
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            faults = list(islice(_faults(_lines(file), devices), MOST_FAULTS))
        if not devices and not faults:
            faults = ["line 2: there is no device: write a line for each"]
    except OSError as error:
        raise DirectoryError(f"{path}: can not be read: {error.strerror}") from error
    if faults:
        raise DirectoryError("\n".join(f"{path}: {fault}" for fault in faults))
    return list(devices.values())


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file, none of which is endless."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"it is longer than {LONGEST_LINE:,} characters: end each device with a line break")
        if not line.isascii() and not _is_utf8(line):
            raise csv.Error("it is no UTF-8 text: save the file as CSV UTF-8")
        yield line


def _is_utf8(line: str) -> bool:
    """Whether no byte had to be smuggled through as a surrogate (PEP 383)."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _faults(lines: Iterator[str], devices: dict[str, Imported]) -> Iterator[str]:
    """Take all lines; yield what is wrong with them."""
    columns: list[str] = []
    for number, row in _rows(lines):
        if isinstance(row, str):
            yield f"line {number}: {row}"
        elif columns:
            yield from (f"line {number}: {fault}" for fault in _take(row, columns, devices))
        else:
            columns = [name.strip().lower() for name in row]
            faults = list(_column_faults(columns))
            yield from (f"line {number}: {fault}" for fault in faults)
            if faults:
                return
    if not columns:
        yield f"line 1: {_NO_ID}"


def _rows(lines: Iterator[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of the line in which each row begins, and its values; at the end, a fault may stand for them."""
    number = 1
    try:
        header = next(lines, "")
        reader = csv.reader(chain([header], lines), delimiter=max(_SEPARATORS, key=header.count), strict=True)
        for row in reader:
            if any(value.strip() for value in row):
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        yield number, _in_words(error)


def _in_words(error: csv.Error) -> str:
    said = str(error)
    if said.startswith("it is "):
        return said
    return f"is no CSV ({said}): close each quote, write one that belongs to a value twice, and quote such a value"


def _column_faults(columns: Sequence[str]) -> Iterator[str]:
    if "id" not in columns:
        yield _NO_ID
        return
    for place, name in enumerate(columns, 1):
        if not name:
            yield f"column {place} has no name: name it, or remove it and its separators"
        elif name not in COLUMNS:
            yield f"column {_quoted(name)} is not known; there are {', '.join(COLUMNS)}"
        elif name in columns[: place - 1]:
            yield f"column {name} is there twice: remove one of them"


def _take(row: Sequence[str], columns: Sequence[str], devices: dict[str, Imported]) -> Iterator[str]:
    """Take one row; yield what is wrong with it."""
    if len(row) > len(columns):
        yield f"has {len(row)} values for {len(columns)} columns: put a value that holds the separator in quotes"
        return
    values = {name: value.strip() for name, value in zip(columns, row, strict=False)}
    several = {name: tuple(dict.fromkeys(values.pop(name, "").split())) for name in ("addresses", "tags")}
    faults = [*_id_faults(values.get("id", ""), devices), *_value_faults(values, several)]
    if not faults:
        known = {name: value or None for name, value in values.items() if name != "id"}
        addresses = tuple(dict.fromkeys(place_of(address).address for address in several["addresses"]))
        devices[values["id"]] = Imported(values["id"], **known, addresses=addresses, tags=several["tags"])
    yield from faults


def _id_faults(name: str, devices: dict[str, Imported]) -> Iterator[str]:
    if not name:
        yield "id: is empty: write it as it stands in device.id of the records"
    elif name in devices:
        yield f"id: {_quoted(name)} is there twice: give each device one line"
    elif len(devices) >= MOST_DEVICES:
        yield f"id: there are more than {MOST_DEVICES:,} devices: leave some out"


def _value_faults(values: dict[str, str], several: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for column, value in values.items():
        if not _is_plain(value):
            yield f"{column}: is longer than {LONGEST} characters, or holds control characters: {_REMEDY}"
    for column, items in several.items():
        if len(items) > MOST_VALUES:
            yield f"{column}: has more than {MOST_VALUES} values: leave some out"
    if not all(map(_is_plain, several["tags"])):
        yield f"tags: one is longer than {LONGEST} characters, or holds control characters: {_REMEDY}"
    for address in several["addresses"][:MOST_VALUES]:
        if not place_of(address).network:
            yield f"addresses: {_quoted(address)} is no IPv4 or IPv6 address: write them as 192.0.2.17 2001:db8::17"


def _is_plain(value: str) -> bool:
    """Whether a value is short, and nothing in it forges a line or hides words where it is shown."""
    return safe_text(value, LONGEST) == value


def _quoted(text: str) -> str:
    return f"'{safe_text(text, 64)}'"


def store_inventory(connection: sqlite3.Connection, devices: Iterable[Imported], *, replace: bool) -> tuple[int, int]:
    """Put devices into a directory, all of them or none.

    Args:
        connection: A directory, open for writing.
        devices: What is known of them; what was imported of the same id before is replaced.
        replace: Whether those that are not among them are removed from the inventory (not from what was learned).

    Returns:
        How many devices are new in the inventory, and how many were removed.

    Raises:
        DirectoryError: It can not be written.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            counts = _store(connection.execute, devices, replace=replace)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise DirectoryError(f"the device directory can not be written: {error}; nothing was imported") from error
    return counts


def _store(execute: Callable[..., sqlite3.Cursor], devices: Iterable[Imported], *, replace: bool) -> tuple[int, int]:
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
            execute("INSERT INTO inventory_address VALUES (?, ?)", (address, device.id))
    removed = before - given if replace else set()
    for name in removed:
        execute("DELETE FROM inventory WHERE id = ?", (name,))
    return len(given - before), len(removed)
