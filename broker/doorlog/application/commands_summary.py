"""``doorlog summary``: what happened at the door in the last hours, in numbers."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of, understood
from doorlog.application.directory_options import find_directory
from doorlog.application.hints import same_log
from doorlog.errors import DoorlogError

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.readers.summary import Summary
    from doorlog.readers.troubles import Remembered

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Tell what happened in the last hours, in numbers.",
    "epilog": examples(
        "doorlog summary                  the last 24 hours, beside those before",
        "doorlog summary --since 7d --top 50",
        "doorlog summary --since 15m --json | jq '.codes[] | select(.new)'",
    ),
}
"""How it is registered."""


def summary(
    log: LogOption = None,
    config: LogConfig = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From then on (RFC 3339), or a span back: 90s 15m 24h 7d.")
    ] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Up to then, instead of now.")] = None,
    top: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many devices are listed.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Tell how many attempts there were, how many failed and why, which devices fail, and what is new.

    New is what did not happen in the span of the same length before. Also told: which certificates were served, and how
    many devices took them.
    """
    from doorlog.application.log_table import table_of, working
    from doorlog.application.summary_output import as_plain_summary, print_summary
    from doorlog.readers.filters import moment
    from doorlog.readers.summary import summary_of
    from doorlog.readers.troubles import judged

    now = datetime.now(UTC)
    end = understood("--until", until, lambda text: moment(text, now, local=True)) or now
    start = understood("--since", since, lambda text: moment(text, end, local=True)) or now
    if start >= end:
        raise typer.BadParameter("expected a time before --until", param_hint="--since")
    try:
        path = log_of(log, config)
        before = start - (end - start)
        with table_of(path, since=before, until=end) as table, working(table, "reading"):
            found = summary_of(table, start, end)
        found, headline = judged(found, _remembered(find_directory(log, config, None), found))
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps(as_plain_summary(found, top, headline), indent=2))
    else:
        print_summary(found, top, headline, same_log(log, config))


def _remembered(directory: Path | None, summary: Summary) -> Remembered | None:
    """Ask the directory; None where it is not there, or can not be read: the log tells enough."""
    from doorlog.application.directory_options import opened
    from doorlog.identity.overview import admissions, last_there, own_failures
    from doorlog.readers.troubles import Remembered

    if directory is None or not directory.exists():
        return None
    with suppress(DoorlogError), opened(directory) as connection:
        names, sources = summary.names, summary.sources
        return Remembered(
            admissions(connection, names), own_failures(connection, names), last_there(connection, sources)
        )
    return None
