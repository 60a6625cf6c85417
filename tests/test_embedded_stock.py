"""A stock amqtt behind the door: what reaches it, whose a client id is, and what it is kept from doing wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from amqtt.adapters import BufferReader, ReaderAdapter, WriterAdapter
from amqtt.contexts import Action, BaseContext
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BasePlugin, BaseTopicPlugin
from amqtt.session import Session
from hypothesis import given
from hypothesis import strategies as st

import support.packets as mqtt
from doorlog.door.connect_packet import Connect, ConnectDecoder, Will
from doorlog.embedded import stock
from doorlog.embedded.stock import StockAuthority, connect_without_password
from support.amqtt_door import InProcess, stock_behind_the_door, write_users
from support.clients.raw import send_then
from support.devices import REFUSED, Connack, DialDevice, Message, devices

PASSWORDS = {"anna": "wonderland-17", "bert": "builder-18"}
HERE = "test_embedded_stock"


class Witness(BaseTopicPlugin):
    """Sees what amqtt tells its plugins."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.connects: list[Any] = []
        self.sessions: list[Session] = []

    async def on_mqtt_packet_received(self, *, packet: Any, session: Session | None = None) -> None:
        if isinstance(packet, ConnectPacket):
            self.connects.append(packet)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        assert session is not None
        self.sessions.append(session)
        return True


class Restores(BasePlugin[Any]):
    """Brings back a subscription of ``pump-17`` that somebody made before the broker was started."""

    async def on_broker_post_start(self) -> None:
        await self.context.add_subscription("pump-17", "secret/#", 1)


@pytest.fixture
def passwords(tmp_path: Path) -> dict[str, Any]:
    path = write_users(tmp_path / "users.txt", PASSWORDS)
    return {"amqtt_doorlog.PasswordFilePlugin": {"password_file": str(path)}}


@asynccontextmanager
async def behind(folder: Path, plugins: dict[str, Any], **groups: Any) -> AsyncIterator[tuple[InProcess, DialDevice]]:
    async with (
        stock_behind_the_door(folder, plugins, **groups) as broker,
        devices(broker.target()) as dial,
    ):
        yield broker, dial


def connack(code: int, *, present: bool = False) -> Connack:
    return Connack(session_present=present, code=code)


def authority_of(broker: InProcess) -> StockAuthority:
    door: Any = broker.broker.plugins_manager.get_plugin("DoorPlugin")
    authority: StockAuthority = door._authority
    return authority


# What amqtt gets.


@given(
    connect=st.builds(
        Connect,
        protocol_name=st.just("MQTT"),
        protocol_level=st.just(4),
        clean_session=st.just(True),
        keep_alive=st.integers(0, 65_535),
        client_id=st.from_regex(r"[a-zé/ ]{0,200}", fullmatch=True),
        user_name=st.none() | st.from_regex(r"[a-zé/ ]{0,200}", fullmatch=True),
        password=st.none() | st.binary(max_size=20),
        will=st.none()
        | st.builds(
            Will,
            topic=st.from_regex(r"[a-zé/]{1,200}", fullmatch=True),
            payload=st.binary(max_size=300),
            qos=st.integers(0, 2),
            retain=st.booleans(),
        ),
    ),
    client_id=st.from_regex(r"[a-zé/ ]{1,200}", fullmatch=True),
)
def test_the_connect_says_all_but_the_password(connect: Connect, client_id: str) -> None:
    written = ConnectDecoder(1 << 20).receive(connect_without_password(connect, client_id))

    assert written is not None
    assert written.password is None
    expected = Connect("MQTT", 4, True, connect.keep_alive, client_id, connect.user_name, None, connect.will)
    assert written == expected


def test_a_connect_of_any_length() -> None:
    for size in (0, 90, 127, 128, 16_000, 16_384, 65_535):
        connect = Connect("MQTT", 4, False, 0, "p", None, None, Will("w", bytes(size), 2, True))
        assert ConnectDecoder(1 << 20).receive(connect_without_password(connect, "p")) == connect


async def test_amqtt_is_not_told_the_password(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, {f"{HERE}.Witness": {}, **passwords}) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], keep_alive=30)
        await anna.ping()

    witness: Any = broker.broker.plugins_manager.get_plugin("Witness")
    (packet,) = witness.connects
    assert (packet.client_id, packet.username, packet.password) == ("pump-17", "anna", None)
    assert packet.keep_alive == 30


async def test_a_client_without_a_name_gets_one_that_the_door_knows(tmp_path: Path, passwords: dict[str, Any]) -> None:
    acl: dict[str, Any] = {"amqtt_doorlog.TopicAclPlugin": {"rules": {}}}
    async with behind(tmp_path, {**passwords, **acl}) as (broker, dial):
        anna = await dial("", "anna", PASSWORDS["anna"])
        assert await anna.subscribe("secret/#") == REFUSED
        refusal = await broker.refusal_of(anna.address)

    assert refusal["event"]["code"] == "subscribe_refused"


