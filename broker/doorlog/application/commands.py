"""What all commands share: exit codes, options, and how they speak."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from doorlog.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


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
    ExitCode.SETTINGS: "the configuration is wrong, or a file that it names; a log or a file can not be read",
    ExitCode.ADDRESS: "an address can not be bound",
}
FILE = {"metavar": "FILE", "show_default": False}
Config = Annotated[Path, typer.Option("-c", "--config", help="Configuration file (YAML).", **FILE)]
LOCAL_LOG = Path(".doorlog") / "log"
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="PATH",
        help="The log: its live file, or a folder of segments.  [default: that of -c, or .doorlog/log]",
        show_default=False,
    ),
]
LogConfig = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="Configuration that names the log.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only from then on (RFC 3339), or a span back: 90s 15m 24h 7d."),
]


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


def understood(name: str, text: str | None, read: Callable[[str], Value]) -> Value | None:
    """Return what the text of an option means; None if it was not given.

    Args:
        name: Of the option.
        text: As it was typed.
        read: Understands it; raises ValueError with a sentence for an operator.

    Raises:
        typer.BadParameter: It can not be understood.
    """
    try:
        return read(text) if text is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def refuse_both(log: Path | None, config: Path | None) -> None:
    """Refuse ``-c`` beside ``--log``, which names the same.

    Raises:
        typer.BadParameter: Both are given.
    """
    if log is not None and config is not None:
        raise typer.BadParameter("has no effect with --log", param_hint="--config")


def log_of(log: Path | None, config: Path | None) -> Path:
    """Return the log that a command is about.

    Raises:
        SettingsError: The configuration can not be read, or names no log file.
        typer.BadParameter: Both are given.
    """
    refuse_both(log, config)
    if log is None and config is None:
        return LOCAL_LOG
    return _log_within(log) if log is not None else _log_file_of(Path(str(config)))


def _log_within(log: Path) -> Path:
    """Take the folder of a broker (``.doorlog``) as that of its log, too."""
    within = log / LOCAL_LOG.name
    return within if within.is_dir() and not any(log.glob("*.jsonl*")) else log


def _log_file_of(config: Path) -> Path:
    from doorlog.settings.load import load_settings  # noqa: PLC0415 - only where a configuration is given

    file = load_settings(config).log.file
    if file is None:
        raise SettingsError(f"{config}: log.file: is not set: name the log with --log")
    return file.path
