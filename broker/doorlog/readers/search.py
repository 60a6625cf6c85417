"""The few lines of a log that hold a text, found without parsing the many that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from doorlog.readers.lines import blocks_of
from doorlog.readers.record import value_at

if TYPE_CHECKING:
    import re
    from collections.abc import Container, Iterable, Iterator

    from doorlog.readers.lines import LogFile


def lines_with(
    files: Iterable[LogFile], pattern: re.Pattern[bytes], wanted: Container[bytes], damaged: list[str]
) -> Iterator[bytes]:
    r"""Yield the lines, each with its ``\n``, in which the group of a pattern is one of the wanted.

    Args:
        files: Of the log, in order.
        pattern: What to look for, with one group.
        wanted: What may stand in the group.
        damaged: Takes the names of files that can not be read to their end.

    Raises:
        LogError: A file can not be read.
    """
    for block in blocks_of(files):
        data, at, stop = block.data, block.start, block.stop
        while (found := pattern.search(data, at, stop)) is not None:
            if found[1] in wanted:
                begin = data.rfind(b"\n", block.start, found.start()) + 1 or block.start
                at = data.find(b"\n", found.end(), stop) + 1 or stop
                yield data[begin:at]
            else:
                at = found.end()
        if block.flaw not in (None, "writing"):
            damaged.append(block.file)


def parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line as a record; None for what is no JSON object."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:  # a line that somebody changed, or a crash tore
        return None
    return record if isinstance(record, dict) else None


def items_at(record: Any, *path: str) -> list[Any]:
    """Return the list that stands at a path; an empty one where there is none, or something that is no list."""
    value = value_at(record, *path)
    return value if isinstance(value, list) else []


def as_json(text: str) -> bytes:
    """Return a text as it stands in a line; one that is no Unicode text stands in none."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return b"\n"
