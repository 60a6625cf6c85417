"""A door on real sockets in front of an authority that misbehaves, and devices that leave at every moment."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.door import report
from doorlog.door.authority import Judgement
from doorlog.door.connection import DoorConnection
from doorlog.door.protocol import DoorProtocol
from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.events.records import Event
from support.clients.raw import ask, open_wire, send_then, silent
from support.doors import CONNACK, FREE, OpenDoor, Scripted, open_door, until

EVENT_LOOPS = ("asyncio", "uvloop")
CONNECT = mqtt.connect("pump-17", keep_alive=0)
PUBLISH = mqtt.publish("pumps/17/flow", b"1.25", qos=1)
SERVER_UNAVAILABLE = b"\x20\x02\x00\x03"


# one record for each socket, whatever the authority does


async def raises(connection: DoorConnection) -> Any:
    raise KeyError("backend")


async def answers_nothing(connection: DoorConnection) -> Any:
    return None


async def awaits_the_cancelled(connection: DoorConnection) -> Any:
    """Its connection pool was closed by somebody else."""
    gone: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    gone.cancel()
    return await gone


@pytest.mark.parametrize("judge", [raises, answers_nothing, awaits_the_cancelled])
async def test_an_authority_that_fails_refuses_the_device(judge: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with open_door(Scripted(judge)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4)
        event = await opened.connect()
        assert event.event.code == Code.AUTH_BACKEND_ERROR
        assert event.source.port == seen.address[1]
        assert seen.received == SERVER_UNAVAILABLE
        assert seen.ended == "eof"


async def refuses_with_nonsense(connection: DoorConnection) -> Any:
    return Judgement(Code.BAD_PASSWORD, method=object(), reason=b"\xff")  # type: ignore[arg-type] # that is the fault


async def test_a_verdict_that_can_not_be_recorded_whole_is_recorded_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_door(Scripted(refuses_with_nonsense)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4)
        event = await opened.connect()
        assert event.event.code == Code.BAD_PASSWORD
        assert event.source.port == seen.address[1]
        assert event.doorlog.listener == "plain"
        assert seen.received == b"\x20\x02\x00\x04"
    assert "could not be recorded whole" in caplog.text


async def test_an_authority_that_fails_to_serve_ends_the_session(caplog: pytest.LogCaptureFixture) -> None:
    async with open_door(Scripted(serve=raises)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4, leave="silence")
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED_BY_BROKER
        assert seen.ended == "eof"
    assert "failed to serve" in caplog.text


async def test_an_authority_that_returns_ends_the_session() -> None:
    async def leaves(connection: DoorConnection) -> None:
        connection.write(CONNACK)

    async with open_door(Scripted(serve=leaves)) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4, leave="silence")
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED_BY_BROKER
        assert seen.received == CONNACK


# the device leaves while it is judged


async def test_a_device_that_said_all_it_wanted_is_served_and_answered() -> None:
    """Some sensors send CONNECT, PUBLISH and FIN in one go, and read the answers later or never."""
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT + PUBLISH)
        wire.fin()
        await authority.judging.wait()
        authority.verdict.set()
        await wire.drain()
        assert bytes(wire.received) == CONNACK
        assert wire.ended == "eof"
        assert (await opened.connect()).event.code == Code.ADMITTED
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED
        assert authority.read == PUBLISH


async def test_a_device_that_says_goodbye_at_once_left_in_order() -> None:
    async with open_door() as opened:
        await send_then(opened.target(), CONNECT + PUBLISH + mqtt.DISCONNECT, "fin")
        assert (await opened.disconnect()).event.code == DisconnectCause.NORMAL
        assert opened.authority.read == PUBLISH + mqtt.DISCONNECT


async def test_a_device_that_is_refused_after_its_fin_reads_why() -> None:
    async def refuses(connection: DoorConnection) -> Judgement:
        return Judgement(Code.BAD_PASSWORD)

    authority = Scripted(refuses)
    authority.verdict.clear()
    async with open_door(authority, linger_timeout=30) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        wire.fin()
        await authority.judging.wait()
        authority.verdict.set()
        await wire.drain()
        assert bytes(wire.received) == b"\x20\x02\x00\x04"
        assert (await opened.connect()).event.code == Code.BAD_PASSWORD
    # open_door waits 10 s: it did not linger for a device that has nothing more to say


def protocol_of(opened: OpenDoor, listener: str = "plain") -> DoorProtocol:
    (protocol,) = opened.door.listeners[listener]._protocols
    return protocol


async def reset_while_judging(opened: OpenDoor) -> None:
    async with open_wire(opened.target()) as wire:
        await wire.send(CONNECT + PUBLISH)
        await opened.authority.judging.wait()
        protocol = protocol_of(opened)
        wire.rst()
        await until(lambda: protocol._is_lost)


async def test_a_device_that_resets_while_it_is_judged_is_recorded_and_over() -> None:
    async def serves(connection: DoorConnection) -> None:
        await connection.wait_closed()

    authority = Scripted(serve=serves)
    authority.verdict.clear()
    async with open_door(authority) as opened:
        await reset_while_judging(opened)
        authority.verdict.set()
        assert (await opened.connect()).event.code == Code.ADMITTED
        assert (await opened.disconnect()).event.code == DisconnectCause.RESET


async def test_what_a_device_sent_before_its_reset_is_served() -> None:
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority) as opened:
        await reset_while_judging(opened)
        authority.verdict.set()
        await opened.disconnect()
        assert authority.read == PUBLISH


async def test_a_refused_device_that_resets_while_it_is_judged_gets_its_record() -> None:
    authority = Scripted(raises)
    authority.verdict.clear()
    async with open_door(authority) as opened:
        await reset_while_judging(opened)
        assert not opened.events
        authority.verdict.set()
        assert (await opened.connect()).event.code == Code.AUTH_BACKEND_ERROR


# what comes while it is judged


async def test_a_flood_behind_connect_is_held_back_and_nothing_of_it_is_lost() -> None:
    authority = Scripted()
    authority.verdict.clear()
    flood = b"".join(mqtt.publish(f"pumps/{n}", bytes(1000), qos=1, packet_id=1 + n) for n in range(8000))
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        sending = asyncio.ensure_future(wire.send(flood))
        await authority.judging.wait()
        protocol = protocol_of(opened)
        transport = protocol._transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        assert len(protocol._attempt.early) < 65_536 + 2 * 262_144  # the bound, and what one or two reads bring
        assert not sending.done()

        authority.verdict.set()
        await sending
        wire.fin()
        ended = await opened.disconnect()
        assert authority.read == flood
        assert ended.source.bytes == len(CONNECT + flood)


async def test_bytes_are_counted_from_the_first_to_the_last() -> None:
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await authority.judging.wait()
        await wire.send(PUBLISH)
        protocol = protocol_of(opened)
        await until(lambda: bool(protocol._attempt.early))
        authority.verdict.set()
        while len(wire.received) < 4:
            await wire.receive()
        await wire.send(PUBLISH)
        wire.fin()
        ended = await opened.disconnect()
        assert ended.source.bytes == len(CONNECT + PUBLISH + PUBLISH)
        assert ended.destination.bytes == 4


# stopping


async def test_stopping_while_a_device_is_judged() -> None:
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority, linger_timeout=0.1) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await authority.judging.wait()
        await opened.door.shut_down()
        event = await opened.connect()
        assert event.event.code == Code.SERVER_SHUTDOWN
        assert event.mqtt is not None
        assert event.mqtt.connack is not None
        assert event.mqtt.connack.code == 3
        assert opened.count(Action.CONNECT) == 1
        assert authority.served == 0
        await wire.drain()
        assert bytes(wire.received) == SERVER_UNAVAILABLE, "it may come back later"


async def test_stopping_before_the_authority_was_even_asked() -> None:
    """The task that asks it is cancelled before its first step."""
    async with open_door() as opened, open_wire(opened.target()) as wire:
        await wire.send(b"\x10")
        await until(lambda: bool(opened.door.listeners["plain"]._protocols))
        protocol = protocol_of(opened)
        await until(lambda: protocol._attempt.bytes_received == 1)
        protocol.data_received(CONNECT[1:])
        protocol.shut_down()
        wire.fin()
        assert (await opened.connect()).event.code == Code.SERVER_SHUTDOWN
        assert not opened.authority.judging.is_set()


async def test_an_authority_that_answers_after_the_stop_admits_nobody() -> None:
    async def swallows(connection: DoorConnection) -> Judgement:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return Judgement(Code.ADMITTED)

    authority = Scripted(swallows)
    async with open_door(authority, linger_timeout=0.1) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await authority.judging.wait()
        await opened.door.shut_down()
        assert (await opened.connect()).event.code == Code.SERVER_SHUTDOWN
    assert authority.served == 0


async def test_an_authority_that_never_lets_go_does_not_hold_up_the_stop() -> None:
    let_go = asyncio.Event()

    async def hangs(connection: DoorConnection) -> Judgement:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return Judgement(Code.ADMITTED)

    authority = Scripted(hangs)
    async with open_door(authority, linger_timeout=0.1) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await authority.judging.wait()
        async with asyncio.timeout(5):
            await opened.door.shut_down()
        assert (await opened.connect()).event.code == Code.SERVER_SHUTDOWN
        let_go.set()
    assert authority.served == 0


async def test_a_broker_that_never_returns_is_cut_off_in_the_end() -> None:
    async def hangs(connection: DoorConnection) -> None:
        connection.write(CONNACK)
        await asyncio.get_running_loop().create_future()

    async with open_door(Scripted(serve=hangs)) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await wire.receive()
        stopping = asyncio.ensure_future(opened.door.shut_down())
        wire.rst()
        (protocol,) = opened.door.listeners["plain"]._protocols
        await until(lambda: protocol._is_lost)
        assert not stopping.done()
        opened.door.abort()
        async with asyncio.timeout(5):
            await stopping
        assert (await opened.disconnect()).event.code == DisconnectCause.RESET


async def test_stopping_waits_for_a_session_that_is_being_closed() -> None:
    """Its last bytes are still on their way when the authority is done: the door is not empty before."""

    async def says_much(connection: DoorConnection) -> None:
        connection.write(CONNACK + mqtt.publish("pumps", bytes(8_000_000)))

    async with open_door(Scripted(serve=says_much)) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await opened.disconnect()
        stopping = asyncio.ensure_future(opened.door.shut_down())
        await asyncio.sleep(0)
        assert not stopping.done()
        received = 0
        while data := await wire.receive():
            received += len(data)
        assert received == 4 + len(mqtt.publish("pumps", bytes(8_000_000)))
        await stopping


# devices that do not read, or not leave


async def test_a_refused_device_that_never_leaves_is_cut_off() -> None:
    async with open_door(Scripted(raises), linger_timeout=0.1) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT + bytes(10))
        await opened.connect()
        while len(wire.received) < 4:
            await wire.receive()
        await until(lambda: not opened.door.listeners["plain"]._protocols)


async def test_an_admitted_device_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.door.connection._CLOSE_TIMEOUT", 0.1)

    async def says_much(connection: DoorConnection) -> None:
        for _ in range(100):
            connection.write(bytes(1_000_000))

    async with open_door(Scripted(serve=says_much)) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED_BY_BROKER
        await until(lambda: not opened.door.listeners["plain"]._protocols)


async def test_the_deadline_is_for_the_whole_attempt() -> None:
    """One byte after the other does not extend it."""
    async with open_door(attempt_timeout=0.2) as opened, open_wire(opened.target()) as wire:
        started = asyncio.get_running_loop().time()
        await wire.send(b"\x10\xff\xff\x03\x00\x04MQTT\x04\x02\x00\x00\xfd\xe8")
        protocol = None
        sent = 0
        while not opened.events:
            await wire.send(b"p")
            sent += 1
            protocol = protocol or protocol_of(opened)
            await until(lambda: bool(opened.events) or wire_is_read(protocol, 16 + sent))  # noqa: B023 - awaited here
        event = await opened.connect()
        assert event.event.code == Code.CONNECT_TIMEOUT
        assert event.event.duration is not None
        assert 0.19e9 < event.event.duration < 2e9
        assert asyncio.get_running_loop().time() - started < 2


def wire_is_read(protocol: DoorProtocol, count: int) -> bool:
    return protocol._attempt.bytes_received >= count


async def test_there_is_no_deadline_for_the_judging() -> None:
    """That is the authority's: it knows what it waits for."""
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT[:5])
        await until(lambda: bool(opened.door.listeners["plain"]._protocols))
        protocol = protocol_of(opened)
        await until(lambda: protocol._deadline is not None)
        await wire.send(CONNECT[5:])
        await authority.judging.wait()
        assert protocol._deadline is None
        authority.verdict.set()
        wire.fin()
        assert (await opened.connect()).event.code == Code.ADMITTED


