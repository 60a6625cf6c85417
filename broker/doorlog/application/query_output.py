"""What a query yields, for a person and for a program."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
import typer
from rich.cells import cell_len

from doorlog.application.devices_output import padded
from doorlog.errors import QueryError
from doorlog.text import escaped, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorlog.readers.table import Answer, Row

_WIDEST: Final = 200
"""Characters of a value on a terminal."""
_WIDEST_ALONE: Final = 2_000
"""Characters of a value that has lines of its own there."""
_RULER: Final = 60
_LONGEST: Final = 100_000
"""Characters of a value in a pipe."""
_MOST_ROWS: Final = 1_000
"""On a terminal."""


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """Print the rows: aligned on a terminal that is wide enough, else one by one; tab-separated in a pipe; or as JSON.

    Raises:
        QueryError: Two columns have one name, for JSON; or something went wrong while the rows were read.
    """
    if as_json:
        _refuse_twins(answer.columns)
        for row in answer.rows:
            sys.stdout.write(_as_json(answer, row) + "\n")
    elif sys.stdout.isatty():
        _print_for_a_person(answer)
    else:
        sys.stdout.write("\t".join(_shown(name, _LONGEST) for name in answer.columns) + "\n")
        for row in answer.rows:
            sys.stdout.write("\t".join(_shown(value, _LONGEST) for value in row) + "\n")
    sys.stdout.flush()


def _print_for_a_person(answer: Answer) -> None:
    rows = list(islice(answer.rows, _MOST_ROWS))
    names = [safe_text(name, _WIDEST) for name in answer.columns]
    lines = list(map("".join, padded([names, *(_cells(row, _WIDEST) for row in rows)])))
    width = get_terminal_size().columns
    if max(cell_len(line.rstrip()) for line in lines) > width:
        lines = list(_one_by_one(names, rows, width))
    for line in lines:
        typer.echo(line.rstrip())
    more = next(answer.rows, None) is not None
    typer.echo(f"the first {_MOST_ROWS:,} rows; in a pipe all are printed" if more else _count(len(rows)), err=True)


def _one_by_one(names: Sequence[str], rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield a line for each value, below a title for each row."""
    for number, row in enumerate(rows, 1):
        yield f"--- row {number:,} ".ljust(min(width, _RULER), "-")
        yield from map("".join, padded(list(zip(names, _cells(row, _WIDEST_ALONE), strict=True))))


def _cells(row: Row, limit: int) -> list[str]:
    return [_shown(value, limit) or "-" for value in row]


def _refuse_twins(columns: Sequence[str]) -> None:
    twins = [name for name, number in Counter(columns).items() if number > 1]
    if twins:
        raise QueryError(f"several columns are named {safe_text(twins[0])!r}: name each its own with AS")


def _count(rows: int) -> str:
    return f"{rows:,} row{'s'[: rows != 1]}"


def _as_json(answer: Answer, row: Row) -> str:
    values = {name: _plain(value) for name, value in zip(answer.columns, row, strict=True)}
    return escaped(_dumped(values))


def _dumped(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


def _shown(value: object, limit: int) -> str:
    """Return a value as text without what could forge a line, a column or a word."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, dict | list | bool):
        return safe_text(_dumped(plain), limit)
    return safe_text(str(plain), limit)


def _plain(value: Any) -> Any:
    """Return a value of DuckDB as one of JSON that loses nothing; moments in RFC 3339, which the log has in UTC."""
    if isinstance(value, Mapping):
        return {str(_plain(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return next((told(value) for kind, told in _TOLD if isinstance(value, kind)), value)


def _integer(value: int) -> int | str:
    return value if value.bit_length() <= _LONGEST_INTEGER else str(value)


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _moment(value: datetime) -> str:
    finest = "microseconds" if value.microsecond % 1_000 else "milliseconds"
    return value.isoformat(timespec=finest).removesuffix("+00:00") + "Z"


def _bytes(value: bytes) -> str:
    """Return bytes as DuckDB writes them, which reads them so, too."""
    return "".join(chr(one) if one in _PRINTABLE else f"\\x{one:02X}" for one in value)


_LONGEST_INTEGER: Final = 63
"""Bits; a HUGEINT can have more than JSON's readers take."""
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) - {ord("\\"), ord("'"), ord('"')}
_TOLD: Final[Sequence[tuple[type, Callable[[Any], object]]]] = (
    (bool, bool),
    (int, _integer),
    (float, _float),
    (datetime, _moment),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, timedelta.total_seconds),
    (Decimal, lambda number: f"{number:f}"),
    (bytes, _bytes),
    (UUID, str),
)
"""Of more than one that fits, the first: a datetime is a date, too."""
