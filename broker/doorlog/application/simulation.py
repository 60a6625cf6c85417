"""``doorlog simulate``: a simulation with what a running broker writes of itself, and a bar for whoever waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from doorlog.application.own_events import audit_event, certificate_events
from doorlog.events.codes import Action
from doorlog.settings.models import DoorSettings
from doorlog.simulation.play import Order, Played, play

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from doorlog.events.records import Event
    from doorlog.simulation.host import Host


def announce(host: Host, is_start: bool) -> Sequence[Event]:  # noqa: FBT001 - the shape of ``play.Announce``
    """Say that the door was opened, and what it serves; or that it was closed."""
    assert host.door is not None  # noqa: S101 - it was started
    if not is_start:
        return [audit_event(Action.AUDIT_STOPPED, host.door)]
    settings = DoorSettings(listeners=host.listeners)
    return [audit_event(Action.AUDIT_STARTED, host.door), *certificate_events(settings, host.chains, host.door)]


def simulated(order: Order, folder: Path) -> Played:
    """Simulate; see ``simulation.play``.

    Raises:
        DoorlogError: As there.
    """
    console = Console(stderr=True)
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("simulating", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return asyncio.run(play(order, folder, announce=announce, progress=advance))
