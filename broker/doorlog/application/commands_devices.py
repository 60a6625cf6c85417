"""``doorlog devices``: who is there and who fails; what is known of them, imported and learned anew."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of, warn
from doorlog.application.directory_options import DirectoryOption, directory_of, opened, telling, warn_of_damage
from doorlog.errors import DirectoryError, DoorlogError

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

StateOption = Annotated[
    Literal["failing", "unclear", "silent", "ok"] | None, typer.Option("--state", help="Only devices of this state.")
]

app = typer.Typer(
    epilog=examples(
        "doorlog devices                               of a local broker, failing ones first",
        "doorlog devices --state failing --json | jq -r '.[].id'",
        "doorlog devices -c /etc/doorlog/doorlog.yaml --site berlin",
        "doorlog devices import devices.csv            names, sites, models, serials, fixed addresses",
        "doorlog devices rebuild                       learn all of it anew from the log",
    ),
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DEVICES: Final[dict[str, Any]] = {"name": "devices", "short_help": "List the devices, failing ones first."}
"""How it is registered."""


@app.callback(invoke_without_command=True)
def devices(
    context: typer.Context,
    log: LogOption = None,
    config: LogConfig = None,
    directory: DirectoryOption = None,
    state: StateOption = None,
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Only devices of this site (imported).")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices: when each was last admitted, its last failure, and whether it is ok, failing or silent.

    Failing: the last attempt that is its own, as far as can be told, failed. Unclear: an attempt failed that was its
    own, or that of another device that looks just like it. Silent: it has no session, and was away
    for a day and for four times as long as it used to be. Refused logins that only wrote its name, from where it never
    was, do not count. How devices are told apart: docs/identity.md.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    from doorlog.application.devices_output import as_plain, print_devices
    from doorlog.identity.overview import summaries

    try:
        with opened(directory_of(log, config, directory)) as connection:
            known = summaries(connection, time.time())
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    found = [one for one in known if state in (None, one.state) and site in (None, one.site)]
    if as_json:
        typer.echo(json.dumps([as_plain(one) for one in found], indent=2))
    else:
        print_devices(found, time.time(), known=len(known))


@app.command(
    "import",
    short_help="Import what you know of the devices from a CSV file.",
    epilog=examples(
        "doorlog devices import devices.csv",
        "doorlog devices import devices.csv --dry-run",
        "printf 'id,site,addresses\\npump-17,berlin,192.0.2.17\\n' >devices.csv && doorlog devices import devices.csv",
    ),
)
def import_devices(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a line of column names.")],
    log: LogOption = None,
    config: LogConfig = None,
    directory: DirectoryOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove devices that are not in the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whether the file is right.")] = False,
) -> None:
    """Import what you know of the devices: id, name, site, model, serial, addresses, tags.

    The first line names the columns; only id must be there, as the device's id stands in the records. Several addresses
    or tags of a device are separated by spaces. An address that you give is one that the device keeps: a failure from
    it is traced to the device before it was ever admitted. A serial is looked for in client certificates.

    All of the file is taken, or none of it. The broker may be running.
    """
    from doorlog.application.devices_output import counted
    from doorlog.identity.inventory import read_inventory, store_inventory
    from doorlog.identity.store import hidden_names, open_store

    try:
        found = read_inventory(file)
        path = directory_of(log, config, directory)
        if dry_run:
            typer.echo(f"{file}: {counted(len(found), 'device')}, nothing wrong")
            return
        with closing(open_store(path)) as connection, telling(path):
            hidden = [name for name in hidden_names(connection) if name in ("client_id", "address")]
            if hidden:
                raise DirectoryError(
                    f"{path}: log.privacy hides {' and '.join(hidden)}, so that no imported device could be recognised"
                )
            new, removed = store_inventory(connection, found, replace=replace)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    gone = f", {removed:,} removed" if replace else ""
    typer.echo(f"{path}: {counted(len(found), 'device')} imported, {new:,} of them new{gone}")


@app.command(
    short_help="Learn all of it anew from the log.",
    epilog=examples("doorlog devices rebuild", "doorlog devices rebuild -c /etc/doorlog/doorlog.yaml"),
)
def rebuild(log: LogOption = None, config: LogConfig = None, directory: DirectoryOption = None) -> None:
    """Learn all of it anew from the log, which is the truth; what was imported stays.

    For a directory that was lost or damaged, or after device.id was changed. The broker may be running: what it learns
    between the end of the reading and the replacing, a moment, is in the log only. Segments that were deleted can not
    be learned from. Without -c, the client id is taken for the device's id.
    """
    from doorlog.application.devices_output import counted
    from doorlog.application.rebuild import rebuild_directory

    try:
        done = rebuild_directory(log_of(log, config), directory_of(log, config, directory), _device_settings(config))
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if done.unreadable:
        warn(f"left out what is no record, {counted(done.unreadable, 'line')}: doorlog verify names the first")
    warn_of_damage(done.damaged)
    if done.aside is not None:
        warn(f"{done.directory} was damaged, and is now {done.aside}: import your devices again, restart the broker")
    devices, admissions = counted(done.devices, "device"), counted(done.admissions, "admission")
    typer.echo(f"{done.directory}: {devices} learned from {admissions}")


def _refuse_options_before(context: typer.Context) -> None:
    """Options of the list say nothing to import and rebuild, which have the same ones."""
    for parameter in context.command.params:
        if context.params.get(str(parameter.name)):
            how = f"write it behind {context.invoked_subcommand}, if it has such an option"
            raise typer.BadParameter(f"has no effect here: {how}", param_hint=parameter.opts[-1])


def _device_settings(config: Path | None) -> Any:
    from doorlog.settings.load import load_settings
    from doorlog.settings.models import DeviceSettings

    return load_settings(config).device if config is not None else DeviceSettings()
