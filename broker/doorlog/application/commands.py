"""What all commands share: exit codes, options, and how they speak."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer


class ExitCode(IntEnum):
    """What the process says when it ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    ADDRESS = 4


EXIT_CODES = {
    ExitCode.OK: "stopped or checked cleanly, healthy, done",
    ExitCode.FAILED: "failed; not healthy; not whole",
    ExitCode.USAGE: "wrong usage",
    ExitCode.SETTINGS: "the configuration is wrong, or a file that it names; a log can not be read",
    ExitCode.ADDRESS: "an address can not be bound",
}
FILE = {"metavar": "FILE", "show_default": False}
Config = Annotated[Path, typer.Option("-c", "--config", help="Configuration file (YAML).", **FILE)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples(*lines: str) -> str:
    """Return what a command's help ends in."""
    return "\n".join(("Examples:\n\n\b", *(f"  {line}" for line in lines)))


def say(line: str) -> None:
    """Tell the operator something that is no result."""
    typer.echo(f"doorlog: {line}", err=True)


def warn(line: str) -> None:
    """Tell the operator of something that may be wrong."""
    say(f"warning: {line}")


def fail(message: str, code: ExitCode) -> NoReturn:
    """Tell what failed, and end.

    Raises:
        typer.Exit: With the exit code.
    """
    for line in message.splitlines():
        say(line)
    raise typer.Exit(code)
