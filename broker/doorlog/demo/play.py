"""The play: the fleet comes in, the certificate is rotated, the fleet comes again; and what the log holds of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from doorlog.demo.broker import LOG, Broker
from doorlog.demo.cast import CAST, CERTIFIED, Visitor, Way
from doorlog.demo.knock import Knocker
from doorlog.errors import SettingsError
from doorlog.passwords import hash_password
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_ROUNDS: Final = 3
"""How often each device comes before the rotation: one that was seen once is hardly known."""
_AT_ONCE: Final = 3
"""Devices that come at the same moment: checking a password is work."""

Tell = Callable[[str], None]
"""Told what is going on."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as the one who made it knows of it.

    Attributes:
        visitor: Who it was.
        port: That it came from.
        code: What was to come of it.
    """

    visitor: Visitor
    port: int
    code: str


@dataclass(frozen=True, slots=True)
class Played:
    """What was done.

    Attributes:
        folder: Where all of it is.
        before: The attempts before the rotation.
        rotated: When the new certificate was about to be served, UTC.
        after: The attempts from then on.
        recorded: Each attempt with its record in the log; None for one that has none.
    """

    folder: Path
    before: tuple[Attempt, ...]
    rotated: datetime
    after: tuple[Attempt, ...]
    recorded: tuple[tuple[Attempt, dict[str, Any] | None], ...]

    @property
    def log(self) -> Path:
        """The folder of the log."""
        return self.folder / LOG

    @property
    def recorded_after(self) -> tuple[tuple[Attempt, dict[str, Any] | None], ...]:
        """The attempts from the rotation on, with their records."""
        return self.recorded[len(self.before) :]


async def play(folder: Path, tell: Tell = lambda _: None) -> Played:
    """Play it.

    Args:
        folder: An empty folder, for certificates, configuration and log.
        tell: Told what is going on.

    Raises:
        DoorlogError: The folder or an address can not be used, or the broker does not start.
    """
    tell("making certificates and users")
    pki, password = _prepared(folder)
    broker = Broker(folder)
    try:
        await broker.start(1)
        before = await _before(Knocker(pki, password, broker.ports, chain=1), tell)
        await broker.stop()
        tell("the broker's certificate is rotated")
        rotated = datetime.now(UTC)
        await broker.start(2)
        after = await _after(Knocker(pki, password, broker.ports, chain=2), tell)
    finally:
        await broker.stop()
    return Played(folder, before, rotated, after, tuple(_recorded(folder / LOG, (*before, *after))))


def _recorded(log: Path, attempts: Iterable[Attempt]) -> Iterator[tuple[Attempt, dict[str, Any] | None]]:
    """Find the record of each attempt by its address and port."""
    records = {}
    with (log / "doorlog.jsonl").open("rb") as file:
        for record in map(json.loads, file):
            if record["event"]["action"] == "connect":
                records[record["source"]["ip"], record["source"]["port"]] = record
    for attempt in attempts:
        yield attempt, records.get((attempt.visitor.address, attempt.port))


def _prepared(folder: Path) -> tuple[Pki, str]:
    password = secrets.token_urlsafe(12)
    try:
        (folder / "pki").mkdir(mode=0o700)
        pki = Pki(folder / "pki", Plan())
        (folder / "users.txt").write_text(_users(password), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}: name a folder that can be written with --folder") from error
    return pki, password


def _users(password: str) -> str:
    """Return a password file in which all have the same one, hashed once: a demo is not to take long."""
    hashed = hash_password(password)
    names = (who.name for who in CAST if who.knows_us and not {who.way, who.before} & CERTIFIED)
    return "".join(f"{name}:{hashed}\n" for name in names)


async def _before(knocker: Knocker, tell: Tell) -> tuple[Attempt, ...]:
    fleet = [(visitor, visitor.before) for visitor in CAST if visitor.before is not None]
    tell(f"{len(fleet)} devices come in")
    few = asyncio.Semaphore(_AT_ONCE)

    async def come(who: Visitor, way: Way) -> Attempt:
        async with few:
            return Attempt(who, await knocker.knock(who, way), "admitted")

    rounds = [await asyncio.gather(*(come(who, way) for who, way in fleet)) for _ in range(_ROUNDS)]
    return tuple(attempt for one in rounds for attempt in one)


async def _after(knocker: Knocker, tell: Tell) -> tuple[Attempt, ...]:
    tell("the devices come again, and some strangers")
    async with asyncio.TaskGroup() as group:
        # It takes as long as the broker has patience: nobody waits for it.
        slow = [group.create_task(_attempt(knocker, who)) for who in CAST if who.way == "half_hello"]
        first = [await _attempt(knocker, who) for who in CAST if who.way != "half_hello"]
    return (*first, *(task.result() for task in slow))


async def _attempt(knocker: Knocker, who: Visitor) -> Attempt:
    return Attempt(who, await knocker.knock(who, who.way), who.code)
