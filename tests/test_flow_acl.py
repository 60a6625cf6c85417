"""What a device may not do, over real sockets: each refusal leaves one `authorize` record, what is allowed none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from support.broker import ANYBODY, FREE, Running, running
from support.clients.raw import ask
from support.devices import REFUSED, Device, DialDevice, devices
from support.records import Record
from support.users import our_auth, write_users

PASSWORDS = {"anna": "wonderland-17", "bert": "builder-18"}
RULES = {
    "anna": {"publish": ["pumps/%u/#"], "subscribe": ["pumps/+"]},
    "bert": {"publish": ["#"], "subscribe": ["#"]},
    "anonymous": {"publish": ["hello/%c"], "subscribe": []},
}
ACL = {"amqtt_doorlog.TopicAclPlugin": {"rules": RULES}}
ACCEPTED = 4  # bytes of CONNACK


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return our_auth(write_users(tmp_path_factory.mktemp("users") / "users.txt", PASSWORDS))


@asynccontextmanager
async def opened(
    folder: Path, auth: dict[str, Any], acl: dict[str, Any] = ACL, **listener: Any
) -> AsyncIterator[tuple[Running, DialDevice]]:
    async with (
        running(folder, {"plain": {"bind": FREE, **listener}}, auth=auth, acl=acl) as broker,
        devices(broker.target("plain")) as dial,
    ):
        yield broker, dial


async def anna_of(dial: DialDevice, client_id: str = "pump-17") -> Device:
    return await dial(client_id, "anna", PASSWORDS["anna"])


def refusals(broker: Running) -> list[Record]:
    """All `authorize` records; complete once the broker has stopped."""
    return [record for record in broker.log.records if record["event"]["action"] == "authorize"]


def check_refusal(record: Record, what: str, topic: str, connect: Record) -> None:
    """What every refusal has in common; `connect` is the record of the device's login."""
    assert record["event"]["code"] == f"{what}_refused"
    assert record["event"]["outcome"] == "failure"
    assert record["event"]["type"] == ["access", "denied"]
    assert record["doorlog"]["authorize"] == what
    assert record["doorlog"]["connection_id"] == connect["doorlog"]["connection_id"]
    assert record["doorlog"]["listener"] == "plain"
    assert record["mqtt"]["topic"] == topic
    assert record["mqtt"]["client_id"] == connect["mqtt"]["client_id"]
    assert record.get("user") == connect.get("user")
    assert record["destination"]["port"] == connect["destination"]["port"]
    for end in ("ip", "port"):
        assert record["source"][end] == connect["source"][end]
    assert f'"{topic}"' in record["message"]


@pytest.mark.parametrize("topic_filter", ["pumps/#", "#", "+/+", "pumps/+/state", "secret", "$SYS/#", "pumps/#/x"])
async def test_a_refused_subscription(topic_filter: str, tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, dial):
        anna = await anna_of(dial)
        answer = await anna.subscribe(topic_filter)
        assert await anna.is_served(), "a refused subscription is no reason to go"
        connect = await broker.connect_of(anna.address)

    assert answer == REFUSED
    if topic_filter == "pumps/#/x":
        assert not refusals(broker), "no access rule refused it: it is no topic filter"
        return
    (record,) = refusals(broker)
    check_refusal(record, "subscribe", topic_filter, connect)


async def test_a_refused_publication(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, dial):
        bert = await dial("desk", "bert", PASSWORDS["bert"])
        await bert.subscribe("#")
        anna = await anna_of(dial)
        await anna.publish("pumps/bert/state", b"forbidden")
        await anna.publish("pumps/anna/state", b"end")
        assert not await bert.messages_until(b"end"), "it is acknowledged, and goes nowhere (MQTT 3.1.1, 3.3.5-2)"
        connect = await broker.connect_of(anna.address)

    (record,) = refusals(broker)
    check_refusal(record, "publish", "pumps/bert/state", connect)
    assert "forbidden" not in broker.log.path.read_text(), "no payload is ever recorded"


