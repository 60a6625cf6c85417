"""A session without amqtt's state machine, and how it is built, filled and handed on."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from amqtt.session import OutgoingApplicationMessage
from transitions import MachineError

from doorlog.door.connect_packet import Will
from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.session import BrokerSession, WaitingMessages, session_of
from support.broker_memory import connected


def message(payload: bytes, topic: str = "t") -> OutgoingApplicationMessage:
    return OutgoingApplicationMessage(None, topic, 1, payload, retain=False)


def payloads(session: BrokerSession) -> list[bytes]:
    return [bytes(waiting.data) for waiting in iter(session.dequeue, None)]


def test_states_are_those_of_amqtts_machine() -> None:
    session = BrokerSession()
    assert session.transitions.state == "new"
    assert session.transitions.is_new()
    assert session.transitions.connect()
    assert session.transitions.is_connected()
    with pytest.raises(MachineError, match="connected"):
        session.transitions.connect()
    assert session.last_connect_time
    assert session.transitions.disconnect()
    assert session.transitions.disconnect()
    assert session.transitions.is_disconnected()
    assert session.last_disconnect_time
    session.transitions.connect()
    assert session.last_disconnect_time is None
    assert "state=connected" in repr(session)


def test_session_can_be_pickled_without_its_connection() -> None:
    session = BrokerSession()
    session.client_id = "pump-1"
    session.transitions.connect()
    session.successor = BrokerSession()
    session.enqueue(message(b"1"), BrokerLimits())
    copy = pickle.loads(pickle.dumps(session))
    assert copy == session
    assert copy.transitions.is_connected()
    assert copy.successor is None
    assert copy.retained_messages.empty()


def test_oldest_message_goes_when_too_many_wait() -> None:
    session = BrokerSession()
    limits = BrokerLimits(max_queued_messages=2)
    assert [session.enqueue(message(payload), limits) for payload in (b"1", b"2", b"3")] == [0, 0, 1]
    assert payloads(session) == [b"2", b"3"]
    assert session.dropped == 1
    assert session.queued_bytes == 0


def test_oldest_messages_go_when_they_are_too_large_together() -> None:
    session = BrokerSession()
    limits = BrokerLimits(max_queued_bytes=10)
    assert [session.enqueue(message(payload), limits) for payload in (b"1", b"2", b"123456789")] == [0, 0, 2]
    assert session.enqueue(message(b"1234567890"), limits) == 1
    assert session.queued_bytes == 10
    assert payloads(session) == [b"123456789"]
    assert session.dropped == 3


async def test_plugins_may_put_messages_into_the_queue_themselves() -> None:
    session = BrokerSession()
    await session.retained_messages.put(message(b"restored"))
    session.enqueue(message(b"1"), BrokerLimits())
    assert session.retained_messages.qsize() == 2
    assert payloads(session) == [b"restored", b"1"]
    assert session.queued_bytes == 0


async def test_queue_never_waits() -> None:
    queue = WaitingMessages()
    with pytest.raises(asyncio.QueueEmpty):
        await queue.get()
    queue.put_nowait(message(b"1"))
    assert (await queue.get()).data == b"1"


def test_inherited_state_is_moved_not_shared() -> None:
    old, new = BrokerSession(), BrokerSession()
    old.username, new.username = "old", "new"
    old.subscriptions["t"] = 1
    old.inflight_out[7] = message(b"under way")
    old.enqueue(message(b"waiting"), BrokerLimits())
    new.inherit(old)
    assert (new.subscriptions, list(new.inflight_out), payloads(new)) == ({"t": 1}, [7], [b"waiting"])
    assert (old.subscriptions, list(old.inflight_out), payloads(old)) == ({}, [], [])
    assert old.successor is new
    assert new.username == "new"


def test_cleared_session_holds_nothing() -> None:
    session = BrokerSession()
    session.subscriptions["t"] = 1
    session.inflight_out[7] = message(b"under way")
    session.enqueue(message(b"waiting"), BrokerLimits())
    session.clear()
    assert (session.subscriptions, list(session.inflight_out), payloads(session)) == ({}, [], [])
    assert session.queued_bytes == 0


async def test_session_of_a_connection_is_what_auth_plugins_expect() -> None:
    will = Will("wills", b"gone", 2, retain=True)
    session = session_of(connected(user="alice", password=b"secret", clean=False, will=will))
    assert (session.client_id, session.username, session.password) == ("pump-1", "alice", "secret")
    assert (session.clean_session, session.keep_alive, session.is_anonymous) == (False, 60, False)
    assert (session.remote_address, session.remote_port, session.ssl_object) == ("192.0.2.7", 50123, None)
    assert (session.will_flag, session.will_topic, session.will_message) == (True, "wills", b"gone")
    assert (session.will_qos, session.will_retain) == (2, True)


async def test_what_a_client_did_not_send_is_none() -> None:
    session = session_of(connected())
    assert (session.username, session.password, session.will_flag, session.will_topic) == (None, None, False, None)


async def test_password_that_is_no_text_is_no_other_password() -> None:
    passwords = [session_of(connected(password=password)).password for password in (b"\xff", "\ufffd".encode(), b"?")]
    assert len(set(passwords)) == 3
    assert all(password is not None and password.encode() for password in passwords)


async def test_client_without_an_id_gets_one_of_its_own() -> None:
    first, second = session_of(connected("")), session_of(connected(""))
    assert first.client_id
    assert first.client_id != second.client_id
