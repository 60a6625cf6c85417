"""``doorlog run``: from a configuration, or from none, to a broker that serves until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from doorlog.application.check import check_settings
from doorlog.application.development import development_settings, welcome
from doorlog.application.service import serve
from doorlog.application.web_process import beside
from doorlog.door.door import Door
from doorlog.errors import AddressError, SettingsError
from doorlog.identity.directory import directory_path
from doorlog.settings.load import load_settings
from doorlog.settings.models import ListenerSettings, Settings

Say = Callable[[str], None]
"""Tells the operator one line."""


def run_configured(config: Path, *, console: bool | None, warn: Say, tell: Say) -> None:
    """Serve a configuration until SIGTERM, SIGINT or SIGHUP.

    Args:
        config: A YAML file.
        console: Whether each record is also a readable line on standard error; None as the configuration says.
        warn: Told what looks wrong, before the start.
        tell: Told where the broker listens.

    Raises:
        DoorlogError: If the configuration, a certificate, a plugin, the log or an address can not be used.
    """
    settings = _with_console(load_settings(config), console=console)
    _refuse(settings, str(config), warn)
    _serve(settings, lambda door: tell(f"ready: {', '.join(_urls(settings, door))}"))


def run_locally(folder: Path, *, bind_all: bool, port_offset: int, console: bool | None, warn: Say, tell: Say) -> None:
    """Serve without a configuration until SIGTERM, SIGINT or SIGHUP.

    Args:
        folder: Where certificates, the demo user and the log are kept; created, and used again next time.
        bind_all: Whether others than this machine may connect.
        port_offset: Added to the usual ports, 0 to 50,000.
        console: Whether each record is also a readable line on standard error; None for a terminal only.
        warn: Told what looks wrong, before the start.
        tell: Told how to connect.

    Raises:
        DoorlogError: If the folder or an address can not be used.
    """
    settings, pki = development_settings(folder, bind_all=bind_all, port_offset=port_offset)
    settings = _with_console(settings, console=console)
    _refuse(settings, str(folder), warn)
    try:
        _serve(settings, lambda door: tell(welcome(pki, settings, door)))
    except AddressError as error:
        raise AddressError(f"{error}, as with --port-offset 10000") from error


def _with_console(settings: Settings, *, console: bool | None) -> Settings:
    if console is None:
        return settings
    log = settings.log.model_copy(update={"console": "always" if console else "never"})
    return settings.model_copy(update={"log": log})


def _refuse(settings: Settings, source: str, warn: Say) -> None:
    """Find all that is wrong before anything is opened, as ``doorlog check`` does."""
    findings = check_settings(settings)
    errors = [f"{source}: {finding}" for finding in findings if finding.severity == "error"]
    if errors:
        raise SettingsError("\n".join(errors))
    for finding in findings:
        if finding.severity == "warning":
            warn(f"{source}: {finding}")


def _serve(settings: Settings, on_started: Callable[[Door], None]) -> None:
    log = settings.log.file.path if settings.log.file is not None else None
    bind = settings.web.bind if settings.web is not None else None

    def started(door: Door) -> None:
        on_started(door)
        if page is not None:
            page.start()

    with beside(log, directory_path(settings), bind) as page, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings, started))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Take uvloop where it is installed: it halves what asyncio itself costs."""
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    return uvloop.new_event_loop


def _urls(settings: Settings, door: Door) -> list[str]:
    return [_url(name, listener, door.listeners[name].port) for name, listener in settings.listeners.items()]


def _url(name: str, listener: ListenerSettings, port: int) -> str:
    scheme = "ws" if listener.websocket else "mqtt"
    host = listener.bind.rpartition(":")[0] or "*"
    return f"{name} {scheme}{'s' if listener.tls else ''}://{host}:{port}"
