"""Records in a real cluster of three NATS servers, with the shipped configuration: nodes die, nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Condition
from threading import Event as Signal

import pytest

from doorlog.errors import SinkError
from doorlog.log.backoff import Backoff
from doorlog.log.cursor import cursor_path
from doorlog.log.faults import Faults
from doorlog.log.file_courier import FileCourier
from doorlog.log.nats_sink import NatsSink
from doorlog.log.sink import SinkStatus
from support.log_files import WrittenLog
from support.nats import Cluster, once_and_in_order, single
from support.pki import Pki
from support.processes import serving

SOON = Backoff(first=0.1, longest=0.5)
PATIENCE = 25.0


class Watched:
    """A sink that tells when it has taken something."""

    def __init__(self, sink: NatsSink) -> None:
        self.name = sink.name
        self._sink = sink
        self._taken = 0
        self._changed = Condition()

    def write(self, lines: Sequence[bytes]) -> None:
        left = 0
        try:
            self._sink.write(lines)
        except SinkError as error:
            left = error.lost if error.lost is not None else len(lines)
            raise
        finally:
            with self._changed:
                self._taken += len(lines) - left
                self._changed.notify_all()

    def close(self) -> None:
        self._sink.close()

    async def has_taken(self, count: int) -> None:
        """Wait until it has taken so many lines."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self._taken >= count, PATIENCE)

        assert await asyncio.to_thread(wait), f"{self._taken} of {count} lines were taken"


class Edge:
    """A broker as far as this goes: a log, and a courier that brings it to the cluster."""

    def __init__(self, folder: Path, sink: NatsSink, run: str, said: list[str]) -> None:
        folder.mkdir()
        self.run = run
        self.log = WrittenLog(folder)
        self.sink = Watched(sink)
        self.courier = FileCourier(
            self.sink, self.log.live, cursor_path(self.log.live, "central"), Faults(said.append), backoff=SOON
        )

    def write(self, count: int) -> None:
        for _ in range(count // 100):
            lines = self.log.append(100, run=self.run, instance=self.run, device="pump.17", message="x" * 1000)
            self.courier.write(lines)

    async def is_through(self) -> None:
        """Wait until the stream has all."""
        while self.courier.status().waiting:
            await self.sink.has_taken(self.courier.status().sent + 1)


async def leader_of(cluster: Cluster) -> int:
    info = await cluster.stream_info()
    assert info.config.num_replicas == 3
    assert info.cluster is not None
    return int(str(info.cluster.leader).removeprefix("nats-"))


async def test_nodes_die_under_load_and_each_record_is_in_the_stream_once_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    cluster = Cluster(tmp_path, Pki(tmp_path / "pki"))
    await cluster.start()
    said: list[str] = []
    edges = [Edge(tmp_path / run, cluster.sink(run, timeout=1.5), run, said) for run in ("edge-1", "edge-2")]
    try:
        for edge in edges:
            edge.write(6000)
        await asyncio.gather(*(edge.sink.has_taken(600) for edge in edges))
        leader = await leader_of(cluster)
        await cluster.kill(leader)  # with some batches in flight
        for edge in edges:
            edge.write(500)
            edge.log.rotate()
            edge.write(500)
        await asyncio.gather(*(edge.is_through() for edge in edges))
        await cluster.start(leader)

        await cluster.kill()  # nobody is there: the file is the buffer
        for edge in edges:
            edge.write(500)
            edge.log.rotate()
            edge.log.compress()
            edge.write(500)
            assert edge.courier.status().waiting == 1000
        await cluster.start()
        await asyncio.gather(*(edge.is_through() for edge in edges))
        records = await cluster.records()
    finally:
        for edge in edges:
            await asyncio.to_thread(edge.courier.close)
        await cluster.kill()

    once_and_in_order(records)
    assert len(records) == 2 * 8000
    for edge in edges:
        status = edge.courier.status()
        assert status == SinkStatus("nats DOORLOG", sent=8000, retried=status.retried)
        assert status.retried > 1
    assert len(said) == 4  # for each broker, that it began and that it ended; not one for each try
    assert "secret" not in "".join(said)


async def test_a_broker_that_is_taken_over_can_neither_read_nor_delete_records(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    cluster = Cluster(tmp_path, Pki(tmp_path / "pki"))
    await cluster.start(1)
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def say(error: Exception) -> None:
        refused.put_nowait(str(error))

    try:
        async with cluster.client("doorlog", numbers=(1,), error_cb=say) as client:
            for subject in ("doorlog.>", "_INBOX.>", ">"):
                await client.subscribe(subject)
                assert f'permissions violation for subscription to "{subject.lower()}"' in (await refused.get()).lower()
            for api in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.MSG.GET", "CONSUMER.CREATE"):
                await client.publish(f"$JS.API.{api}.DOORLOG", reply="_INBOX_DOORLOG.x")
                assert f'permissions violation for publish to "$js.api.{api.lower()}' in (await refused.get()).lower()
    finally:
        await cluster.kill(1)


PROGRAM = """
import sys
from pathlib import Path
from doorlog.log.cursor import cursor_path
from doorlog.log.faults import Faults
from doorlog.log.file_courier import FileCourier
from doorlog.log.nats_sink import NatsSink
from doorlog.log.sink import SinkContext

class Telling(NatsSink):
    def write(self, lines):
        super().write(lines)
        print("taken", flush=True)

log = Path("doorlog.jsonl")
sink = Telling(NatsSink.Settings(servers=[sys.argv[1]]), SinkContext("central", "doorlog", "edge-1", "1.0"))
FileCourier(sink, log, cursor_path(log, "central"), Faults())._thread.join()
"""


async def test_a_broker_that_is_killed_brings_nothing_twice_and_leaves_nothing_out(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    async with single(tmp_path) as server:
        log.append(5000, message="x" * 1000)
        for _ in range(2):  # the second one has a batch in flight that the first has sent as well
            argv = [sys.executable, "-c", PROGRAM, server.address]
            async with serving(argv, ready="^taken$", cwd=tmp_path) as broker:
                broker.process.kill()
                await broker.process.wait()
        sink = Watched(server.sink())
        courier = FileCourier(sink, log.live, cursor_path(log.live, "central"), Faults())
        courier.write(log.append(1000))
        while courier.status().waiting:
            await sink.has_taken(courier.status().sent + 1)
        await asyncio.to_thread(courier.close)
        records = await server.records()

    once_and_in_order(records)
    assert len(records) == 6000


async def test_wrong_credentials_are_one_clear_fault_and_right_ones_need_no_restart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    login = "authorization { user: edge, password: right-secret }"
    password = tmp_path / "password"
    password.write_text("wrong-secret\n")
    log, said, refused = WrittenLog(tmp_path), list[str](), Signal()

    def say(sentence: str) -> None:
        said.append(sentence)
        refused.set()

    async with single(tmp_path, login) as server:
        sink = Watched(server.sink(user="edge", password_file=password))
        courier = FileCourier(sink, log.live, cursor_path(log.live, "central"), Faults(say), backoff=SOON)
        courier.write(log.append(10))
        assert await asyncio.to_thread(refused.wait, PATIENCE)
        password.write_text("right-secret\n")
        await sink.has_taken(10)
        await asyncio.to_thread(courier.close)
        records = await server.records(user="edge", password="right-secret")

    assert len(records) == 10
    reason = f"NATS at {server.address}: our credentials are refused (Authorization Violation)"
    assert said == [
        f"nats DOORLOG: {reason} (said once; further faults here are only counted)",
        "nats DOORLOG: works again",
    ]
    assert "secret" not in "".join([*said, *capfd.readouterr()])