# our own faults


async def test_a_fault_of_the_door_itself_is_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("doorlog.door.attempt.ConnectDecoder.receive", breaks)
    async with open_door() as opened:
        seen = await send_then(opened.target(), CONNECT, "silence")
        event = await opened.connect()
        assert event.event.code == Code.INTERNAL_ERROR
        assert seen.ended in {"eof", "reset"}
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_while_a_device_is_judged_ends_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Scripted()
    authority.verdict.clear()
    async with open_door(authority) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await authority.judging.wait()

        def breaks(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("doorlog.door.attempt.Attempt._receive_connect", breaks)
        await wire.send(PUBLISH)
        await wire.drain()
        authority.verdict.set()
        await opened.connect()
    assert opened.count(Action.CONNECT) == 1
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_while_an_end_is_judged_is_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("doorlog.door.attempt.Attempt.end", breaks)
    async with open_door() as opened:
        for leave in ("fin", "rst"):
            await send_then(opened.target(), b"\x10", leave)
        for number in (1, 2):
            assert (await opened.connect(number)).event.code == Code.INTERNAL_ERROR
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_before_the_authority_is_asked_is_ours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("doorlog.door.protocol.DoorConnection", breaks)
    async with open_door() as opened:
        seen = await ask(opened.target(), CONNECT, expect=4)
        assert (await opened.connect()).event.code == Code.INTERNAL_ERROR
        assert seen.received == SERVER_UNAVAILABLE
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_when_a_session_begins_ends_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DoorConnection, "admitted", breaks)
    async with open_door() as opened:
        seen = await ask(opened.target(), CONNECT, expect=4, leave="silence")
        assert (await opened.connect()).event.code == Code.ADMITTED
        assert seen.ended in {"eof", "reset"}
        assert (await opened.disconnect()).event.code == DisconnectCause.CLOSED_BY_BROKER
    assert "ZeroDivisionError" in caplog.text


