"""Admitted connections in a stock amqtt broker."""

from __future__ import annotations

import asyncio

import pytest
from amqtt.broker import Broker

from doorlog.embedded.adapters import AdmittedReader, AdmittedWriter
from doorlog.embedded.broker import embedded_config
from support.broker_devices import packet, text
from support.broker_memory import MemoryConnection, connected

ANYBODY = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


CONNECT = packet(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text("pump-1"))


def admitted() -> MemoryConnection:
    return connected("pump-1")


async def test_stock_broker_serves_an_admitted_connection() -> None:
    broker = Broker(embedded_config(ANYBODY))
    await broker.start()
    connection = admitted()
    serving = asyncio.ensure_future(
        broker.external_connected(AdmittedReader(connection, CONNECT), AdmittedWriter(connection), "default")
    )
    assert await connection.answer(4) == b"\x20\x02\x00\x00"
    session = broker.sessions["pump-1"][0]
    assert (session.remote_address, session.remote_port, session.ssl_object) == ("192.0.2.7", 50123, None)
    connection.reader.feed_data(packet(0x82, b"\x00\x01" + text("t") + b"\x00"))
    assert await connection.answer(5) == b"\x90\x03\x00\x01\x00"
    connection.reader.feed_data(packet(0x30, text("t") + b"21.5"))
    assert await connection.answer(9) == packet(0x30, text("t") + b"21.5")
    connection.reader.feed_eof()
    async with asyncio.timeout(5):
        await serving
    assert connection.closed.is_set()
    await broker.shutdown()


async def test_connect_is_replayed_in_any_pieces_and_the_rest_follows() -> None:
    connection = admitted()
    whole = CONNECT + b"\xc0\x00"
    connection.reader.feed_data(b"\xc0\x00")
    reader = AdmittedReader(connection, CONNECT)
    head = await reader.read(1) + await reader.read(3)
    assert head + await reader.read(len(whole) - 4) == whole
    connection.reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.read(1)


async def test_end_within_a_read_over_the_seam_keeps_what_came() -> None:
    connection = admitted()
    connection.reader.feed_data(b"\xc0")
    connection.reader.feed_eof()
    reader = AdmittedReader(connection, CONNECT)
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await reader.read(len(CONNECT) + 2)
    assert ended.value.partial == CONNECT + b"\xc0"


async def test_everything_can_be_read_at_once() -> None:
    connection = admitted()
    connection.reader.feed_data(b"\xc0\x00")
    connection.reader.feed_eof()
    assert await AdmittedReader(connection, CONNECT).read() == CONNECT + b"\xc0\x00"


async def test_writer_waits_for_the_device_and_closes() -> None:
    connection = admitted()
    writer = AdmittedWriter(connection)
    connection.reads.clear()
    writer.write(b"\xd0\x00")
    waiting = asyncio.ensure_future(writer.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.reads.set()
    await waiting
    await writer.close()
    assert connection.take() == b"\xd0\x00"
    assert connection.closed.is_set()
