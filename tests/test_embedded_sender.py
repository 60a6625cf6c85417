"""What goes to one client, also when it does not read, or does not answer."""

from __future__ import annotations

import asyncio

import pytest

from doorlog.embedded.broker import DoorlogBroker, embedded_config
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.packets import encode_connack, encode_publish
from doorlog.embedded.sender import Sender
from doorlog.embedded.session import BrokerSession
from support.broker_memory import MemoryConnection, connected

LIMITS = BrokerLimits(max_inflight=2, max_queued_messages=3, max_unread_bytes=100)
LARGE = bytes(70_000)  # more than is written without asking whether the client reads


class Line:
    """A sender and both of its ends."""

    def __init__(self, session: BrokerSession | None = None) -> None:
        broker = DoorlogBroker(embedded_config({}), limits=LIMITS)
        self.retained = broker.retained
        self.session = session or BrokerSession()
        self.connection: MemoryConnection = connected()
        self.overloaded = False
        self.sender = Sender(
            self.connection,
            self.session,
            limits=LIMITS,
            hooks=broker.hooks,
            retained=broker.retained,
            on_overload=self._overload,
        )

    def _overload(self) -> None:
        self.overloaded = True

    async def congest(self) -> None:
        """Let the client stop reading, with its transport's buffer full."""
        self.connection.reads.clear()
        self.sender.deliver("t", LARGE, 0)
        await asyncio.sleep(0)
        self.connection.take()

    async def read_on(self) -> bytes:
        """Let the client read again; what it gets."""
        self.connection.reads.set()
        for _ in range(5):
            await asyncio.sleep(0)
        return self.connection.take()


def publish(payload: bytes, qos: int, packet_id: int = 0, *, retain: bool = False, dup: bool = False) -> bytes:
    return encode_publish("t", payload, qos, packet_id, retain=retain, dup=dup)


async def test_no_more_than_the_window_is_sent_ahead_of_acknowledgements() -> None:
    line = Line()
    for payload in (b"1", b"2", b"3"):
        line.sender.deliver("t", payload, 1)
    line.sender.deliver("t", b"4", 0)
    assert line.connection.take() == publish(b"1", 1, 1) + publish(b"2", 1, 2)
    line.sender.acknowledged(1, 1)
    assert line.connection.take() == publish(b"3", 1, 3)
    line.sender.acknowledged(2, 1)
    assert line.connection.take() == publish(b"4", 0)


async def test_acknowledgement_must_fit_its_message() -> None:
    line = Line()
    line.sender.deliver("t", b"1", 1)
    line.sender.deliver("t", b"2", 2)
    for packet_id, qos in ((1, 2), (2, 1), (3, 1)):
        line.sender.acknowledged(packet_id, qos)
    assert list(line.session.inflight_out) == [1, 2]


async def test_client_that_does_not_read_gets_the_newest_when_it_reads_again() -> None:
    line = Line()
    await line.congest()
    for payload in (b"1", b"2", b"3", b"4"):
        line.sender.deliver("t", payload, 0)
    assert line.connection.take() == b""
    assert await line.read_on() == publish(b"2", 0) + publish(b"3", 0) + publish(b"4", 0)
    assert line.session.dropped == 1
    assert not line.overloaded


async def test_client_that_takes_no_answers_is_reported() -> None:
    line = Line()
    await line.congest()
    line.sender.send(bytes(100), pytest.fail)
    assert not line.overloaded
    line.sender.send(bytes(1), pytest.fail)
    assert line.overloaded


async def test_nothing_is_sent_to_a_connection_that_is_lost() -> None:
    line = Line()
    await line.congest()
    line.connection.lost = True
    line.sender.deliver("t", b"1", 1)
    assert await line.read_on() == b""
    assert line.session.retained_messages.qsize() == 1


async def test_stopped_sender_sends_nothing() -> None:
    line = Line()
    await line.congest()
    line.sender.stop()
    line.sender.deliver("t", b"1", 1)
    line.sender.send(b"\xd0\x00", pytest.fail)
    line.sender.pump()
    assert await line.read_on() == b""
    assert line.session.retained_messages.empty()


async def test_resumed_session_gets_what_it_has_not_acknowledged_then_what_waits() -> None:
    first = Line()
    for payload, qos in ((b"1", 1), (b"2", 2), (b"3", 1)):
        first.sender.deliver("t", payload, qos)
    second = Line(first.session)
    second.sender.start(session_present=True)
    expected = encode_connack(session_present=True) + publish(b"1", 1, 1, dup=True) + publish(b"2", 2, 2, dup=True)
    assert second.connection.take() == expected
    second.sender.acknowledged(1, 1)
    assert second.connection.take() == publish(b"3", 1, 3)


async def test_stored_message_is_released_not_sent_again() -> None:
    first = Line()
    first.sender.deliver("t", b"1", 2)
    first.connection.take()
    first.sender.received(1)
    assert first.connection.take() == b"\x62\x02\x00\x01"
    second = Line(first.session)
    second.sender.start(session_present=True)
    assert second.connection.take() == encode_connack(session_present=True) + b"\x62\x02\x00\x01"
    second.sender.acknowledged(1, 2)
    assert not first.session.inflight_out


async def test_message_that_nobody_remembers_is_released_too() -> None:
    line = Line()
    line.sender.deliver("t", b"1", 1)
    line.connection.take()
    for packet_id in (1, 9):
        line.sender.received(packet_id)
        assert line.connection.take() == b"\x62\x02\x00" + bytes((packet_id,))
    line.sender.acknowledged(1, 1)
    assert not line.session.inflight_out


async def test_retained_messages_are_sent_as_fast_as_they_are_taken() -> None:
    line = Line()
    topics = [f"t/{number}" for number in range(10)]
    for topic in topics:
        line.retained.put(topic, b"1", 2)
    line.retained.put("no qos", b"1", None)
    line.sender.owe([*topics, "no qos", "cleared meanwhile"], 1)
    got = []
    while sent := line.connection.take():
        got.append(sent)
        for packet_id in tuple(line.session.inflight_out):
            line.sender.acknowledged(packet_id, 1)
    assert b"".join(got).count(b"t/") == 10
    assert all(sent[0] == 0x33 for sent in got)
    assert b"no qos" in got[-1]
    assert line.session.dropped == 0


async def test_retained_message_of_qos_0_needs_no_acknowledgement() -> None:
    line = Line()
    line.retained.put("t", b"1", 0)
    line.sender.owe(["t"], 2)
    assert line.connection.take() == publish(b"1", 0, retain=True)
    assert not line.session.inflight_out