async def test_topic_plugins_know_whom_the_auth_plugins_vouched_for(tmp_path: Path) -> None:
    plugins: dict[str, Any] = {"support.third_party.Vouches": {}, f"{HERE}.Witness": {}}
    async with behind(tmp_path, plugins) as (broker, dial):
        device = await dial("pump-17", "admin", "x")
        await device.subscribe("a")
        witness: Any = broker.broker.plugins_manager.get_plugin("Witness")
        (session,) = witness.sessions
        assert session is broker.broker.sessions["pump-17"][0], "amqtt's own, not the one that the door has judged"
        assert session.attributes["doorlog.principal"] == "token-owner"
        assert (session.remote_address, session.remote_port) == device.address


async def test_topic_rules_take_an_unverified_user_name_for_nobody(tmp_path: Path) -> None:
    rules = {"admin": {"publish": ["#"], "subscribe": ["#"]}, "anonymous": {"subscribe": ["public/#"]}}
    plugins = {
        "amqtt.plugins.authentication.AnonymousAuthPlugin": {},
        "amqtt_doorlog.TopicAclPlugin": {"rules": rules},
    }
    async with behind(tmp_path, plugins) as (broker, dial):
        impostor = await dial("pump-17", "admin", "x")
        assert await impostor.subscribe("secret/#") == REFUSED
        assert await impostor.subscribe("public/#") == 0
        assert broker.broker.sessions["pump-17"][0].is_anonymous


async def test_a_resumed_session_shows_the_new_connection(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        before = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False, will=("w", b"", 0, True))
        await before.disconnect()
        await broker.disconnect_of(before.address)
        after = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False, will=("w", b"", 0, False))
        session = broker.broker.sessions["pump-17"][0]
        assert session.remote_port == after.address[1]
        assert session.will_retain is False


