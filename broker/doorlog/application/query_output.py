"""What a query yields, for a person and for a program."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson
import typer

from doorlog.application.devices_output import padded
from doorlog.errors import QueryError
from doorlog.text import safe_text

if TYPE_CHECKING:
    from doorlog.readers.table import Answer, Row

_WIDEST: Final = 200
"""Characters of a value on a terminal."""
_LONGEST: Final = 100_000
"""Characters of a value in a pipe."""
_MOST_ROWS: Final = 1_000
"""On a terminal."""


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """Print the rows: aligned on a terminal, tab-separated in a pipe, or as JSON.

    Raises:
        QueryError: Two columns have one name, for JSON; or something went wrong while the rows were read.
    """
    if as_json:
        _refuse_twins(answer.columns)
        for row in answer.rows:
            sys.stdout.write(_as_json(answer, row) + "\n")
    elif sys.stdout.isatty():
        _print_aligned(answer)
    else:
        sys.stdout.write("\t".join(_shown(name, _LONGEST) for name in answer.columns) + "\n")
        for row in answer.rows:
            sys.stdout.write("\t".join(_shown(value, _LONGEST) for value in row) + "\n")
    sys.stdout.flush()


def _print_aligned(answer: Answer) -> None:
    rows = list(islice(answer.rows, _MOST_ROWS))
    cells = [[_shown(value, _WIDEST) or "-" for value in row] for row in rows]
    for row in padded([[safe_text(name, _WIDEST) for name in answer.columns], *cells]):
        typer.echo("".join(row).rstrip())
    more = next(answer.rows, None) is not None
    typer.echo(f"the first {_MOST_ROWS:,} rows; in a pipe all are printed" if more else _count(len(rows)), err=True)


def _refuse_twins(columns: Sequence[str]) -> None:
    twins = [name for name, number in Counter(columns).items() if number > 1]
    if twins:
        raise QueryError(f"several columns are named {safe_text(twins[0])!r}: name each its own with AS")


def _count(rows: int) -> str:
    return f"{rows:,} row{'s'[: rows != 1]}"


def _as_json(answer: Answer, row: Row) -> str:
    values = {name: _plain(value) for name, value in zip(answer.columns, row, strict=True)}
    return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _shown(value: object, limit: int) -> str:
    """Return a value as text without what could forge a line, a column or a word."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, dict | list | bool):
        return safe_text(orjson.dumps(plain, option=orjson.OPT_NON_STR_KEYS, default=str).decode(), limit)
    return safe_text(str(plain), limit)


def _plain(value: Any) -> Any:
    """Return a value of DuckDB as one of JSON; moments in RFC 3339, which the log has in UTC."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
        return str(value)
    return next((told(value) for kind, told in _TOLD if isinstance(value, kind)), value)


_LONGEST_INTEGER: Final = 63
"""Bits; a HUGEINT can have more than JSON's readers take."""
_TOLD: Final[Sequence[tuple[type, Callable[[Any], object]]]] = (
    (datetime, lambda moment: moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, timedelta.total_seconds),
    (Decimal, float),
)
"""Of more than one that fits, the first: a datetime is a date, too."""
