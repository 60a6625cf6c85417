"""One connection to NATS: let in or not, and what the servers do with what is sent; against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import nkeys  # type: ignore[import-untyped] # it ships no types
import pytest
from nats.js.api import StreamConfig
from nats.js.errors import APIError

from doorlog.errors import SinkError
from doorlog.log.nats_connection import Connection
from doorlog.log.nats_settings import NatsSettings
from doorlog.log.nats_subject import Addressing, Message
from support.log_files import record_lines
from support.nats import Single, single
from support.pki import Pki


def messages(first: int, last: int, **facts: Any) -> list[Message]:
    addressing = Addressing("doorlog", 10)
    return [addressing.message(line) for line in record_lines(first, last, **facts)]


@asynccontextmanager
async def connected(server: Single, **options: Any) -> AsyncIterator[Connection]:
    connection = Connection(NatsSettings(**{"servers": [server.address], **options}), "doorlog edge-1")
    try:
        await connection.open()
        yield connection
    finally:
        await connection.close()


async def refusal(server: Single, **options: Any) -> str:
    """Return why a connection was not made, without what all such sentences begin with."""
    with pytest.raises(SinkError) as refused:
        async with connected(server, **options):
            pass
    return str(refused.value).removeprefix(f"NATS at {server.address}: ")


@asynccontextmanager
async def manager(server: Single) -> AsyncIterator[Any]:
    client = await nats.connect(server.address)
    yield client.jetstream()
    await client.close()


# the stream


async def test_a_stream_is_made_as_the_settings_say(tmp_path: Path) -> None:
    options = {"stream": "EDGE", "subject": "a.b", "duplicate_window": 30, "max_age": 3600}
    async with single(tmp_path) as server, connected(server, **options) as connection, manager(server) as stream:
        assert connection.is_open
        config = (await stream.stream_info("EDGE")).config
    assert (config.subjects, config.storage, config.num_replicas) == (["a.b.>"], "file", 1)
    assert (config.duplicate_window, config.max_age) == (30, 3600)


async def test_a_stream_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    async with single(tmp_path) as server, manager(server) as stream:
        await stream.add_stream(StreamConfig(name="DOORLOG", subjects=["doorlog.>"], max_msgs=7))
        async with connected(server) as connection:
            await connection.publish(messages(1, 3))
        assert (await stream.stream_info("DOORLOG")).config.max_msgs == 7


async def test_a_stream_that_another_broker_makes_at_this_moment_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with single(tmp_path) as server, manager(server) as stream:

        async def too_late(self: Any, config: StreamConfig) -> None:
            monkeypatch.undo()
            await stream.add_stream(StreamConfig(name="DOORLOG", subjects=["doorlog.>"], max_msgs=7))
            await self.add_stream(config)

        monkeypatch.setattr("nats.js.JetStreamContext.add_stream", too_late)
        async with connected(server) as connection:
            await connection.publish(messages(1, 3))


async def test_a_stream_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        assert "replicas > 1 not supported in non-clustered mode" in await refusal(server, replicas=3)


async def test_without_a_stream_nothing_is_stored(tmp_path: Path) -> None:
    async with single(tmp_path) as server, connected(server, create_stream=False) as connection:
        with pytest.raises(SinkError, match=r"no stream DOORLOG takes doorlog\.>, or it has no leader") as failed:
            await connection.publish(messages(1, 3))
    assert failed.value.lost == 3


# what is stored


async def test_what_comes_again_is_stored_once(tmp_path: Path) -> None:
    async with single(tmp_path) as server, connected(server) as connection:
        await connection.publish(messages(1, 5))
        await connection.publish(messages(3, 8))
        await connection.publish([])
        records = await server.records()
    assert [record["event"]["sequence"] for record in records] == list(range(1, 9))


async def test_a_record_that_is_too_large_holds_up_what_is_behind_it_and_nothing_before(tmp_path: Path) -> None:
    batch = [*messages(1, 3), *messages(4, 4, message="x" * 5000), *messages(5, 6)]
    async with single(tmp_path, "max_payload: 4096") as server, connected(server) as connection:
        with pytest.raises(SinkError, match=r"a record has 5\d\d\d bytes, their max_payload is 4096") as failed:
            await connection.publish(batch)
        assert len(await server.records()) == 3
    assert failed.value.lost == 3


async def test_a_full_stream_is_told(tmp_path: Path) -> None:
    async with single(tmp_path) as server, manager(server) as stream:
        full = StreamConfig(name="DOORLOG", subjects=["doorlog.>"], max_msgs=2, discard="new")  # type: ignore[arg-type] # as JSON has it
        await stream.add_stream(full)
        async with connected(server) as connection:
            with pytest.raises(SinkError, match="maximum messages exceeded") as failed:
                await connection.publish(messages(1, 5))
    assert failed.value.lost == 3


async def test_a_server_that_ends_ends_the_connection_at_once(tmp_path: Path) -> None:
    async with single(tmp_path) as server, connected(server, timeout=30) as connection:
        await connection.publish(messages(1, 1))
        server.server.process.kill()
        async with asyncio.timeout(10):
            with pytest.raises(SinkError) as failed:
                await connection.publish(messages(2, 300))
            assert failed.value.lost == 299
            await connection._ended.wait()
        assert not connection.is_open
        with pytest.raises(SinkError):
            await connection.publish(messages(2, 3))


def wait_until_stopped(pid: int) -> None:
    """Wait until SIGSTOP has arrived: a signal to another process takes its time."""
    end = time.monotonic() + 5
    while "(stopped)" not in Path(f"/proc/{pid}/status").read_text("utf-8"):
        assert time.monotonic() < end
        os.sched_yield()


async def test_a_server_that_falls_silent_is_waited_for_within_the_time_out(tmp_path: Path) -> None:
    async with single(tmp_path) as server, connected(server, timeout=0.2) as connection:
        server.server.process.send_signal(signal.SIGSTOP)
        wait_until_stopped(server.server.process.pid)
        with pytest.raises(SinkError, match=r"no answer within 0.2 s$") as failed:
            await connection.publish(messages(1, 3))
        await connection.close()
    assert failed.value.lost == 3


# who we are


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        pass
    assert "Connect call failed" in await refusal(server)


async def test_an_nkey_lets_us_in(tmp_path: Path) -> None:
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(seed).public_key.decode()
    path = tmp_path / "seed"
    path.write_bytes(bytes(seed) + b"\n")
    async with single(tmp_path, f"authorization {{ users: [{{ nkey: {public} }}] }}") as server:
        async with connected(server, nkey_file=path) as connection:
            await connection.publish(messages(1, 2))
        path.write_bytes(b"SU-hunter2")
        said = await refusal(server, nkey_file=path)
        assert said.startswith("our credentials can not be used (")
        assert "hunter2" not in said
        said = await refusal(server, credentials_file=path)
        assert "hunter2" not in said


async def test_a_permission_that_is_missing_is_told(tmp_path: Path) -> None:
    users = '[{ user: edge, password: pw, permissions { publish: ["$JS.API.>"], subscribe: ["_INBOX_DOORLOG.>"] } }]'
    (tmp_path / "pw").write_text("pw\r\n")
    login = {"user": "edge", "password_file": tmp_path / "pw", "timeout": 0.3}
    async with (
        single(tmp_path, f"authorization {{ users: {users} }}") as server,
        connected(server, **login) as connection,
    ):
        with pytest.raises(SinkError, match=r"(?i)permissions violation for publish to .*doorlog") as failed:
            await connection.publish(messages(1, 2))
    assert failed.value.lost == 2


async def test_a_certificate_lets_us_in(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    server_files, ours, foreign = pki.server(), pki.client(), pki.client_foreign()
    files = f'cert_file: "{server_files.certfile}", key_file: "{server_files.keyfile}", ca_file: "{pki.cafile}"'
    async with single(tmp_path, f"tls {{ {files}, verify: true }}") as server:
        with_ca = {"timeout": 1, "cafile": pki.cafile, "certfile": ours.certfile, "keyfile": ours.keyfile}
        async with connected(server, **with_ca) as connection:
            await connection.publish(messages(1, 2))
        assert await refusal(server, **{**with_ca, "certfile": foreign.certfile, "keyfile": foreign.keyfile})
        assert "certificate verify failed" in await refusal(server, **{**with_ca, "cafile": pki.other_cafile})


async def test_a_server_that_does_without_tls_gets_no_password(tmp_path: Path) -> None:
    """nats-py itself would send it: it encrypts only when the server, or who answers in its place, asks for it."""
    heard = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.0","auth_required":true,"max_payload":1048576}\r\n')
        with contextlib.suppress(ConnectionError):
            heard.extend(await reader.read())
        writer.close()

    (tmp_path / "pw").write_text("hunter2\n")
    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    login = {"user": "edge", "password_file": tmp_path / "pw", "cafile": Pki(tmp_path).cafile}
    connection = Connection(NatsSettings(servers=(address,), **login), "doorlog")
    async with listener:
        with pytest.raises(SinkError, match="does not ask for TLS, which is configured here: nothing was sent"):
            await connection.open()
        await connection.close()
    assert heard == b""


async def test_records_are_not_sent_without_tls_either(tmp_path: Path) -> None:
    async with single(tmp_path) as server:
        assert "does not ask for TLS" in await refusal(server, cafile=Pki(tmp_path).cafile)


async def test_a_fault_of_jetstream_that_is_not_about_the_stream_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_self: Any, _config: StreamConfig) -> None:
        raise APIError(code=500, err_code=1, description="insufficient storage resources available")

    async with single(tmp_path) as server:
        monkeypatch.setattr("nats.js.JetStreamContext.add_stream", fails)
        assert "insufficient storage" in await refusal(server)
