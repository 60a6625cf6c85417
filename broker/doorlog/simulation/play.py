"""A whole scenario: from its name and a seed to a log, the truth about it, and how well devices were named."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from doorlog import __version__
from doorlog.errors import SettingsError
from doorlog.events.sentences import message_of, reason_of
from doorlog.log.opening import open_log, service_part
from doorlog.settings.log_models import FileLogSettings, FloodSettings, LogSettings
from doorlog.simulation.calendar import Calendar
from doorlog.simulation.fleet import make_fleet
from doorlog.simulation.host import Host
from doorlog.simulation.namer import Learned, Namer
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan
from doorlog.simulation.recorder import Recorder
from doorlog.simulation.scoring import Failure
from doorlog.simulation.stage import Stage
from doorlog.simulation.steps import Restart, Step
from doorlog.simulation.truth import Truth

if TYPE_CHECKING:
    from doorlog.events.records import Event
    from doorlog.simulation.fleet import Fleet
    from doorlog.simulation.scenarios import Scenario

_SOCKETS_BESIDE: Final = 200
_BREATH: Final = 200  # steps between two reports of progress

Announce = Callable[[Host, bool], Sequence["Event"]]
"""Says what the log is to hold when the door was opened (True), and when it was closed (False)."""
Progress = Callable[[int, int], None]
"""Told how many steps are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario.

    Attributes:
        devices: How many there were.
        attempts: How many connection attempts.
        failures: Those that got no session.
    """

    devices: int
    attempts: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be simulated.

    Attributes:
        scenario: Which.
        devices: How many, about.
        plan: How long.
        seed: The same one gives the same devices doing the same.
    """

    scenario: Scenario
    devices: int
    plan: Plan
    seed: int


def nothing(_host: Host, _is_start: bool) -> Sequence[Event]:  # noqa: FBT001 - the shape of Announce
    """Announce nothing."""
    return ()


async def play(
    order: Order,
    folder: Path,
    *,
    announce: Announce = nothing,
    progress: Progress = lambda _done, _all: None,
    namer_in: Callable[[Path], Namer] = Learned,
) -> Played:
    """Simulate, and write the log, the certificates, what was learned and the truth into a folder.

    Args:
        order: What.
        folder: Where; made if need be.
        announce: Says what the log is to hold beside what happens at the door.
        progress: Told now and then.
        namer_in: Opens who names devices, with the folder where that is kept.

    Raises:
        SettingsError: The folder holds something already, or so many sockets can not be open.
        DoorlogError: A file or an address can not be used.
    """
    fleet, steps = _prepared(order)
    _allow_sockets(2 * len(fleet.devices) + _SOCKETS_BESIDE)
    _make_folder(folder)
    namer = namer_in(folder / "log")
    recorder, pki = Recorder(namer, order.plan), Pki(folder / "pki", order.plan)
    host = Host(pki, recorder.record)
    told = 0
    with (folder / "truth.jsonl").open("wb") as file:

        def tell(truth: Truth) -> None:
            nonlocal told
            told += 1
            file.write(truth.line())

        house = _House(folder / "log" / "doorlog.jsonl", host, recorder, announce)
        stage = Stage(fleet, pki, host, recorder, namer, tell)
        try:
            await _through(steps, stage, house, progress)
        finally:
            namer.close()
    return Played(len(fleet.devices), told, tuple(stage.failures))


class _House:
    """The door and its log, opened and closed together, as a broker's are.

    Args:
        path: Of the log.
        host: The door.
        recorder: Writes to the log.
        announce: What the log says of itself.
    """

    def __init__(self, path: Path, host: Host, recorder: Recorder, announce: Announce) -> None:
        self._settings = LogSettings(
            file=FileLogSettings(path=path, rotate_bytes=0, rotate_hours=0),
            console="never",
            flood=FloodSettings(enabled=False),  # each attempt has its truth
        )
        self._host = host
        self._recorder = recorder
        self._announce = announce
        self._starts = 0

    async def open(self, chain: int) -> None:
        self._starts += 1
        service = service_part("doorlog", __version__, f"simulation-{self._starts}")
        log = open_log(self._settings, service=service, message_of=message_of, reason_of=reason_of)
        self._recorder.log = log
        try:
            door = await self._host.start(chain, generation=self._starts)
        except BaseException:
            log.close()
            raise
        # The simulation waits for each record, so it can not press the log; and one with a gap says so itself.
        log.attach(accepted=lambda: door.accepted, on_pressure=lambda _high: None, on_failure=lambda _why: None)
        self._say(is_start=True)

    async def close(self) -> None:
        await self._host.stop()
        self._say(is_start=False)
        if self._recorder.log is not None:
            await asyncio.to_thread(self._recorder.log.close)
            self._recorder.log = None

    def _say(self, *, is_start: bool) -> None:
        for event in self._announce(self._host, is_start):
            self._recorder.record(event)


async def _through(steps: Sequence[Step], stage: Stage, house: _House, progress: Progress) -> None:
    await house.open(1)
    try:
        for number, step in enumerate(steps):
            if isinstance(step, Restart):
                stage.recorder.now = step.time
                await house.close()
                stage.leave()
                stage.namer.restart()
                await house.open(step.chain)
            else:
                await stage.play(step)
            if number % _BREATH == 0:
                progress(number, len(steps))
        progress(len(steps), len(steps))
    finally:
        await house.close()
        stage.leave()


def _prepared(order: Order) -> tuple[Fleet, list[Step]]:
    random = Random(order.seed)  # noqa: S311 - nothing is secret here, and a seed is to give the same again
    fleet = make_fleet(order.scenario, order.devices, order.plan.rotation, random)
    return fleet, list(Calendar(fleet, order.plan, random).steps())


def _make_folder(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SettingsError(f"{folder}: holds something already: choose a new folder")
        for name in ("pki", "log"):
            (folder / name).mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}: choose a folder that can be written") from error


def _allow_sockets(wanted: int) -> None:
    """Both ends of every session are open in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SettingsError(
            f"{wanted} open files are needed, and {hard} allowed: take fewer devices, or raise ulimit -n"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
