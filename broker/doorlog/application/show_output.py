"""``doorlog show ID`` for a person: the story, then the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from doorlog.readers.show import pretty
from doorlog.readers.story import story_of
from doorlog.text import safe_text

if TYPE_CHECKING:
    from doorlog.readers.show import Shown

_LIMIT: Final = 2_000
_LONGEST: Final = 100_000
"""Characters of a field that are shown."""
_STYLES: Final = {"stopped at": "bold red", "because": "red", "device": "bold", "session": "green"}


def print_shown(shown: Shown) -> None:
    """Print what happened to a connection, and its records."""
    console = Console(highlight=False, soft_wrap=True)
    if shown.connection is not None:
        console.print(Text.assemble("connection ", (safe_text(shown.connection, _LIMIT), "bold")))
    for name, text in story_of(shown.records, shown.connection):
        console.print(Text.assemble((f"  {safe_text(name, 20):<13} ", "dim"), _styled(name, text)))
    if shown.left_out:
        console.print(Text(f"  and {shown.left_out:,} more records, which are not shown", "yellow"))
    for record in shown.records:
        console.print()
        for line in pretty(record, _LONGEST):
            console.print(Text(line))


def _styled(name: str, text: str) -> tuple[str, str]:
    return safe_text(text, _LIMIT), _STYLES.get(name, "")
