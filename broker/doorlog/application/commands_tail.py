"""``doorlog tail``: the latest records, and those that come."""

from __future__ import annotations

import sys
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from zstandard import ZstdError

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
from doorlog.application.directory_options import warn_of_damage
from doorlog.errors import DoorlogError, LogError
from doorlog.events.codes import Outcome, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.application.tail_output import TailOutput
    from doorlog.log.cursor import Position
    from doorlog.readers.filters import Filters

# As in cli: what a command needs is imported when it runs, and its flags are booleans. Each option is an argument.
# ruff: noqa: PLC0415, FBT002, PLR0913, PLR0917

HELP: Final[dict[str, Any]] = {
    "short_help": "Show the latest records, and with -f those that come.",
    "epilog": examples(
        "doorlog tail -f                               what happens at the door now",
        "doorlog tail --outcome failure --since 15m    who was turned away",
        "doorlog tail --device pump-17 --maybe -n 100",
        "doorlog tail --source 192.0.2.0/24 --json | jq -r .event.code",
    ),
}
"""How it is registered."""
Value = TypeVar("Value")


def tail(
    log: LogOption = None,
    config: LogConfig = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("-n", "--last", min=0, max=100_000, metavar="N", help="How many.")] = 20,
    device: Annotated[str | None, typer.Option(metavar="ID", help="Only of this device.id.")] = None,
    maybe: Annotated[bool, typer.Option("--maybe", help="And those that --device is a candidate for.")] = False,
    codes: Annotated[
        list[str] | None, typer.Option("--code", metavar="CODE", help="Only this event.code; may be repeated.")
    ] = None,
    stage: Annotated[Stage | None, typer.Option(metavar="STAGE", help="Only where it got so far.")] = None,
    outcome: Annotated[
        Outcome | None, typer.Option(metavar="OUTCOME", help="Only success, failure or unknown.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only from this address, or network (CIDR).")
    ] = None,
    listener: Annotated[str | None, typer.Option(metavar="NAME", help="Only at this listener.")] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Only where this stands anywhere in it.")] = None,
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only up to then; as --since.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the latest records that pass every filter, the latest last, over all segments; with -f what comes, too.

    With --json: the lines as they stand in the log, one record a line.
    """
    from doorlog.application.tail_output import TailOutput, let_go_of_stdout
    from doorlog.readers.filters import Filters, moment, network

    now = datetime.now(UTC)
    filters = Filters(
        device=device,
        maybe=maybe,
        codes=tuple(codes or ()),
        stage=stage,
        outcome=outcome,
        listener=listener,
        text=text,
        source=understood("--source", source, network),
        since=understood("--since", since, lambda text: moment(text, now, local=True)),
        until=understood("--until", until, lambda text: moment(text, now, local=True)),
        checkpoints=as_json,
    )
    try:
        with suppress(KeyboardInterrupt):
            _show(log_of(log, config), filters, count, TailOutput(sys.stdout, as_json), follow=follow)
    except BrokenPipeError:
        let_go_of_stdout()
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)


def _show(path: Path, filters: Filters, count: int, output: TailOutput, *, follow: bool) -> None:
    from doorlog.readers.files import open_log
    from doorlog.readers.tail import tail_of

    with open_log(path) as opened:
        live = opened.path
        found = tail_of(opened, filters, count)
    warn_of_damage(found.damaged)
    output.show(found.found)
    if follow:
        _follow(live, found.last, filters, output)
    elif not found.found and count:
        say(f"no record in {path} passes")


def _follow(live: Path, after: Position | None, filters: Filters, output: TailOutput) -> None:
    from doorlog.log.follow import Follower
    from doorlog.readers.tail import wanted

    follower = Follower(live, after)
    try:
        while True:
            batch = follower.read()
            if batch.missing:
                say(f"{batch.missing:,} records were deleted before they could be read")
            output.show(filter(None, (wanted(line.rstrip(b"\n"), filters) for line in batch.lines)))
            if not batch.lines and not output.pause():
                return
    except BrokenPipeError:
        raise
    except (OSError, EOFError, ZstdError, zlib.error) as error:
        raise LogError(f"{live}: can not be followed any further: {error}") from error
    finally:
        follower.close()
