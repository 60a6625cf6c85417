"""``doorlog show``: everything about one attempt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of
from doorlog.application.directory_options import warn_of_damage
from doorlog.errors import DoorlogError

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.readers.show import Shown

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Tell everything about one attempt.",
    "epilog": examples("doorlog show d9a6a29aed8e-19", "doorlog show d9a6a29aed8e-19 --json | jq '.[].message'"),
}
"""How it is registered."""
_NEAR: Final = 536_870_912
"""Bytes that are looked at in each direction, and then to the end of a segment: about a second."""


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="An event.id, or a doorlog.connection_id.")],
    log: LogOption = None,
    config: LogConfig = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Look through all of the log, however long it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one attempt: its steps, where it stopped, which device it was and why, and what to do.

    Then come all fields of its records, and of those that explained it later. With --json: a list of the records.
    The log is read where the number in an event.id says, and around that; all of it if the attempt is not there.
    The exit code is 1 if the log holds nothing with this id.
    """
    from doorlog.application.show_output import print_shown

    name = name.encode("utf-8", "backslashreplace").decode()  # what is no text is in no record
    try:
        path = log_of(log, config)
        found = _everywhere(path, name) if everywhere else _near(path, name)
        if found.is_cut and not found.has_attempt:
            found = _everywhere(path, name)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    warn_of_damage(found.damaged)
    if not found.records:
        remedy = "doorlog tail --json shows the ids of the latest records"
        fail(f"nothing with the id {name!r} in {path}: {remedy}; older ones may have been deleted", ExitCode.FAILED)
    if as_json:
        typer.echo(json.dumps(found.records, indent=2))
    else:
        print_shown(found)
    if found.is_cut:
        typer.echo("what came of it much later was not looked for: --all does", err=True)


def _near(log: Path, name: str) -> Shown:
    from doorlog.readers.files import open_log, reopening
    from doorlog.readers.near import shown_near

    with reopening(lambda: open_log(log)) as opened:
        return shown_near(opened, name, _NEAR)


def _everywhere(log: Path, name: str) -> Shown:
    from doorlog.application.log_progress import reading
    from doorlog.readers.files import reopening
    from doorlog.readers.show import shown

    with reopening(lambda: reading(log, "reading")) as files:
        return shown(files, name)
