"""The log on a topic of the broker itself: real clients that may read it, that try to, and that try to write there."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

import support.packets as mqtt
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.embedded.session import BrokerSession
from doorlog.log.mqtt_sink import MqttSink
from doorlog.log.registry import build_sink
from doorlog.log.sink import SinkContext
from support.broker import ANYBODY, FREE, Running, running
from support.clients import MosquittoPub, usable
from support.clients.base import Target
from support.clients.paho_reader import Received, paho_reader
from support.clients.raw import send_then, tcp_open_and_close
from support.devices import Device, DialDevice, devices
from support.processes import Serving, run, serving
from support.records import Record, action_is
from support.users import our_auth, write_users

PASSWORDS = {"reader": "through-the-glass-19", "anna": "wonderland-17", "bert": "builder-18"}
OPTIONS = {"readers": ["reader"]}
INSTANCE = "edge-1"
END = b"end"
EVERYTHING = {"*": {"publish": ["#"], "subscribe": ["#", "$share/#"]}}


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return our_auth(write_users(tmp_path_factory.mktemp("users") / "users.txt", PASSWORDS))


@pytest.fixture(scope="module", autouse=True)
def mosquitto() -> None:
    """Both programs come in one package."""
    usable(MosquittoPub())


@asynccontextmanager
async def opened(
    folder: Path, auth: dict[str, Any], acl: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Running, Target]]:
    """Run a broker whose records go to the topic, too, from another thread than its own."""
    log = {
        "file": {"path": folder / "log" / "doorlog.jsonl"},
        "console": "never",
        "sinks": {"own": {"type": "mqtt", **OPTIONS}},
    }
    service = {"instance_id": INSTANCE}
    async with running(folder, {"plain": {"bind": FREE}}, auth=auth, acl=acl, log=log, service=service) as broker:
        yield broker, broker.target("plain")


def authority_of(broker: Running) -> EmbeddedAuthority:
    authority = broker.service._authority
    assert isinstance(authority, EmbeddedAuthority)
    return authority


def sink_of(broker: Running) -> MqttSink:
    context = SinkContext("own", "doorlog", INSTANCE, "1", authority_of(broker).publish)
    sink = build_sink("log.sinks.own", "mqtt", OPTIONS, context)
    assert isinstance(sink, MqttSink)
    return sink


def whole_lines(broker: Running) -> list[bytes]:
    return [line for line in broker.log.path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def mosquitto_arguments(program: str, target: Target, user: str, password: str | None = None) -> list[str]:
    login = ["-u", user, "-P", password or PASSWORDS[user], "-i", f"mosquitto-{user}"]
    return ["stdbuf", "-oL", program, "-d", "-h", target.host, "-p", str(target.port), *login]


@asynccontextmanager
async def mosquitto_sub(
    target: Target, user: str, *filters: str, password: str | None = None, options: Sequence[str] = ()
) -> AsyncIterator[Serving]:
    """Subscribe; `ready[1]` of what it yields are the broker's answers."""
    asked = [text for topic_filter in filters for text in ("-t", topic_filter)]
    argv = [*mosquitto_arguments("mosquitto_sub", target, user, password), *options, "-F", "got %t %p", *asked]
    async with serving(argv, ready=r"Subscribed \(mid: 1\): (.*)") as subscriber:
        yield subscriber


async def mosquitto_pub(target: Target, user: str, *options: str) -> str:
    finished = await run([*mosquitto_arguments("mosquitto_pub", target, user), *options])
    return finished.output


def received(subscriber: Serving) -> list[Received]:
    """What mosquitto_sub has got so far."""
    found = (re.fullmatch(r"got (\S+) (.*)", line) for line in subscriber.lines)
    return [(match[1], match[2].encode()) for match in found if match is not None]


def refusals(broker: Running) -> list[Record]:
    """All `authorize` records; complete once the broker has stopped."""
    return [record for record in broker.log.records if record["event"]["action"] == "authorize"]


