"""The command line: ``doorlog run``, ``check``, ``health``, ``passwd``, ``schema``, and those that read the log."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from doorlog import __version__
from doorlog.application import (
    commands_alerts,
    commands_demo,
    commands_device,
    commands_devices,
    commands_query,
    commands_show,
    commands_simulate,
    commands_summary,
    commands_tail,
    commands_verify,
    commands_web,
    commands_why,
)
from doorlog.application.commands import EXIT_CODES, FILE, AsJson, Config, ExitCode, examples, fail, say, warn
from doorlog.errors import AddressError, DoorlogError, LogFailed, SettingsError

__all__ = ["EXIT_CODES", "ExitCode", "app"]

# What a command needs is imported when it runs: --help and completion answer at once, and a health check that runs
# twice a minute costs little.
# ruff: noqa: PLC0415


_EPILOG = """\
Exit codes:

\b
{codes}

The log of a local broker: .doorlog/log/doorlog.jsonl, one JSON record a line. Every key of a configuration:
docs/configuration.md. What each event.code means and what to do: docs/codes.md.
"""
app = typer.Typer(
    help="An MQTT broker whose front door records every connection attempt, TLS failures included.\n\n"
    'Begin with "doorlog demo", which shows what it records, or "doorlog run", which prints how to connect.',
    epilog=_EPILOG.format(codes="\n".join(f"  {code}  {words}" for code, words in EXIT_CODES.items())),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: twice as fast, and it can be searched
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


app.command(**commands_demo.HELP)(commands_demo.demo)


@app.command(
    short_help="Run the broker.",
    epilog=examples(
        "doorlog run                                 a broker for this machine",
        "doorlog run --bind-all --port-offset 10000  for devices on the network, MQTT over TLS on port 18883",
        "doorlog run -c /etc/doorlog/doorlog.yaml    for real",
    ),
)
def run(
    config: Annotated[Path | None, typer.Option("-c", "--config", help="Configuration file (YAML).", **FILE)] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Without -c: where all of it is kept.  [default: .doorlog]", show_default=False
        ),
    ] = None,
    bind_all: Annotated[
        bool, typer.Option("--bind-all", help="Without -c: let devices on your network in, not only this machine.")
    ] = False,
    port_offset: Annotated[
        int | None,
        typer.Option(
            min=0, max=50_000, metavar="N", help="Without -c: add N to the ports 1883, 8883, 8884, 8083 and 8084."
        ),
    ] = None,
    console: Annotated[
        bool | None,
        typer.Option(
            "--console/--no-console",
            help="Print a readable line for each record on standard error.  [default: on a terminal]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the broker: with -c from a file, without it as a local broker for trying devices.

    Without -c, everything it needs is created in .doorlog: a certificate authority, a server chain, a demo user and a
    demo device certificate. It is used again the next time.

    With -c, all that "doorlog check" finds is told first, and nothing is opened if there is an error.

    Stop it with Ctrl-C or SIGTERM: open attempts get their record, sessions their end.
    """
    local_options = {"--folder": folder, "--bind-all": bind_all or None, "--port-offset": port_offset}
    given = [name for name, value in local_options.items() if value is not None]
    if config is not None and given:
        raise typer.BadParameter(f"has no effect with -c: set it in {config}", param_hint=given[0])

    from doorlog.application import start

    logging.basicConfig(level=logging.WARNING, format="doorlog: %(name)s: %(message)s")
    try:
        if config is not None:
            start.run_configured(config, console=console, warn=warn, tell=say)
        else:
            start.run_locally(
                folder or Path(".doorlog"),
                bind_all=bind_all,
                port_offset=port_offset or 0,
                console=console,
                warn=warn,
                tell=typer.echo,
            )
    except AddressError as error:
        fail(str(error), ExitCode.ADDRESS)
    except LogFailed as error:
        fail(str(error), ExitCode.FAILED)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)


