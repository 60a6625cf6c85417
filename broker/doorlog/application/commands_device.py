"""``doorlog device``: what happened to one of them."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.application.commands import (
    AsJson,
    ExitCode,
    LogConfig,
    LogOption,
    SinceOption,
    examples,
    fail,
    log_of,
    say,
    understood,
)
from doorlog.application.directory_options import DirectoryOption, directory_of, find_directory, opened, warn_of_damage
from doorlog.application.hints import same_log
from doorlog.errors import DoorlogError

if TYPE_CHECKING:
    from doorlog.application.device_output import Address
    from doorlog.identity.overview import DeviceSummary

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Tell the history of one device.",
    "epilog": examples(
        "doorlog device pump-17",
        "doorlog device pump-17 --since 7d          reads only what a long log holds of these days",
        "doorlog device pump-17 --last 500 --json | jq -r '.history[].record.message'",
    ),
}
"""How it is registered."""
_MOST_COMPLETED: Final = 500
_TYPEABLE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@%+,/-]*")


def _ids_like(incomplete: str) -> list[str]:
    """Complete an id for a shell; only those that mean nothing else to one, since a device has chosen them."""
    from doorlog.identity.overview import ids_like

    with suppress(DoorlogError, sqlite3.Error), opened(directory_of(None, None, None)) as connection:
        return [name for name in ids_like(connection, incomplete, _MOST_COMPLETED) if _TYPEABLE.fullmatch(name)]
    return []


def device(
    device_id: Annotated[
        str, typer.Argument(metavar="ID", help="The device's id, as it stands in device.id.", autocompletion=_ids_like)
    ],
    log: LogOption = None,
    config: LogConfig = None,
    directory: DirectoryOption = None,
    since: SinceOption = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many entries, the latest.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Tell the history of one device in words: each attempt, and how sure it is that it was this device's.

    Certain: it said or showed who it is. Likely: only this device fits. Ambiguous: it is one of several that fit, with
    its share. Claimed: a login that was refused wrote its name. Confirmed: it was recognised later, when it was
    admitted from the same place. The exit code is 1 if neither the log nor the directory knows it.
    """
    from doorlog.application.device_output import as_plain_history, print_history
    from doorlog.application.log_progress import reading
    from doorlog.readers.filters import moment
    from doorlog.readers.history import history_of, with_confirmed

    start = understood("--since", since, lambda text: moment(text, datetime.now(UTC), local=True))
    device_id = device_id.encode("utf-8", "backslashreplace").decode()  # what is no text is in no record
    try:
        path = log_of(log, config)
        found, places = _remembered(find_directory(log, config, directory), device_id, must_be=directory is not None)
        with reading(path, "reading") as files:
            history = history_of(files, device_id, last=last, since=start)
        if history.confirmed:
            with reading(path, "reading") as files:
                history = with_confirmed(files, history, start)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    warn_of_damage(history.damaged)
    if not found and not history.found:
        place = f"{path} since then" if start is not None else path
        fail(f"no device {device_id!r} in {place}: doorlog devices lists those that are known", ExitCode.FAILED)
    summary = found[0] if found else None
    if as_json:
        typer.echo(json.dumps(as_plain_history(summary, places, history), indent=2))
    else:
        print_history(device_id, summary, places, history, time.time(), log_options=same_log(log, config))


def _remembered(path: Path | None, device_id: str, *, must_be: bool) -> tuple[list[DeviceSummary], list[Address]]:
    """Return what the directory knows of a device; nothing where there is no directory, if there need be none."""
    from doorlog.identity.overview import addresses, summaries

    if path is None or (not must_be and not path.exists()):
        say(f"{path or 'a device directory'} is not there: only what the log holds is told")
        return [], []
    with opened(path) as connection:
        return summaries(connection, time.time(), device_id), addresses(connection, device_id)