async def test_a_log_that_fails_leaves_no_connection_behind(caplog: pytest.LogCaptureFixture) -> None:
    """It should never raise; if it does, nobody is served whose record may be missing."""
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]

        def breaks(event: Event) -> None:
            opened.emit(event)
            if event.event.action is Action.CONNECT:
                raise ZeroDivisionError

        listener.emit = breaks
        seen = await ask(opened.target(), CONNECT, expect=4, leave="silence")
        assert seen.received == b""
        assert seen.ended in {"eof", "reset"}
        assert opened.authority.served == 0
        opened.events.clear()  # for one without its end
        opened.door.listeners["plain"].accepted = listener.connects = 0
    assert "ZeroDivisionError" in caplog.text


async def test_an_event_that_can_not_be_built_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("hostile")

    monkeypatch.setattr(report, "_mqtt_part", breaks)
    async with open_door() as opened:
        seen = await ask(opened.target(), CONNECT + mqtt.DISCONNECT, expect=4)
        assert seen.received == CONNACK
        event = await opened.connect()
        assert (event.event.code, event.mqtt) == (Code.ADMITTED, None)
        assert (await opened.disconnect()).event.code == DisconnectCause.NORMAL
    assert "could not be recorded whole" in caplog.text


# accept


async def test_a_device_that_is_gone_before_it_was_welcomed() -> None:
    async with open_door() as opened:
        for _ in range(20):
            async with open_wire(opened.target()) as wire:
                wire.rst()
        await opened.connect(20)
        codes = {event.event.code for event in opened.events}
        assert codes == {Code.CLOSED_BEFORE_CONNECT}


