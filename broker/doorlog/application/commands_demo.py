"""``doorlog demo``: a first look at what doorlog records, in half a minute."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, examples, fail
from doorlog.errors import AddressError, DoorlogError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorlog.demo.play import Played

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "A first look: a small fleet, and a certificate that is rotated.",
    "epilog": examples(
        "doorlog demo",
        "doorlog demo --folder first-look                  somewhere else than in a temporary folder",
        "doorlog demo --json | jq '.attempts[] | select(.device)'",
    ),
}
"""How it is registered."""


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A new or empty folder.  [default: a temporary one, which stays]", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what doorlog records, on this machine alone: a broker, a small fleet, and a certificate that is rotated.

    A real broker is started, and devices connect to it with real TLS. Then its certificate is rotated, and each kind of
    failure happens that a rotation brings, and others beside it. What the log holds of it is shown with the commands
    that you would use. At the end the broker is stopped; the log stays, to be looked at.

    Exit codes: 0 shown, 1 an attempt has another record than it should have, 3 the folder can not be used, 4 the
    addresses 127.0.0.0/8 can not be used.
    """
    from doorlog.application.demo_output import as_plain_demo, print_demo

    try:
        with _folder(folder) as place:
            played = _played(place)
        if as_json:
            typer.echo(json.dumps(as_plain_demo(played), indent=2))
        else:
            print_demo(played)
    except AddressError as error:
        fail(str(error), ExitCode.ADDRESS)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    _see_that_all_is_right(played)


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """Make the folder; a temporary one does not stay where nothing was played."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="doorlog-demo-")) if wanted is None else wanted
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SettingsError(f"{folder}: holds something already: choose a new folder")
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}: choose a folder that can be written") from error
    try:
        yield folder
    except BaseException:
        if wanted is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _played(folder: Path) -> Played:
    """Play, and tell whoever waits in front of a terminal what goes on."""
    import asyncio

    from rich.console import Console

    from doorlog.demo.play import play

    console = Console(stderr=True, highlight=False)
    with console.status("starting") as status:
        return asyncio.run(play(folder, lambda what: status.update(f"{what} …")))


def _see_that_all_is_right(played: Played) -> None:
    for attempt, record in played.recorded:
        found = record["event"]["code"] if record is not None else "no record"
        if found != attempt.code:
            fail(f"{attempt.visitor.name}: expected {attempt.code}, but the log has {found}", ExitCode.FAILED)
