"""The generated parts of docs/reading.md: the columns of the view, and what doorlog why says of two errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from unittest.mock import patch

from doorlog.readers.columns import described
from support.commands import doorlog

PAGE: Final = Path(__file__).parents[2] / "docs" / "reading.md"
_COLUMNS: Final = re.compile(r"(?<=<!-- columns -->\n\n).*?(?=\n\n<!-- end of columns -->)", re.DOTALL)
_QUERY: Final = re.compile(r"^doorlog query \"(.+?)\"$", re.MULTILINE | re.DOTALL)
_WHY: Final = re.compile(r"^\$ (doorlog why \"?.+?\"?)\n(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


def columns() -> str:
    """Return the table of the view's columns."""
    rows = (
        f"| `{one.name}` | {one.type} | {f'`{one.path}`' if one.path else ''} | {one.words} |" for one in described()
    )
    return "\n".join(("| column | type | field | what it is |", "| --- | --- | --- | --- |", *rows))


def columns_shown() -> str:
    """Return the table as the page has it."""
    found = _COLUMNS.search(PAGE.read_text(encoding="utf-8"))
    return found[0] if found else ""


def queries() -> list[str]:
    """Return the queries of the page."""
    return [sql.replace('\\"', '"') for sql in _QUERY.findall(PAGE.read_text(encoding="utf-8"))]


def whys() -> list[tuple[str, str]]:
    """Return what the page asks ``doorlog why``, and what it shows as the answer."""
    return [
        (asked[len("doorlog why ") :].strip('"'), answer) for asked, answer in _WHY.findall(PAGE.read_text("utf-8"))
    ]


def answer(asked: str) -> str:
    """Return what ``doorlog why`` says."""
    with patch.dict("os.environ", {"COLUMNS": "100"}):
        return "\n".join(doorlog("why", asked).out) + "\n"


def renewed() -> str:
    """Return the page with all of that made anew."""
    page = _COLUMNS.sub(lambda _: columns(), PAGE.read_text(encoding="utf-8"))
    for asked, shown in whys():
        page = page.replace(shown, answer(asked))
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(), encoding="utf-8")
