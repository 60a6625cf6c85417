"""Commands that are suggested: they work as pasted, and do nothing else, whatever names are in them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST: Final = 500


def program() -> tuple[str, ...]:
    """Return how this program is called from here."""
    called, found = Path(sys.argv[0]), shutil.which("doorlog")
    if called.name != "doorlog":  # python -m doorlog
        return (sys.executable, "-m", "doorlog")
    is_on_path = found is not None and Path(found).resolve() == called.resolve()
    return ("doorlog",) if is_on_path else (sys.argv[0],)


def same_log(log: Path | None, config: Path | None) -> tuple[str, ...]:
    """Return the options by which the command that is running was told of its log."""
    if log is not None:
        return ("--log", str(log))
    return ("-c", str(config)) if config is not None else ()


def command(argv: Sequence[str], log_options: Sequence[str] = ()) -> str | None:
    """Return a command line of this program, quoted for a shell.

    Args:
        argv: What follows the program's name; a last word that begins with a hyphen is one that others have chosen.
        log_options: What ``same_log`` returns.

    Returns:
        None where a word holds what a terminal would obey, or is longer than anybody would paste.
    """
    *words, last = argv
    end = ("--", last) if last.startswith("-") else (last,)
    line = (*program(), *words, *log_options, *end)
    if any(safe_text(word, _LONGEST) != word for word in line):
        return None
    return shlex.join(line)
