"""``doorlog devices`` and ``doorlog device``: who is there, who fails, and what happened to one of them."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of, say
from doorlog.errors import DirectoryError, DoorlogError

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        help="The device directory.  [default: that of -c, or devices.db beside the log]",
        show_default=False,
    ),
]
StateOption = Annotated[
    Literal["failing", "silent", "ok"] | None, typer.Option("--state", help="Only devices of this state.")
]

app = typer.Typer(
    help="List the devices: when each was last admitted, its last failure, and whether it is ok, failing or silent.",
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
DEVICE: Final[dict[str, Any]] = {
    "short_help": "Tell the history of one device.",
    "epilog": examples(
        "doorlog device pump-17", "doorlog device pump-17 --last 500 --json | jq -r '.history[].record.message'"
    ),
}
"""How they are registered."""


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

    Failing: the last attempt that is its own, as far as can be told, failed. Silent: it has no session, and was away
    for a day and for four times as long as it used to be. Refused logins that only wrote its name, from where it never
    was, do not count. How devices are told apart: docs/identity.md.
    """
    if context.invoked_subcommand is not None:
        return
    from doorlog.application.devices_output import as_plain, print_devices
    from doorlog.identity.overview import summaries
    from doorlog.identity.store import open_to_read

    try:
        with closing(open_to_read(_directory_of(log, config, directory))) as connection:
            found = summaries(connection, time.time())
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    found = [one for one in found if state in (None, one.state) and site in (None, one.site)]
    if as_json:
        typer.echo(json.dumps([as_plain(one) for one in found], indent=2))
    else:
        print_devices(found, time.time())


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
    from doorlog.identity.inventory import read_inventory, store_inventory
    from doorlog.identity.store import hidden_names, open_store

    try:
        found = read_inventory(file)
        path = _directory_of(log, config, directory)
        if dry_run:
            typer.echo(f"{file}: {len(found):,} devices, nothing wrong with them")
            return
        with closing(open_store(path)) as connection:
            hidden = [name for name in hidden_names(connection) if name in ("client_id", "address")]
            if hidden:
                raise DirectoryError(
                    f"{path}: log.privacy hides {' and '.join(hidden)}, so that no imported device could be recognised"
                )
            new, removed = store_inventory(connection, found, replace=replace)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    gone = f", {removed:,} removed" if replace else ""
    typer.echo(f"{path}: {len(found):,} devices imported, {new:,} of them new{gone}")


@app.command(
    short_help="Learn all of it anew from the log.",
    epilog=examples("doorlog devices rebuild", "doorlog devices rebuild -c /etc/doorlog/doorlog.yaml"),
)
def rebuild(log: LogOption = None, config: LogConfig = None, directory: DirectoryOption = None) -> None:
    """Learn all of it anew from the log, which is the truth; what was imported stays.

    For a directory that was lost or damaged, or after device.id was changed. The broker may be running: what it learns
    between the end of the reading and the replacing, a moment, is in the log only. Segments that were deleted can not
    be learned from.
    """
    from doorlog.application.rebuild import rebuild_directory

    try:
        done = rebuild_directory(log_of(log, config), _directory_of(log, config, directory), _device_settings(config))
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if done.unreadable:
        say(f"warning: {done.unreadable:,} lines are no records, and were left out: doorlog verify names the first")
    typer.echo(f"{done.directory}: {done.devices:,} devices learned from {done.admissions:,} admissions")


def device(
    device_id: Annotated[str, typer.Argument(metavar="ID", help="The device's id, as it stands in device.id.")],
    log: LogOption = None,
    config: LogConfig = None,
    directory: DirectoryOption = None,
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
    from doorlog.identity.overview import addresses, summaries
    from doorlog.identity.store import open_to_read
    from doorlog.readers.history import history_of, with_confirmed

    try:
        path = log_of(log, config)
        with closing(open_to_read(_directory_of(log, config, directory))) as connection:
            found = summaries(connection, time.time(), device_id)
            places = addresses(connection, device_id)
        with reading(path, "reading") as files:
            history = history_of(files, device_id, last=last)
        if history.confirmed:
            with reading(path, "reading") as files:
                history = with_confirmed(files, history)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if not found and not history.found:
        fail(f"no device {device_id!r} in {path}: doorlog devices lists those that are known", ExitCode.FAILED)
    summary = found[0] if found else None
    if as_json:
        typer.echo(json.dumps(as_plain_history(summary, places, history), indent=2))
    else:
        print_history(device_id, summary, places, history, time.time())


def _directory_of(log: Path | None, config: Path | None, directory: Path | None) -> Path:
    from doorlog.identity.directory import directory_path
    from doorlog.settings.load import load_settings

    if directory is not None:
        return directory
    if config is not None and log is None:
        path = directory_path(load_settings(config))
        if path is None:
            raise DirectoryError(f"{config}: device: no device is remembered: set device.learn and log.file")
        return path
    place = log_of(log, config)
    return (place if place.is_dir() or place.suffix != ".jsonl" else place.parent) / "devices.db"


def _device_settings(config: Path | None) -> Any:
    from doorlog.settings.load import load_settings
    from doorlog.settings.models import DeviceSettings

    return load_settings(config).device if config is not None else DeviceSettings()
