"""``doorlog verify``: whether a log is whole, and if not, where it ceases to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of
from doorlog.errors import DoorlogError

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Prove that a log is whole, or name the first line that is not.",
    "epilog": examples(
        "doorlog verify                                        the log of a local broker",
        "doorlog verify -c /etc/doorlog/doorlog.yaml --key log.pub",
        "doorlog verify --log /var/log/doorlog --key old.pub --key new.pub --checkpoint kept.jsonl",
        "doorlog verify --json | jq .finding",
    ),
}
"""How it is registered."""


def verify(
    log: LogOption = None,
    config: LogConfig = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", metavar="PUB", help="Public key that signed it (PEM); one for each key.", show_default=False
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checkpoints that were kept elsewhere (JSON lines).", show_default=False),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="The first record of all must be there: nothing was deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove that a log is whole, or name the first line that is not: changed, inserted, removed, reordered or torn.

    It goes over all segments and compares the chain of hashes, the numbers, the gaps that the log itself declares, and
    for each start of the broker the accepted connections with the records. With --key, each signed checkpoint must be
    by one of the keys; with --checkpoint, the log must hold each of those checkpoints: that shows a tail that was cut
    off. What it can not show: docs/verify.md.

    Exit codes: 0 the log is whole, 1 it is not, 3 it can not be read.
    """
    from doorlog.application.log_progress import reading
    from doorlog.application.verify_output import print_report
    from doorlog.readers.trusted import read_checkpoints, read_key
    from doorlog.readers.verify import verify as verified

    try:
        path = log_of(log, config)
        kept = read_checkpoints(checkpoint) if checkpoint is not None else {}
        trusted = [read_key(key) for key in keys or ()]
        with reading(path, "verifying") as files:
            report = verified(files, trusted, kept, from_start=from_start)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_report(path, report, has_keys=bool(keys))
    if not report.whole:
        raise typer.Exit(ExitCode.FAILED)
