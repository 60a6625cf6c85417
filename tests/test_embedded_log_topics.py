"""The log's own topics: who may read there, that nobody may write there, and that no wildcard reaches in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from amqtt.broker import BrokerContext, RetainedApplicationMessage
from amqtt.contexts import Action
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from doorlog.embedded import log_topics as log_topics_module
from doorlog.embedded.log_topics import LogTopics, log_topics
from doorlog.errors import SettingsError
from doorlog.settings.log_models import LogSettings
from doorlog.topics import contains, is_valid_filter
from support.broker_devices import Device, Message, Will
from support.broker_door import BrokerDoor, refusing

PUBLISH, SUBSCRIBE, RECEIVE = Action.PUBLISH, Action.SUBSCRIBE, Action.RECEIVE
REFUSED = 0x80
TOPICS = LogTopics((("doorlog", frozenset({"reader"})), ("site/log", frozenset({"other"}))))
TOPIC = "doorlog/edge-1/connect/pump-17"
RECORD = Message(TOPIC, b"{}")
WITHIN = ["doorlog", "doorlog/#", "doorlog/+", "doorlog/+/connect/#", TOPIC, "doorlog/", "doorlog//x"]
BEYOND = [
    "#",
    "+",
    "+/#",
    "+/+/connect/#",
    "+/+/+/+",
    "/#",
    "doorlogs/#",
    "doorlo",
    "$share/g/doorlog/#",
]


@pytest.fixture
async def door() -> AsyncIterator[BrokerDoor]:
    async with BrokerDoor.open() as opened:
        opened.broker.log_topics = TOPICS
        yield opened


# The rule


@pytest.mark.parametrize("topic", WITHIN)
def test_within(topic: str) -> None:
    assert TOPICS.own(topic)
    assert TOPICS.allow("reader", topic, SUBSCRIBE)
    assert TOPICS.allow("reader", topic, RECEIVE)
    for principal in (None, "", "other", "Reader", "reader "):
        assert not TOPICS.allow(principal, topic, SUBSCRIBE)
        assert not TOPICS.allow(principal, topic, RECEIVE)
    for principal in (None, "reader", "other"):
        assert not TOPICS.allow(principal, topic, PUBLISH)


@pytest.mark.parametrize("topic", BEYOND)
def test_beyond(topic: str) -> None:
    assert not TOPICS.own(topic)
    for action in Action:
        assert TOPICS.allow(None, topic, action)


def test_each_topic_has_its_own_readers() -> None:
    assert TOPICS.allow("other", "site/log/x", SUBSCRIBE)
    assert not TOPICS.allow("reader", "site/log/x", SUBSCRIBE)
    assert TOPICS.allow(None, "site/+", SUBSCRIBE)
    assert TOPICS.allow(None, "site", PUBLISH)
    assert [TOPICS.has_reader(name) for name in ("reader", "other", "anna", None)] == [True, True, False, False]


def test_without_any_every_topic_is_everybodys() -> None:
    assert LogTopics().allow(None, "doorlog/x", PUBLISH)


LEVELS = st.sampled_from(["doorlog", "doorlogs", "site", "log", "", "+", "#", "x", "$share", "é"])


@given(st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(is_valid_filter))
def test_a_filter_lies_within_exactly_if_it_can_match_nothing_else(topic_filter: str) -> None:
    assert TOPICS.own(topic_filter) == any(contains(f"{prefix}/#", topic_filter) for prefix, _ in TOPICS.readers)


# From the settings


def settings(**sinks: dict[str, Any]) -> LogSettings:
    return LogSettings.model_validate({"sinks": sinks})


def test_a_log_without_such_a_sink_owns_nothing() -> None:
    assert log_topics(settings()) == log_topics(settings(far={"type": "syslog", "any": "key"})) == LogTopics()


def test_each_sink_has_its_topic_and_its_readers() -> None:
    sinks = settings(own={"type": "mqtt", "readers": ["reader"]}, more={"type": "mqtt", "topic": "site/log"})
    assert log_topics(sinks) == LogTopics((("doorlog", frozenset({"reader"})), ("site/log", frozenset())))


@pytest.mark.parametrize(("one", "other"), [("doorlog", "doorlog"), ("doorlog", "doorlog/x"), ("a/b/c", "a/b")])
def test_two_sinks_do_not_share_a_topic(one: str, other: str) -> None:
    with pytest.raises(SettingsError, match=r"^log\.sinks\.b\.topic: lies within that of log\.sinks\.a, or the other"):
        log_topics(settings(a={"type": "mqtt", "topic": one}, b={"type": "mqtt", "topic": other}))


def test_topics_that_only_look_alike_are_apart() -> None:
    assert len(log_topics(settings(a={"type": "mqtt"}, b={"type": "mqtt", "topic": "doorlogs"})).readers) == 2


def test_a_wrong_key_is_said_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"^log\.sinks\.own\.reader: unknown key$") as caught:
        log_topics(settings(own={"type": "mqtt", "reader": "anna"}))
    assert caught.value.faults == (("log.sinks.own.reader", "unknown key"),)


def test_another_packages_mqtt_is_no_reason_to_protect_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(BaseModel):
        """Of whoever calls a sink the same."""

    monkeypatch.setattr(log_topics_module, "sink_settings", lambda *_: Theirs())
    with pytest.raises(SettingsError, match=r"^log\.sinks\.own\.type: another package calls a sink mqtt: "):
        log_topics(settings(own={"type": "mqtt"}))


# In the broker


async def test_only_a_reader_subscribes_within(door: BrokerDoor) -> None:
    reader = await Device.connect(door, "desk", user="reader")
    stranger = await Device.connect(door, "pump-1", user="anna")
    nobody = await Device.connect(door, "pump-2")
    for topic_filter in WITHIN:
        assert await reader.subscribe((topic_filter, 1)) == [1]
        assert await stranger.subscribe((topic_filter, 0)) == await nobody.subscribe((topic_filter, 0)) == [REFUSED]
    expected = [(name, topic, "subscribe") for topic in WITHIN for name in ("pump-1", "pump-2")]
    assert [(name, topic, str(what)) for name, topic, what in door.refusals] == expected


async def test_a_record_goes_to_readers_once_at_qos_0_and_to_no_wildcard_of_others(door: BrokerDoor) -> None:
    reader = await Device.connect(door, "desk", user="reader")
    await reader.subscribe(("doorlog/#", 2), ("#", 1), ("+/+/connect/+", 0))
    stranger = await Device.connect(door, "pump-1", user="anna")
    assert await stranger.subscribe(*((topic_filter, 2) for topic_filter in BEYOND)) == [2] * len(BEYOND)
    await door.broker.publish_record(TOPIC, b"{}")
    await reader.publish("x", b"for all")
    assert await reader.messages() == [RECORD, Message("x", b"for all")]
    assert await stranger.messages() == [Message("x", b"for all")]
    assert not door.refusals


@pytest.mark.parametrize("user", ["reader", "anna", None])
async def test_nobody_publishes_within(door: BrokerDoor, user: str | None) -> None:
    reader = await Device.connect(door, "desk", user="reader")
    await reader.subscribe(("doorlog/#", 1))
    liar = await Device.connect(door, "pump-1", user=user, will=Will("doorlog/will", retain=True))
    for qos in (0, 1, 2):
        await liar.publish("doorlog/x", b"forged", qos)
    await liar.publish("doorlog", b"forged", retain=True)
    await liar.messages()
    liar.vanish()
    await door.connections[1].served()
    assert not await reader.messages()
    assert not door.broker.retained_messages
    asked = [("doorlog/x", PUBLISH)] * 3 + [("doorlog", PUBLISH), ("doorlog/will", "will")]
    assert door.refusals == [("pump-1", topic, what) for topic, what in asked]


async def test_a_session_from_before_the_configuration_changed_reads_no_record(door: BrokerDoor) -> None:
    door.broker.log_topics = LogTopics()
    session = await Device.connect(door, "pump-1", user="anna", clean=False)
    await session.subscribe(("doorlog/#", 1), ("#", 1))
    await session.disconnect()
    door.broker.log_topics = TOPICS
    session = await Device.connect(door, "pump-1", user="anna", clean=False)
    assert session.session_present
    await door.broker.publish_record(TOPIC, b"{}")
    assert not await session.messages()
    assert await session.subscribe(("doorlog/#", 1)) == [REFUSED], "not even the same filter again"
    await door.broker.publish_record(TOPIC, b"{}")
    assert not await session.messages()


async def test_only_readers_that_are_connected_are_looked_at(door: BrokerDoor) -> None:
    for number in range(5):
        await (await Device.connect(door, f"pump-{number}", user="anna")).subscribe(("#", 0))
    reader = await Device.connect(door, "desk", user="reader")
    await reader.subscribe(("doorlog/#", 0))
    assert list(door.broker._readers) == ["desk"]
    successor = await Device.connect(door, "desk", user="reader")
    await successor.subscribe(("+/+/+/pump-17", 0))
    await door.broker.publish_record(TOPIC, b"{}")
    assert await successor.messages() == [RECORD]
    await successor.disconnect()
    await door.connections[-1].served()
    assert not door.broker._readers


async def test_nothing_waits_for_a_reader_that_is_away(door: BrokerDoor) -> None:
    reader = await Device.connect(door, "desk", user="reader", clean=False)
    await reader.subscribe(("doorlog/#", 2))
    await reader.disconnect()
    await door.broker.publish_record(TOPIC, b"{}")
    reader = await Device.connect(door, "desk", user="reader", clean=False)
    assert not await reader.messages()
    await door.broker.publish_record(TOPIC, b"{}")
    assert await reader.messages() == [RECORD], "its subscription is still there"


async def test_what_was_retained_there_before_is_no_record(door: BrokerDoor) -> None:
    door.broker.log_topics = LogTopics()
    forger = await Device.connect(door, "pump-1", user="anna")
    await forger.publish("doorlog/x", b"forged", 1, retain=True)
    await forger.publish("other", b"kept", 1, retain=True)
    door.broker.log_topics = TOPICS
    door.broker.retained_messages["doorlog/y"] = RetainedApplicationMessage(None, "doorlog/y", b"from storage", 0)
    reader = await Device.connect(door, "desk", user="reader")
    await reader.subscribe(("doorlog/#", 0), ("doorlog/x", 0), ("#", 0))
    assert {message.topic for message in await reader.messages()} == {"other"}


async def test_no_plugin_publishes_there_for_somebody(door: BrokerDoor) -> None:
    reader = await Device.connect(door, "desk", user="reader")
    await reader.subscribe(("#", 0))
    context = BrokerContext(door.broker)
    await context.broadcast_message("doorlog/x", b"forged")
    await context.retain_message("doorlog/x", b"forged")
    await context.broadcast_message("other", b"sent")
    assert [message.topic for message in await reader.messages()] == ["other"]
    assert not door.broker.retained_messages


async def test_a_refusal_of_a_topic_plugin_still_holds_for_readers() -> None:
    async with BrokerDoor.open(refusing(subscribe=["doorlog/#"], receive=[TOPIC])) as door:
        door.broker.log_topics = TOPICS
        reader = await Device.connect(door, "desk", user="reader")
        assert await reader.subscribe(("doorlog/#", 0), ("doorlog/+/#", 0)) == [REFUSED, 0]
        await door.broker.publish_record(TOPIC, b"{}")
        await door.broker.publish_record("doorlog/edge-1/connect/_", b"{}")
        assert await reader.messages() == [Message("doorlog/edge-1/connect/_", b"{}")]


async def test_a_topic_plugin_that_allows_everything_opens_nothing() -> None:
    async with BrokerDoor.open(refusing()) as door:
        door.broker.log_topics = TOPICS
        boss = await Device.connect(door, "desk", user="boss")
        assert await boss.subscribe(("doorlog/#", 0), ("#", 0)) == [REFUSED, 0]
        await boss.publish("doorlog/x", b"forged", 1)
        await door.broker.publish_record(TOPIC, b"{}")
        assert not await boss.messages()