async def strangers(target: Target) -> None:
    """Knock in a few ways that fail, and in one that does not."""
    await tcp_open_and_close(target)
    await send_then(target, b"GET / HTTP/1.1\r\n\r\n", "fin")
    await send_then(target, mqtt.connect("pump/+/#\x1b", user_name="anna", password="wrong"), "fin")
    await send_then(target, mqtt.connect("pümp 17", user_name="anna", password=PASSWORDS["anna"]), "fin")


async def admitted_and_gone(broker: Running) -> Record:
    return await broker.record(lambda r: (r["event"]["action"], r.get("device")) == ("disconnect", {"id": "pümp 17"}))


# Who may read


async def test_a_reader_gets_every_record_as_it_stands_in_the_file(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with (
        opened(tmp_path, passwords) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#") as reader,
    ):
        await strangers(target)
        last = await admitted_and_gone(broker)
        await reader.line(re.escape(last["event"]["id"]))
        messages = received(reader)
        lines = whole_lines(broker)

    assert reader.ready[1] == "0"
    first = lines.index(messages[0][1] + b"\n")
    assert [payload + b"\n" for _, payload in messages] == lines[first : first + len(messages)]
    assert orjson.loads(messages[-1][1]) == last
    assert len(messages) >= 5, "three failures, a login and its end"
    assert [topic for topic, _ in messages][-2:] == [
        f"doorlog/{INSTANCE}/connect/p%C3%BCmp%2017",
        f"doorlog/{INSTANCE}/disconnect/p%C3%BCmp%2017",
    ]
    assert {topic.count("/") for topic, _ in messages} == {3}


async def test_a_reader_may_choose_by_topic(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with (
        opened(tmp_path, passwords) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/+/disconnect/+", "doorlog/+/disconnect/#") as reader,
    ):
        await strangers(target)
        last = await admitted_and_gone(broker)
        await reader.line(re.escape(last["event"]["id"]))
        messages = received(reader)

    assert [orjson.loads(payload)["event"]["action"] for _, payload in messages] == ["disconnect"] * len(messages)
    assert len({payload for _, payload in messages}) == len(messages), "one copy, whatever the filters overlap"


async def test_two_stacks_read_the_same(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with (
        opened(tmp_path, passwords) as (broker, target),
        paho_reader(target, "reader", PASSWORDS["reader"]) as paho,
        mosquitto_sub(target, "reader", "#") as mosquitto,
    ):
        assert await paho.subscribe("doorlog/+/connect/#", "+/#") == [True, True]
        await strangers(target)
        last = await admitted_and_gone(broker)
        await mosquitto.line(re.escape(last["event"]["id"]))
        got = await paho.until(lambda messages: any(orjson.loads(payload) == last for _, payload in messages))
        also_got = received(mosquitto)

    count = min(len(got), len(also_got))
    assert count >= 5, "three failures, a login and its end"
    assert got[-count:] == also_got[-count:]


# Who may not


@pytest.mark.parametrize("rules", [None, EVERYTHING], ids=["without ACL", "all allowed"])
async def test_nobody_else_gets_a_record(
    tmp_path: Path, passwords: dict[str, Any], rules: dict[str, Any] | None
) -> None:
    acl = None if rules is None else {"amqtt_doorlog.TopicAclPlugin": {"rules": rules}}
    within = ("doorlog/#", "doorlog/+/connect/#", "doorlog", f"doorlog/{INSTANCE}/connect/_")
    beyond = ("#", "+/#", "+/+/#", "+/+/connect/+", "$share/group/doorlog/#", "/doorlog/#")
    async with (
        opened(tmp_path, passwords, acl) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#") as reader,
        mosquitto_sub(target, "anna", *within, *beyond, options=["-q", "1", "-c"]) as anna,
    ):
        await strangers(target)
        last = await admitted_and_gone(broker)
        await reader.line(re.escape(last["event"]["id"]))
        await mosquitto_pub(target, "bert", "-t", "other", "-m", "end", "-q", "1")
        await anna.line("got other end")
        assert received(anna) == [("other", END)]

    assert anna.ready[1] == ", ".join(["128"] * len(within) + ["1"] * len(beyond))
    assert [record["mqtt"]["topic"] for record in refusals(broker)] == list(within)
    assert {record["event"]["code"] for record in refusals(broker)} == {"subscribe_refused"}


async def test_a_name_that_nobody_has_verified_reads_nothing(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, dict(ANYBODY)) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#", "#", password="any") as liar,
    ):
        await strangers(target)
        await admitted_and_gone(broker)
        await mosquitto_pub(target, "bert", "-t", "other", "-m", "end", "-q", "1")
        await liar.line("got other end")
        assert received(liar) == [("other", END)]

    assert liar.ready[1] == "128, 0"
    (record,) = refusals(broker)
    assert record["user"]["name"] == "reader"


async def test_what_a_topic_plugin_refuses_a_reader_is_refused(tmp_path: Path, passwords: dict[str, Any]) -> None:
    rules = {"reader": {"subscribe": ["doorlog/+/disconnect/#"]}, "*": {"publish": ["#"]}}
    async with (
        opened(tmp_path, passwords, {"amqtt_doorlog.TopicAclPlugin": {"rules": rules}}) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#", "doorlog/+/disconnect/+") as reader,
    ):
        await strangers(target)
        last = await admitted_and_gone(broker)
        await reader.line(re.escape(last["event"]["id"]))
        assert {topic.split("/")[2] for topic, _ in received(reader)} == {"disconnect"}

    assert reader.ready[1] == "128, 0"


# Who writes


@pytest.mark.parametrize("user", ["anna", "reader"])
async def test_nobody_publishes_there(tmp_path: Path, passwords: dict[str, Any], user: str) -> None:
    topics = ["doorlog", "doorlog/x", f"doorlog/{INSTANCE}/connect/_", "doorlog/"]
    async with (
        opened(tmp_path, passwords, {"amqtt_doorlog.TopicAclPlugin": {"rules": EVERYTHING}}) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#", "#") as reader,
        paho_reader(target, user, PASSWORDS[user]) as forger,
    ):
        for qos, topic in enumerate(topics):
            await forger.publish(topic, b'{"forged":true}', min(qos, 2), retain=qos % 2 == 1)
        await forger.publish("other", END, 1)
        await reader.line("got other end")
        assert not [payload for _, payload in received(reader) if b"forged" in payload]
        async with mosquitto_sub(target, "bert", "#") as late:
            await mosquitto_pub(target, "anna", "-t", "other", "-m", "end", "-q", "1")
            await late.line("got other end")
            assert received(late) == [("other", END)], "nothing was retained"

    assert [record["mqtt"]["topic"] for record in refusals(broker)] == topics
    assert {record["event"]["code"] for record in refusals(broker)} == {"publish_refused"}
    assert len({record["doorlog"]["connection_id"] for record in refusals(broker)}) == 1, "it was not sent away"


async def test_a_retained_message_of_mosquittos_is_refused(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, target):
        await mosquitto_pub(target, "anna", "-t", "doorlog/x", "-m", "forged", "-r", "-q", "1")
        async with mosquitto_sub(target, "reader", "doorlog/x", "other") as reader:
            await mosquitto_pub(target, "anna", "-t", "other", "-m", "end", "-q", "1")
            await reader.line("got other end")
            assert received(reader) == [("other", END)]

    (record,) = refusals(broker)
    assert (record["event"]["code"], record["mqtt"]["topic"]) == ("publish_refused", "doorlog/x")


async def test_nobody_leaves_a_will_there(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with opened(tmp_path, passwords) as (broker, target):
        will = ["--will-topic", "doorlog/x", "--will-payload", "forged", "--will-retain"]
        said = await mosquitto_pub(target, "reader", *will, "-t", "other", "-m", "x")
        failed = await broker.failure("will_not_authorized")

    assert "CONNACK (5)" in said
    (record,) = refusals(broker)
    assert (record["event"]["code"], record["mqtt"]["topic"]) == ("will_refused", "doorlog/x")
    assert record["doorlog"]["connection_id"] == failed["doorlog"]["connection_id"]


# The log does not feed itself


async def test_a_reader_that_repeats_what_it_reads_comes_to_an_end(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with (
        opened(tmp_path, passwords) as (broker, target),
        paho_reader(target, "reader", PASSWORDS["reader"]) as echo,
    ):
        echo.on_received = lambda client, message: client.publish(message[0], message[1])
        await echo.subscribe("doorlog/#")
        await strangers(target)
        last = await admitted_and_gone(broker)
        got = await echo.until(lambda messages: any(orjson.loads(payload) == last for _, payload in messages))
        await echo.publish("other", END, 1)  # behind all that it has repeated

    assert len(refusals(broker)) == len(got) == len(echo.received), "each is refused once, and that is the end of it"


async def test_no_record_comes_of_publishing_one(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with (
        opened(tmp_path, passwords) as (broker, target),
        mosquitto_sub(target, "reader", "doorlog/#"),
        devices(target) as dial,
    ):
        device = await dial("pump-17", "anna", PASSWORDS["anna"])
        connect = await broker.connect_of(device.address)
        before = len(broker.log.records)
        lines = [orjson.dumps(connect) + b"\n"] * 500
        await asyncio.to_thread(sink_of(broker).write, lines)
        assert await device.is_served()
        device.vanish()
        await broker.disconnect_of(device.address)
        assert len(broker.log.records) == before + 1


async def test_a_reader_that_stops_reading_holds_up_nobody_and_holds_no_memory(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    storm, times = 1_000, 20
    async with opened(tmp_path, passwords) as (broker, target), devices(target) as dial:
        stuck, reader, device = await readers_of(dial)
        line = orjson.dumps({**await broker.connect_of(device.address), "padding": "x" * 1_500}) + b"\n"
        sink, memory = sink_of(broker), resident_bytes()
        is_over = asyncio.Event()
        waiting = asyncio.create_task(longest_answer(device, is_over))
        reading = asyncio.create_task(count_messages(reader, storm * times))
        for _ in range(times):
            await asyncio.to_thread(sink.write, [line] * storm)
        async with asyncio.timeout(30):
            assert await reading == storm * times, "another reader gets all of them"
        is_over.set()
        assert await waiting < 1.0, "a device is answered all the while"
        session, limits = authority_of(broker).broker.sessions["stuck"][0], authority_of(broker).broker.limits
        assert isinstance(session, BrokerSession)
        assert session.retained_messages.qsize() <= limits.max_queued_messages
        assert session.queued_bytes <= limits.max_queued_bytes
        assert session.dropped > 0, "what it did not take is counted"
        assert resident_bytes() - memory < storm * times * len(line) / 2
        assert await stuck.is_served(), "when it reads again, it goes on"
        assert not broker.service.log.faults


async def readers_of(dial: DialDevice) -> tuple[Device, Device, Device]:
    """Log two readers in, one of which will not read, and a device that has nothing to do with the log."""
    stuck = await dial("stuck", "reader", PASSWORDS["reader"])
    reader = await dial("desk", "reader", PASSWORDS["reader"])
    for each in (stuck, reader):
        assert await each.subscribe("doorlog/#") == 0
    return stuck, reader, await dial("pump-17", "anna", PASSWORDS["anna"])


async def longest_answer(device: Device, is_over: asyncio.Event) -> float:
    """Ask again and again; return how many seconds the slowest answer took."""
    loop, longest = asyncio.get_running_loop(), 0.0
    while not is_over.is_set():
        asked = loop.time()
        await device.ping()
        longest = max(longest, loop.time() - asked)
    return longest


async def count_messages(device: Device, count: int) -> int:
    """Read messages that the sink was given, until there are so many."""
    found = 0
    while found < count:
        found += b"padding" in (await device.message()).payload
    return found


def resident_bytes() -> int:
    """Memory of this process (Linux, proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_a_broker_that_stops_takes_the_last_records_without_delay(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    async with opened(tmp_path, passwords) as (broker, _):
        sink = sink_of(broker)
        started = await broker.record(action_is("audit_started"))
    lines = [orjson.dumps(started) + b"\n"] * 10
    await asyncio.to_thread(sink.write, lines)
