"""``doorlog verify``: the command."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What it needs is imported when it runs, as for all commands.
# ruff: noqa: PLC0415

DEFAULT_LOG: Final = Path(".doorlog") / "log"


def verify(
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The log file, or a folder with its segments.  [default: .doorlog/log]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", metavar="FILE", help="Take the log of this configuration.", show_default=False),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUB", help="Public key (PEM) of the checkpoints' signatures; may be given again."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Checkpoints that were kept on another machine, a line each.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell whether a log is whole: every record there, in order, unchanged, across all segments.

    Names the first line that was changed, inserted, removed, reordered or torn; gaps that the log itself declares are
    listed, and are no fault. What it can not show: docs/verify.md.

    Exit code 0: whole. 1: not whole. 3: the log, a key or a checkpoint can not be read.
    """
    from doorlog.application.cli import ExitCode, fail
    from doorlog.errors import DoorlogError
    from doorlog.readers.verify import load_checkpoints, load_keys, verify_log

    try:
        path = log or _configured(config) or DEFAULT_LOG
        keys = load_keys(key or ())
        elsewhere = load_checkpoints(checkpoint) if checkpoint else None
        with _progress() as say:
            report = verify_log(path, keys=keys, elsewhere=elsewhere, on_progress=say)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        for sentence in report.sentences(has_keys=bool(keys)):
            typer.echo(sentence)
    if report.fault is not None:
        fail(f"not whole: {report.fault}", ExitCode.FAILED)
    if not as_json:
        typer.echo("whole")


def _configured(config: Path | None) -> Path | None:
    if config is None:
        return None
    from doorlog.errors import SettingsError
    from doorlog.settings.load import load_settings

    file = load_settings(config).log.file
    if file is None:
        raise SettingsError(f"{config}: log.file: no log file is configured: name one with --log")
    return file.path


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Say how far it is, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _name, _records: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda name, records: status.update(f"{records:,} records, {name}")