async def test_a_socket_that_no_transport_wants_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_door() as opened:
        listener = opened.door.listeners["plain"]

        class Loop:
            """The running loop, but for one method."""

            def __getattr__(self, name: str) -> Any:
                return getattr(asyncio.get_running_loop(), name)

            def add_reader(self, *_: object) -> None:
                raise ValueError("file descriptor -1")

        monkeypatch.setattr(listener, "loop", Loop())
        seen = await send_then(opened.target(), b"", "silence")
        event = await opened.connect()
        assert event.event.code == Code.CLOSED_BEFORE_CONNECT
        assert event.source.port == seen.address[1]
        assert seen.ended in {"eof", "reset"}


async def test_a_crowd_is_turned_away_and_its_places_are_free_again() -> None:
    async with open_door(attempts_per_listener=2) as opened:
        async with open_wire(opened.target()) as first, open_wire(opened.target()) as second:
            refused = await silent(opened.target())
            assert refused.ended in {"eof", "reset"}
            assert (await opened.connect()).event.code == Code.TOO_MANY_CONNECTIONS
            await first.send(CONNECT)
            await second.send(CONNECT)
            await opened.connect(3)  # admitted devices hold no place
            assert (await ask(opened.target(), CONNECT, expect=4)).received == CONNACK
        await opened.disconnect(3)


