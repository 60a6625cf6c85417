"""``doorlog web``: the page."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from doorlog.addresses import is_loopback
from doorlog.application.commands import ExitCode, LogConfig, LogOption, examples, fail, log_of, say
from doorlog.application.directory_options import DirectoryOption, find_directory
from doorlog.errors import AddressError, DoorlogError, SettingsError

if TYPE_CHECKING:
    import socket

    from doorlog.web.server import Server

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

DEFAULT_BIND: Final = "127.0.0.1:8880"
HELP: Final[dict[str, Any]] = {
    "short_help": "Show the log in a browser.",
    "epilog": examples(
        "doorlog web                                     http://127.0.0.1:8880, for this machine only",
        "doorlog web -c doorlog.yaml --bind 127.0.0.1:9000",
        "doorlog web --bind 0.0.0.0:8880 --password-file page.password",
    ),
}
"""How it is registered."""
_SHORTEST: Final = 8


def web(
    log: LogOption = None,
    config: LogConfig = None,
    directory: DirectoryOption = None,
    bind: Annotated[str, typer.Option(metavar="ADDRESS:PORT", help="Where it listens.")] = DEFAULT_BIND,
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Password of the page, asked for with any user name.", show_default=False),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Show the log in a browser: what happens now, who fails since when and why, and the story of each attempt.

    It reads the log's files and the directory of devices, and changes none of them; what it keeps of closed segments is
    in the folder "index" beside them, and can be deleted. By default only this machine can reach it; anywhere else it
    needs a password, and something in front of it that speaks TLS.
    """
    import asyncio

    try:
        address = _address(bind)
        password = _password(password_file, address[0])
        path = _live_file(log_of(log, config))
        server, listening = _server(path, find_directory(log, config, directory), address, password)
    except AddressError as error:
        fail(str(error), ExitCode.ADDRESS)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if with_parent:
        threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    with listening, suppress(KeyboardInterrupt):
        asyncio.run(server.serve([listening]))


def _address(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter('expected "address:port", such as "127.0.0.1:8880"', param_hint="--bind")
    return host, int(port)


def _password(file: Path | None, host: str) -> str | None:
    """Return what must be given; None where only this machine can ask, and no password is wanted.

    Raises:
        SettingsError: The file can not be read, or the page would be open to anybody.
    """
    if file is None:
        if is_loopback(host):
            return None
        raise SettingsError(
            f"--bind: others than this machine can reach {host}: give the page a password with --password-file"
        )
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: can not be read: {error}") from error
    if len(password) < _SHORTEST:
        raise SettingsError(f"{file}: is too short for a password: {_SHORTEST} characters at least")
    return password


def _live_file(path: Path) -> Path:
    from doorlog.readers.files import open_log

    with open_log(path) as opened:
        return opened.path


def _server(
    log: Path, directory: Path | None, address: tuple[str, int], password: str | None
) -> tuple[Server, socket.socket]:
    try:
        from doorlog.web.server import Server, bound, build
    except ImportError as error:
        raise SettingsError(
            f'the page needs {error.name}, which is not installed: pip install "doorlog[web]"'
        ) from error

    app = build(log, directory, password)
    listening = bound(*address)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Server(app, lambda: say(f"the page is at http://{shown}:{port}")), listening


def _end_with_parent(server: Server) -> None:
    """End when whoever started this ends, however that happens: nobody holds the other end of our input then."""
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 4_096):
            pass
    server.should_exit = True
