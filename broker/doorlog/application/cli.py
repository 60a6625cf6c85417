"""The command line: ``doorlog run``, ``check``, ``schema``, ``passwd``."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from doorlog import __version__
from doorlog.application.check import check_settings
from doorlog.application.development import development_settings, welcome
from doorlog.application.service import serve
from doorlog.door.door import Door
from doorlog.errors import AddressError, DoorlogError
from doorlog.log.schema import json_schema
from doorlog.settings.load import load_settings
from doorlog.settings.models import Settings


class ExitCode(IntEnum):
    """What the process says when it ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    ADDRESS = 4


app = typer.Typer(
    help="An MQTT broker whose front door records every connection attempt, TLS failures included.",
    epilog="Exit codes: 0 stopped or checked cleanly, 1 failed, 2 wrong usage, 3 the configuration is wrong, "
    "4 an address is in use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Config = Annotated[Path | None, typer.Option("-c", "--config", help="Configuration file (YAML).", show_default=False)]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"doorlog {__version__}")
        raise typer.Exit


@app.callback()
def _doorlog(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Config = None,
    folder: Annotated[
        Path, typer.Option(help="Without -c: where certificates, the demo user and the log are kept.")
    ] = Path(".doorlog"),
    bind_all: Annotated[
        bool, typer.Option("--bind-all", help="Without -c: let devices on your network in, not only this machine.")
    ] = False,
    port_offset: Annotated[
        int, typer.Option(min=0, max=50_000, help="Without -c: add this to the ports 1883, 8883, 8884, 8083, 8084.")
    ] = 0,
) -> None:
    """Run the broker: with -c from a file, without it as a local broker for trying devices.

    Without -c, everything it needs is created in .doorlog/: a certificate authority, a server chain, a user,
    a device certificate. Stop with Ctrl-C or SIGTERM: open attempts get their record, sessions their end.
    """
    logging.basicConfig(level=logging.WARNING, format="doorlog: %(name)s: %(message)s")
    try:
        if config is not None:
            _serve(load_settings(config))
        else:
            settings, pki = development_settings(folder, bind_all=bind_all, port_offset=port_offset)
            _serve(settings, lambda door: typer.echo(welcome(pki, settings, door)))
    except AddressError as error:
        _fail(str(error), ExitCode.ADDRESS)
    except DoorlogError as error:
        _fail(str(error), ExitCode.SETTINGS)


def _serve(settings: Settings, on_started: Callable[[Door], None] | None = None) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings, on_started))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Take uvloop where it is installed: it halves what asyncio itself costs."""
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    return uvloop.new_event_loop


@app.command()
def check(
    config: Annotated[Path, typer.Option("-c", "--config", help="Configuration file (YAML).", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a configuration without starting: keys, files, certificates, chain, expiry."""
    try:
        findings = check_settings(load_settings(config))
    except DoorlogError as error:
        _fail(str(error), ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.severity}: {finding.place}: {finding.sentence}")
        if not findings:
            typer.echo(f"{config}: nothing to complain about")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(ExitCode.SETTINGS)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the log's records."""
    typer.echo(json.dumps(json_schema(), indent=2))


def _fail(message: str, code: ExitCode) -> NoReturn:
    for line in message.splitlines():
        typer.echo(f"doorlog: {line}", err=True)
    raise typer.Exit(code)