async def test_websocket_listeners_have_an_end_too() -> None:
    async with open_door(None, {"ws": {"bind": FREE, "websocket": True}}) as opened:
        seen = await send_then(opened.target("ws"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "silence")
        assert seen.received.startswith(b"HTTP/1.1 426")
        assert (await opened.connect()).event.code == Code.WEBSOCKET_REJECTED


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="websockets")


# what is promised of the records


class Promise:
    """An assurance that a test scripts.

    Attributes:
        admits: Whether anybody may be admitted.
        waits: Whether verdicts wait.
        asked: Set once somebody waits.
        answer: What they get.
    """

    def __init__(self, *, admits: bool = True, waits: bool = True) -> None:
        self.admits = admits
        self.waits = waits
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def on_disk(self) -> bool:
        self.asked.set()
        return await self.answer


async def refuses_password(connection: DoorConnection) -> Judgement:
    return Judgement(Code.BAD_PASSWORD)


async def test_nobody_is_judged_while_the_log_can_not_be_written() -> None:
    promise = Promise(admits=False, waits=False)
    promise.answer.set_result(True)
    async with open_door(assurance=promise) as opened:
        seen = await ask(opened.target(), CONNECT, expect=4)
        assert seen.received == SERVER_UNAVAILABLE
        assert (await opened.connect()).event.code == Code.LOG_UNAVAILABLE
        assert not opened.authority.judging.is_set()


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_device_is_admitted_once_its_record_is_on_disk(leaves: bool) -> None:
    promise = Promise()
    async with open_door(assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await promise.asked.wait()
        assert (await opened.connect()).event.code == Code.ADMITTED
        await wire.send(PUBLISH)
        if leaves:
            wire.fin()
        assert opened.authority.served == 0
        promise.answer.set_result(True)
        assert await wire.receive() == CONNACK
        wire.fin()
        await opened.disconnect()
        assert opened.authority.read == PUBLISH, "what it said meanwhile is for the broker"


async def test_a_device_whose_record_can_not_be_written_is_turned_away() -> None:
    promise = Promise()
    promise.answer.set_result(False)
    async with open_door(assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        assert await wire.receive() == SERVER_UNAVAILABLE
        await wire.drain()
        assert wire.ended == "eof"
        assert (await opened.disconnect()).event.code == DisconnectCause.LOG_UNAVAILABLE
        assert (opened.authority.served, len(opened.authority.dismissed)) == (0, 1)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_refusal_leaves_once_its_record_is_on_disk(leaves: bool) -> None:
    promise = Promise()
    async with open_door(Scripted(refuses_password), assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await promise.asked.wait()
        if leaves:
            wire.fin()
        assert bytes(wire.received) == b""
        promise.answer.set_result(True)
        await wire.drain()
        assert bytes(wire.received) == b"\x20\x02\x00\x04"


async def test_a_refusal_without_a_record_is_not_told() -> None:
    promise = Promise()
    promise.answer.set_result(False)
    async with open_door(Scripted(refuses_password), assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await wire.drain()
        assert bytes(wire.received) == b""


async def test_stopping_while_a_record_is_on_its_way_to_disk() -> None:
    promise = Promise()
    async with open_door(assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(CONNECT)
        await promise.asked.wait()
        stopping = asyncio.ensure_future(opened.door.shut_down())
        await asyncio.sleep(0)
        promise.answer.set_result(True)
        await wire.drain()
        async with asyncio.timeout(10):
            await stopping


@pytest.mark.parametrize(("is_safe", "answer"), [(True, b"\x20\x02\x00\x01"), (False, b"")])
async def test_a_refusal_that_no_authority_was_asked_for_waits_too(is_safe: bool, answer: bytes) -> None:
    promise = Promise()
    async with open_door(assurance=promise) as opened, open_wire(opened.target()) as wire:
        await wire.send(mqtt.connect("pump-17", protocol=("MQTT", 9)))
        await promise.asked.wait()
        await opened.connect()
        assert bytes(wire.received) == b""
        promise.answer.set_result(is_safe)
        await wire.drain()
        assert bytes(wire.received) == answer


async def test_a_crowd_is_turned_away_with_its_record_on_disk() -> None:
    promise = Promise()
    async with open_door(assurance=promise, attempts_per_listener=1) as opened, open_wire(opened.target()):
        async with open_wire(opened.target()) as second:
            await promise.asked.wait()
            promise.answer.set_result(True)
            await second.drain()
        assert (await opened.connect()).event.code == Code.TOO_MANY_CONNECTIONS
