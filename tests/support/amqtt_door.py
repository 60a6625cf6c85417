"""The door in front of a stock amqtt: in the test's event loop, or as amqtt's own command."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from amqtt.broker import Broker
from argon2 import PasswordHasher

from support.broker import from_source
from support.clients.base import Target
from support.clients.raw import Seen
from support.processes import Serving, serving
from support.records import Record, RecordFile, action_is, following, read_records, sequences, vouched_for

DOOR = "amqtt_doorlog.DoorPlugin"
EXTERNAL = {"default": {"type": "external"}}
FREE = "127.0.0.1:0"
PLAIN = {"plain": {"bind": FREE}}
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def write_users(path: Path, passwords: Mapping[str, str]) -> Path:
    """Write a password file that costs next to nothing to check."""
    path.write_text("".join(f"{user}:{CHEAP.hash(password)}\n" for user, password in passwords.items()))
    path.chmod(0o600)
    return path


def door_config(
    folder: Path, listeners: Mapping[str, Any], *, plugins: Mapping[str, Any], door_first: bool = True, **groups: Any
) -> dict[str, Any]:
    """Return a configuration of amqtt's.

    Args:
        folder: For the log.
        listeners: The door's.
        plugins: Those beside the door.
        door_first: Whether the door stands before or behind them.
        groups: Further groups of the door's configuration.
    """
    log = {"file": {"path": str(folder / "log" / "doorlog.jsonl")}, "console": "never"}
    door = {DOOR: {"listeners": dict(listeners), "log": log, **groups}}
    return {"listeners": EXTERNAL, "plugins": {**door, **plugins} if door_first else {**plugins, **door}}


@dataclass(slots=True)
class Behind:
    """A stock broker that runs behind the door.

    Attributes:
        log: The door's log.
        ports: Where the door listens, by listener.
    """

    log: RecordFile
    ports: Mapping[str, int]

    def target(self, listener: str = "plain") -> Target:
        """Return where a listener listens."""
        return Target("127.0.0.1", self.ports[listener])

    async def connect_of(self, client: Seen | tuple[str, int]) -> Record:
        """Wait for the one ``connect`` record of a client, known by its own address."""
        return await self.log.first(from_source(_address(client), "connect"))

    async def disconnect_of(self, client: Seen | tuple[str, int]) -> Record:
        """Wait for the ``disconnect`` record of a client."""
        return await self.log.first(from_source(_address(client), "disconnect"))

    async def refusal_of(self, client: Seen | tuple[str, int]) -> Record:
        """Wait for an ``authorize`` record of a client."""
        return await self.log.first(from_source(_address(client), "authorize"))


def _address(client: Seen | tuple[str, int]) -> tuple[str, int]:
    return client.address if isinstance(client, Seen) else client


@dataclass(slots=True)
class InProcess(Behind):
    """The same, in this event loop.

    Attributes:
        broker: amqtt's own.
    """

    broker: Broker


@asynccontextmanager
async def stock_behind_the_door(
    folder: Path, plugins: Mapping[str, Any], listeners: Mapping[str, Any] = PLAIN, **groups: Any
) -> AsyncIterator[InProcess]:
    """Run a stock broker with the door, and check afterwards that every socket has its record."""
    config = door_config(folder, listeners, plugins=plugins, **groups)
    with following(Path(config["plugins"][DOOR]["log"]["file"]["path"])) as log:
        broker = Broker(config)
        await broker.start()
        plugin: Any = broker.plugins_manager.get_plugin("DoorPlugin")
        ports = {name: listener.port for name, listener in plugin._service.door.listeners.items()}
        try:
            yield InProcess(log, ports, broker)
        finally:
            await broker.shutdown()
        await check_promises(log)


@dataclass(slots=True)
class Command(Behind):
    """The same, as amqtt's command.

    Attributes:
        server: The process.
    """

    server: Serving


@asynccontextmanager
async def amqtt_command(folder: Path, config: Mapping[str, Any], *options: str) -> AsyncIterator[Command]:
    """Run ``amqtt -c FILE`` until the test is done; it must have ended cleanly by then, or by SIGTERM."""
    path = folder / "amqtt.yaml"
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    log_path = folder / Path(config["plugins"][DOOR]["log"]["file"]["path"])
    argv: list[str | Path] = [amqtt_program(), *options, "-c", path]
    before = len(read_records(log_path)) if log_path.exists() else 0
    with following(log_path) as log:
        async with serving(argv, ready="the door is open: .*", cwd=folder, env=TESTS_ON_PATH, patience=30) as server:
            yield Command(log, dict(_ports(server.ready[0])), server)
        assert server.process.returncode == 0
        assert not [line for line in server.lines if re.search(r":: (ERROR|WARNING|CRITICAL)|Traceback|never ", line)]
        await check_promises(log, before)


def amqtt_program() -> Path:
    """Return amqtt's own command."""
    return Path(sys.executable).with_name("amqtt")


TESTS_ON_PATH = {"PYTHONPATH": str(Path(__file__).parents[1])}
"""So that the command finds the plugins of ``support``."""


def _ports(line: str) -> list[tuple[str, int]]:
    return [(name, int(port)) for name, port in re.findall(r"([\w-]+) at [^ ,]*:(\d+)", line)]


async def check_promises(log: RecordFile, after: int = 0) -> None:
    """The log was stopped behind so many records: each socket has one record, each session its end, no number a gap."""
    stopped = await log.first(action_is("audit_stopped"), after=after)
    await log.first(action_is("audit_checkpoint"), after=log.records.index(stopped))
    records = vouched_for(log.records[after:])
    connects = [record for record in records if record["event"]["action"] == "connect"]
    audit = stopped["doorlog"]["audit"]
    assert len(connects) == audit["accepted"] == audit["connects"]
    admitted = {r["doorlog"]["connection_id"] for r in connects if r["event"]["code"] == "admitted"}
    ended = [r["doorlog"]["connection_id"] for r in records if r["event"]["action"] == "disconnect"]
    assert sorted(admitted) == sorted(ended)
    assert sequences(records) == list(range(after + 1, after + len(records) + 1))
    assert records[-1] is stopped
