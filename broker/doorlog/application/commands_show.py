"""``doorlog show``: everything about one attempt."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of
from doorlog.application.directory_options import warn_of_damage
from doorlog.errors import DoorlogError

if TYPE_CHECKING:
    from doorlog.readers.lines import LogFile

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Tell everything about one attempt.",
    "epilog": examples("doorlog show d9a6a29aed8e-19", "doorlog show d9a6a29aed8e-19 --json | jq '.[].message'"),
}
"""How it is registered."""


def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="An event.id, or a doorlog.connection_id.")],
    log: LogOption = None,
    config: LogConfig = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one attempt: its steps, where it stopped, which device it was and why, and what to do.

    Then come all fields of its records, and of those that explained it later. With --json: a list of the records.
    The exit code is 1 if the log holds nothing with this id.
    """
    from doorlog.application.log_progress import reading
    from doorlog.application.show_output import print_shown
    from doorlog.readers.show import shown

    name = name.encode("utf-8", "backslashreplace").decode()  # what is no text is in no record
    try:
        path = log_of(log, config)
        with ExitStack() as stack:

            def files() -> list[LogFile]:
                stack.close()  # of a first reading, with its bar
                return stack.enter_context(reading(path, "reading"))

            found = shown(files, name)
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