async def test_a_refused_will(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], will=("pumps/bert/state", b"gone", 0, False))
        connect = await broker.connect_of(anna.address)

    assert not anna.admitted
    (record,) = refusals(broker)
    check_refusal(record, "will", "pumps/bert/state", connect)
    assert connect["event"]["code"] == "will_not_authorized"
    assert connect["mqtt"]["topic"] == "pumps/bert/state"


async def test_each_refusal_has_a_record_of_its_own(tmp_path: Path, passwords: dict[str, Any]) -> None:
    topics = [f"secret/{number}" for number in range(10)]
    async with opened(tmp_path, passwords) as (broker, dial):
        anna = await anna_of(dial)
        for topic in topics:
            await anna.publish(topic, b"x")

    assert [record["mqtt"]["topic"] for record in refusals(broker)] == topics


async def test_what_is_allowed_leaves_no_record(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], will=("pumps/anna/state", b"gone", 0, False))
        assert await anna.subscribe("pumps/+") == 0
        assert await anna.subscribe("pumps/1") == 0
        await anna.publish("pumps/anna/log/1", b"x")
        anna.vanish()
        await broker.disconnect_of(anna.address)

    assert not refusals(broker)
    assert [record["event"]["action"] for record in broker.log.records if "source" in record] == [
        "connect",
        "disconnect",
    ]


async def test_what_is_delivered_to_somebody_who_may_not_receive_it_is_dropped(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    rules = {"*": {"publish": ["#"], "subscribe": ["#"], "receive": ["public/#"]}}
    async with opened(tmp_path, passwords, {"amqtt_doorlog.TopicAclPlugin": {"rules": rules}}) as (broker, dial):
        anna = await anna_of(dial)
        await anna.subscribe("#")
        await anna.publish("secret/1", b"x")
        await anna.publish("public/1", b"end")
        assert not await anna.messages_until(b"end")

    assert not refusals(broker), "the device did nothing that it may not"


async def test_a_device_without_a_name_has_the_rules_of_anonymous(tmp_path: Path) -> None:
    async with opened(tmp_path, dict(ANYBODY)) as (broker, dial):
        liar = await dial("pump-17", "bert", "no password is asked for")
        assert await liar.subscribe("secret") == REFUSED, "a name that nobody has verified opens nothing"
        await liar.publish("hello/pump-17", b"x")
        connect = await broker.connect_of(liar.address)

    (record,) = refusals(broker)
    check_refusal(record, "subscribe", "secret", connect)
    assert record["user"]["name"] == "bert", "what it called itself is still worth reading"


async def test_text_from_a_device_stays_on_its_line(tmp_path: Path, passwords: dict[str, Any]) -> None:
    forged = 'x"\n{"event":{"action":"connect"}}\u2028\x1b[31m'
    async with opened(tmp_path, passwords) as (broker, dial):
        anna = await anna_of(dial)
        await anna.publish(forged, b"x")
        await anna.publish("long/" + "x" * 60_000, b"x")

    escaped, long = refusals(broker)
    assert "\n" not in escaped["mqtt"]["topic"]
    assert "\x1b" not in escaped["mqtt"]["topic"]
    assert "\n" not in escaped["message"]
    assert len(long["mqtt"]["topic"]) <= 1024
    assert len(long["message"]) <= 400


async def test_behind_a_load_balancer_the_refusal_names_the_device(tmp_path: Path, passwords: dict[str, Any]) -> None:
    balanced: dict[str, Any] = {"proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]}
    login = mqtt.proxy_v1("10.0.0.9") + mqtt.connect("pump-17", user_name="anna", password=PASSWORDS["anna"])
    async with opened(tmp_path, passwords, **balanced) as (broker, _):
        await ask(broker.target("plain"), login + mqtt.publish("secret/1"), expect=ACCEPTED)
        record = await broker.record(lambda record: record["event"]["action"] == "authorize")

    assert record["source"]["ip"] == "10.0.0.9"


async def test_a_plugin_that_fails_over_a_topic_has_refused_it(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords, {"support.flow_plugins.TellsWhatItKnows": {}}) as (broker, dial):
        anna = await anna_of(dial)
        assert await anna.subscribe("pumps/1") == REFUSED
        connect = await broker.connect_of(anna.address)

    (record,) = refusals(broker)
    check_refusal(record, "subscribe", "pumps/1", connect)