class Nowhere(WriterAdapter):
    """A connection that did not come through the door."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None: ...

    def get_peer_info(self) -> tuple[str, int]:
        return "192.0.2.1", 1

    def get_ssl_info(self) -> None: ...

    async def close(self) -> None: ...


async def test_there_is_no_way_around_the_door(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, _):
        reader: ReaderAdapter = BufferReader(mqtt.connect("pump-17", user_name="anna", password=PASSWORDS["anna"]))
        writer = Nowhere()
        await broker.broker.external_connected(reader, writer, "default")

    assert writer.written == b"\x20\x02\x00\x05"


# Whose a client id is.


async def test_another_user_can_not_take_a_client_id(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        await anna.subscribe("pumps/#", qos=1)
        for clean in (True, False):
            bert = await dial("pump-17", "bert", PASSWORDS["bert"], clean_session=clean)
            assert bert.connack == connack(2)
            assert (await broker.connect_of(bert.address))["event"]["code"] == "client_id_taken"
        assert await anna.is_served()

        anna.vanish()
        await broker.disconnect_of(anna.address)
        bert = await dial("pump-17", "bert", PASSWORDS["bert"], clean_session=True)
        assert bert.connack == connack(2), "the persistent session holds its id"

        other = await dial("pump-18", "bert", PASSWORDS["bert"])
        await other.publish("pumps/17", b"while you were away")
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert anna.connack == connack(0, present=True)
        assert await anna.message() == Message("pumps/17", b"while you were away")


async def test_a_client_id_is_free_at_once_after_a_clean_session(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        await anna.subscribe("pumps/#")
        anna.vanish()
        await broker.disconnect_of(anna.address)
        assert not broker.broker.sessions
        assert not broker.broker.subscriptions
        bert = await dial("pump-17", "bert", PASSWORDS["bert"], clean_session=False)
        assert bert.connack == connack(0)


async def test_a_client_id_is_free_when_amqtt_has_dropped_the_session(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        await anna.disconnect()
        await broker.disconnect_of(anna.address)
        await broker.broker._cleanup_session("pump-17")  # as its monitor does when session_expiry_interval is over
        bert = await dial("pump-17", "bert", PASSWORDS["bert"], clean_session=False)
        assert bert.connack == connack(0)


async def test_a_clean_session_is_never_resumed(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        first = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=True)
        second = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert second.connack == connack(0), "amqtt would present the clean session, and drop it soon after"
        await second.subscribe("pumps/#", qos=1)
        await second.disconnect()
        await broker.disconnect_of(second.address)
        third = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert third.connack == connack(0, present=True)
        assert (await broker.disconnect_of(first.address))["event"]["code"] == "taken_over"


async def test_a_session_that_a_plugin_brings_back_is_nobodys(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, {**passwords, f"{HERE}.Restores": {}}) as (broker, dial):
        assert "pump-17" in broker.broker.sessions
        bert = await dial("pump-17", "bert", PASSWORDS["bert"], clean_session=False)
        assert bert.connack == connack(0)
        anna = await dial("pump-18", "anna", PASSWORDS["anna"])
        await anna.publish("secret/17", b"for its old owner")
        assert await bert.messages() == []


async def test_the_door_forgets_whose_ids_were_that_nobody_holds(
    tmp_path: Path, passwords: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "_MAX_OWNERS", 3)
    async with behind(tmp_path, passwords) as (broker, dial):
        for number in range(8):
            device = await dial(f"pump-{number}", "anna", PASSWORDS["anna"], clean_session=False)
            await device.disconnect()
            await broker.disconnect_of(device.address)
            if number:
                await broker.broker._cleanup_session(f"pump-{number}")
        assert "pump-0" in authority_of(broker)._owners
        assert len(authority_of(broker)._owners) <= 3


# Take-overs.


async def test_the_same_user_takes_over_and_loses_nothing(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        old = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        await old.subscribe("pumps/#", qos=1)
        new = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert new.connack == connack(0, present=True)
        await old.wire.drain()
        assert (await broker.disconnect_of(old.address))["event"]["code"] == "taken_over"

        bert = await dial("pump-18", "bert", PASSWORDS["bert"])
        await bert.publish("pumps/17", b"still there?")
        assert await new.message() == Message("pumps/17", b"still there?")
        new.vanish()
        await broker.disconnect_of(new.address)
        await bert.publish("pumps/17", b"and now?")
        back = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert await back.message() == Message("pumps/17", b"and now?")


async def test_a_clean_take_over_ends_the_old_connection(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        old = await dial("pump-17", "anna", PASSWORDS["anna"])
        await old.subscribe("pumps/#")
        new = await dial("pump-17", "anna", PASSWORDS["anna"])
        await old.wire.drain()
        assert old.wire.ended == "eof", "amqtt would leave it open"
        assert await new.is_served()
        assert (await broker.disconnect_of(old.address))["event"]["code"] == "taken_over"
        assert not broker.broker.subscriptions


async def test_many_take_overs_at_once(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        crowd = await asyncio.gather(
            *(dial("pump-17", "anna", PASSWORDS["anna"], clean_session=bool(number % 2)) for number in range(9))
        )
        ends = [await broker.connect_of(device.address) for device in crowd]
        assert {record["event"]["code"] for record in ends} == {"admitted"}
        served = [device for device in crowd if device.admitted and await device.is_served()]
        assert len(served) == 1
        await served[0].subscribe("pumps/#")
        await served[0].publish("pumps/17", b"hello")
        assert await served[0].message() == Message("pumps/17", b"hello")


async def test_a_take_over_does_not_wait_for_ever(
    tmp_path: Path, passwords: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "_TAKE_OVER_SECONDS", 0.05)
    async with behind(tmp_path, passwords) as (broker, dial):
        old = await dial("pump-17", "anna", PASSWORDS["anna"])
        let_go = asyncio.Event()
        handler = broker.broker.sessions["pump-17"][1]
        stop = handler.stop

        async def hang() -> None:
            await let_go.wait()
            await stop()

        handler.stop = hang  # type: ignore[method-assign] # amqtt waits there for what it has under way
        new = await dial("pump-17", "anna", PASSWORDS["anna"])
        assert await new.is_served()
        let_go.set()
        assert (await broker.disconnect_of(old.address))["event"]["code"] == "taken_over"
        assert await new.is_served()


# Topic plugins.


@pytest.mark.parametrize("topics", ["TellsWhatItKnows", "AbstainsFromTopics"])
async def test_a_topic_plugin_that_does_not_allow_refuses(
    topics: str, tmp_path: Path, passwords: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(tmp_path, {**passwords, f"support.flow_plugins.{topics}": {}}) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        assert await anna.subscribe("pumps/#") == REFUSED
        await anna.publish("pumps/17", b"x")
        assert await anna.is_served(), "amqtt would end the client's loop, and keep its session"
        codes = [(await broker.log.nth(number))["event"]["code"] for number in (3, 4)]

    assert codes == ["subscribe_refused", "publish_refused"]
    assert PASSWORDS["anna"] not in caplog.text


async def test_an_abstention_leaves_the_decision_to_others(tmp_path: Path, passwords: dict[str, Any]) -> None:
    rules = {"*": {"publish": ["pumps/%u/#"], "subscribe": ["pumps/%u/#"]}}
    plugins = {
        **passwords,
        "support.flow_plugins.AbstainsFromTopics": {},
        "amqtt_doorlog.TopicAclPlugin": {"rules": rules},
    }
    async with behind(tmp_path, plugins) as (_, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        assert await anna.subscribe("pumps/anna/#") == 0
        assert await anna.subscribe("pumps/bert/#") == REFUSED
        await anna.publish("pumps/anna/x", b"1")
        assert await anna.message() == Message("pumps/anna/x", b"1")


async def test_what_a_device_may_not_receive_is_no_refusal_of_its_own(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    rules = {"*": {"publish": ["#"], "subscribe": ["#"], "receive": ["public/#"]}}
    acl = {"amqtt_doorlog.TopicAclPlugin": {"rules": rules}}
    async with behind(tmp_path, {**passwords, **acl}) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        await anna.subscribe("#")
        await anna.publish("secret/1", b"1")
        await anna.publish("public/1", b"1")
        assert await anna.message() == Message("public/1", b"1")
    assert not [record for record in broker.log.records if record["event"]["action"] == "authorize"]


async def test_without_topic_plugins_nobody_is_asked(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        assert not authority_of(broker).restricts_topics
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        assert await anna.subscribe("#") == 0


# What amqtt leaves behind.


@pytest.mark.parametrize("clean", [True, False])
async def test_a_session_that_amqtt_gives_up_is_not_left_connected(
    tmp_path: Path, passwords: dict[str, Any], *, clean: bool
) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=clean)
        await anna.send(mqtt.publish("$SYS/broker/uptime", b"0"))
        await anna.wire.drain()
        assert (await broker.disconnect_of(anna.address))["event"]["code"] == "closed_by_broker"
        states = [session.transitions.state for session, _ in broker.broker.sessions.values()]
        assert states == ([] if clean else ["disconnected"])
        again = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert again.connack == connack(0, present=not clean)
        assert await again.is_served()


@pytest.mark.parametrize("last", [b"", mqtt.DISCONNECT], ids=["nothing", "disconnect"])
async def test_a_device_that_is_gone_before_amqtt_is_ready(
    last: bytes, tmp_path: Path, passwords: dict[str, Any]
) -> None:
    async with behind(tmp_path, passwords) as (broker, dial):
        watcher = await dial("pump-18", "bert", PASSWORDS["bert"])
        await watcher.subscribe("gone")
        login = mqtt.connect("pump-17", user_name="anna", password=PASSWORDS["anna"], will=("gone", b"17", 0, False))
        seen = await send_then(broker.target(), login + last, "fin")
        ended = await broker.disconnect_of(seen)
        assert ended["event"]["code"] == ("normal" if last else "closed")
        assert ended["event"]["duration"] < 1e9
        assert await watcher.messages() == ([] if last else [Message("gone", b"17")])
        assert list(broker.broker.sessions) == ["pump-18"]


async def test_a_device_that_is_gone_while_amqtt_redelivers(
    tmp_path: Path, passwords: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "_REMINDER_SECONDS", 0.01)
    redelivers, redelivered = asyncio.Event(), asyncio.Event()

    async def redeliver(_handler: BrokerProtocolHandler) -> None:
        redelivers.set()
        await redelivered.wait()

    async with behind(tmp_path, passwords) as (broker, dial):
        watcher = await dial("pump-18", "bert", PASSWORDS["bert"])
        await watcher.subscribe("gone")
        # Where amqtt waits up to 10 s for the acknowledgement of each message.
        monkeypatch.setattr(BrokerProtocolHandler, "_retry_deliveries", redeliver)
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False, will=("gone", b"17", 0, False))
        await redelivers.wait()
        anna.vanish()
        reading = broker.broker.sessions["pump-17"][1]._reader_task
        assert reading is not None
        await reading  # amqtt has heard that the connection is over, and forgets it when it is through
        redelivered.set()
        assert (await broker.disconnect_of(anna.address))["event"]["code"] == "reset"
        assert broker.broker.sessions["pump-17"][0].transitions.state == "disconnected"
        assert await watcher.message() == Message("gone", b"17"), "amqtt would go on for ever"


async def test_amqtt_that_never_ends_is_left_to_itself(
    tmp_path: Path, passwords: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stock, "_REMINDER_SECONDS", 0.001)
    never = asyncio.Event()

    async def redeliver(_handler: BrokerProtocolHandler) -> None:
        await never.wait()

    monkeypatch.setattr(BrokerProtocolHandler, "_retry_deliveries", redeliver)
    async with behind(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        anna.vanish()
        assert (await broker.disconnect_of(anna.address))["event"]["code"] == "reset"
        assert not broker.broker.sessions
    assert "amqtt goes on serving a connection that is over" in caplog.text