@app.command(
    short_help="Check a configuration without starting.",
    epilog=examples(
        "doorlog check -c config/production.yaml", "doorlog check -c doorlog.yaml --json | jq -r '.[].sentence'"
    ),
)
def check(config: Config, as_json: AsJson = False) -> None:
    """Check a configuration without starting: keys, files, certificates, chain, expiry, plugins, ports, log.

    Errors keep the broker from starting; warnings do not, but devices may be refused. The exit code is 3 if there is an
    error. With --json: a list of objects with severity, place and sentence.
    """
    from doorlog.application.check import check_file
    from doorlog.application.output import print_findings

    findings = check_file(config)
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_findings(config, findings)
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        fail(f"{config}: {errors} error{'s'[: errors > 1]} would keep the broker from starting", ExitCode.SETTINGS)


@app.command(
    short_help="Tell whether a running broker accepts connections.",
    epilog=examples("doorlog health -c /etc/doorlog/doorlog.yaml && echo all is well"),
)
def health(config: Config, as_json: AsJson = False) -> None:
    """Tell whether the broker of a configuration accepts connections on every port; exit code 1 if it does not.

    With monitor.bind in the configuration, its log is asked for, too: not healthy while the file can not be written.

    To be run where the broker runs: on the same machine, in the same container. On Linux it looks into the kernel's
    table of open ports, so that no record is left for it in the log; elsewhere it connects and hangs up.

    With --json: a list of objects with listener, healthy and sentence.
    """
    from doorlog.application.health import ask_monitor, check_health
    from doorlog.settings.load import load_settings

    try:
        settings = load_settings(config)
        answers = check_health(settings.listeners)
        if settings.monitor is not None:
            answers.append(ask_monitor(settings.monitor.bind, settings.monitor.address))
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps([answer._asdict() for answer in answers], indent=2))
    for answer in answers:
        if not answer.healthy:
            typer.echo(f"doorlog: {answer.listener}: {answer.sentence}", err=True)
        elif not as_json:
            typer.echo(f"{answer.listener}: {answer.sentence}")
    if not all(answer.healthy for answer in answers):
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    short_help="Give a user a password.",
    epilog=examples("doorlog passwd users.txt pump-17", "doorlog passwd users.txt pump-17 <pump-17.password"),
)
def passwd(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The password file; created if it does not exist.")],
    user: Annotated[str, typer.Argument(metavar="USER", help="The user, new or known.")],
) -> None:
    """Give a user a password: asked for twice without echo, or read as one line from standard input.

    The password is stored as an Argon2 hash; all other lines of the file stay as they are. A running broker
    notices the change.
    """
    from doorlog.application.password_input import read_password
    from doorlog.passwords import set_password

    try:
        set_password(file, user, read_password(sys.stdin))
    except SettingsError as error:
        fail(str(error), ExitCode.SETTINGS)
    except ValueError as error:
        fail(str(error), ExitCode.FAILED)
    typer.echo(f"{file}: {user} has a new password")


@app.command(
    short_help="Print the JSON Schema of the log's records.", epilog=examples("doorlog schema > doorlog-record.json")
)
def schema() -> None:
    """Print the JSON Schema of the log's records (draft 2020-12); each line of the log is valid against it."""
    from doorlog.log.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


app.command(**commands_tail.HELP)(commands_tail.tail)
app.command(**commands_show.HELP)(commands_show.show)
app.command(**commands_summary.HELP)(commands_summary.summary)
app.command(**commands_query.HELP)(commands_query.query)
app.command(**commands_why.HELP)(commands_why.why)
app.command(**commands_web.HELP)(commands_web.web)
app.command(**commands_simulate.HELP)(commands_simulate.simulate)
app.command(**commands_verify.HELP)(commands_verify.verify)
app.add_typer(commands_devices.app, **commands_devices.DEVICES)
app.command(**commands_device.HELP)(commands_device.device)
app.add_typer(commands_alerts.app, **commands_alerts.ALERTS)
