"""Records as messages: under which topic, in which order, and what becomes of those that our broker did not take."""

from __future__ import annotations

from concurrent.futures import Future

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import SettingsError, SinkError
from doorlog.log import mqtt_sink
from doorlog.log.mqtt_sink import MqttOptions, MqttSink, Topics, topic_level
from doorlog.log.registry import build_sink, sink_class
from doorlog.log.sink import SinkContext
from doorlog.topics import is_valid_topic_name

PLACE = "log.sinks.own"


class Broker:
    """Takes what is published, at once or when its test wants.

    Attributes:
        published: Topic and payload of each record, in order.
        futures: What their publisher was given.
        fault: What is wrong with the broker.
        is_slow: Whether it takes nothing by itself.
    """

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.futures: list[Future[None]] = []
        self.fault: Exception | None = None
        self.is_slow = False

    def publish(self, topic: str, payload: bytes) -> Future[None]:
        future: Future[None] = Future()
        self.published.append((topic, payload))
        self.futures.append(future)
        if self.fault is not None:
            future.set_exception(self.fault)
        elif not self.is_slow:
            future.set_result(None)
        return future

    def sink(self, **options: object) -> MqttSink:
        context = SinkContext("own", "doorlog", "edge-1", "1.0", self.publish)
        sink = build_sink(PLACE, "mqtt", options, context)
        assert isinstance(sink, MqttSink)
        return sink


def line(action: str = "connect", device: str | None = "pump-17", **groups: object) -> bytes:
    event = {"action": action, **({"code": groups.pop("code")} if "code" in groups else {})}
    record = {"event": event, **({"device": {"id": device}} if device is not None else {}), **groups}
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


ECHO = line("authorize", code="publish_refused", user={"name": "reader"}, mqtt={"topic": "doorlog/x"})
"""What is recorded when a reader publishes what it has read."""

# Where


def test_the_topic_says_which_broker_what_and_which_device() -> None:
    broker = Broker()
    broker.sink().write([line(), line("audit_started", device=None)])
    assert [topic for topic, _ in broker.published] == [
        "doorlog/edge-1/connect/pump-17",
        "doorlog/edge-1/audit_started/_",
    ]


def test_the_message_is_the_line_without_its_end() -> None:
    broker = Broker()
    lines = [line(device=f"pump-{number}") for number in range(5)]
    broker.sink(topic="site/log").write(lines)
    assert [payload + b"\n" for _, payload in broker.published] == lines
    assert broker.published[0][0] == "site/log/edge-1/connect/pump-0"


@pytest.mark.parametrize("text", [b"no JSON\n", b"[]\n", b'{"event":[],"device":7}\n', b'{"event":{"action":5}}\n'])
def test_whatever_a_processor_made_of_a_record_has_a_topic(text: bytes) -> None:
    broker = Broker()
    broker.sink().write([text])
    assert broker.published == [("doorlog/edge-1/_/_", text.removesuffix(b"\n"))]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("pump-17", "pump-17"),
        ("a/b", "a%2Fb"),
        ("+", "%2B"),
        ("#", "%23"),
        ("x\0y\n\x1b", "x%00y%0A%1B"),
        ("$SYS", "%24SYS"),
        ("50%", "50%25"),
        ("pümp", "p%C3%BCmp"),
        ("", "_"),
        ("_", "%5F"),
        ("~", "%7E"),
        ("\ud800", "%5Cud800"),
        ("a" * 128, "a" * 128),
    ],
)
def test_nothing_that_a_client_chose_is_more_than_one_level(text: str, level: str) -> None:
    assert topic_level(text) == level


def test_a_long_name_is_cut_and_still_its_own() -> None:
    one, other = topic_level("a" * 2000), topic_level("a" * 1999 + "b")
    assert one != other
    assert len(one) == len(other) == 96 + 1 + 16
    assert topic_level(one) != one, "a device can not take the name that another was cut to"


@given(st.text(), st.text())
def test_each_name_has_a_level_of_its_own(one: str, other: str) -> None:
    levels = [topic_level(text) for text in (one, other)]
    assert (levels[0] == levels[1]) == (one == other)
    for level in levels:
        assert len(level) <= 128
        assert is_valid_topic_name(level)
        assert "/" not in level


@given(st.text(), st.text(), st.text())
def test_whatever_a_record_holds_its_topic_is_four_levels(instance: str, action: str, device: str) -> None:
    topic = Topics("doorlog", instance)({"event": {"action": action}, "device": {"id": device}})
    assert topic.count("/") == 3
    assert topic.startswith("doorlog/")
    assert is_valid_topic_name(topic)


# What the broker did not take


def test_records_are_published_before_the_ones_in_front_of_them_are_taken() -> None:
    broker = Broker()
    taken: list[int] = []

    class Counted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            taken.append(len(broker.published))
            self.set_result(None)

    def publish(topic: str, payload: bytes) -> Future[None]:
        broker.published.append((topic, payload))
        return Counted()

    MqttSink(MqttOptions(), SinkContext("own", "doorlog", "edge-1", "1.0", publish)).write([line()] * 250)
    assert taken[:2] == [100, 101]
    assert taken[-1] == len(broker.published) == 250


def test_a_broker_that_fails_is_said_with_how_many_it_did_not_take() -> None:
    broker = Broker()
    sink = broker.sink(readers=["reader"])
    broker.is_slow = True
    sink_error = SinkError("1000 records wait for our own broker already")

    def publish_and_fail_at_the_third(topic: str, payload: bytes) -> Future[None]:
        future = Broker.publish(broker, topic, payload)
        if len(broker.futures) == 3:
            future.set_exception(sink_error)
        elif len(broker.futures) < 3:
            future.set_result(None)
        return future

    sink._publish = publish_and_fail_at_the_third
    with pytest.raises(SinkError, match=r"^1000 records wait for our own broker already$") as failed:
        sink.write([*[line()] * 4, ECHO, line()])
    assert failed.value.lost == 4
    assert [future.cancelled() for future in broker.futures] == [False, False, False, True, True], "they come again"


def test_what_a_plugin_raises_is_no_more_than_a_sentence() -> None:
    broker = Broker()
    broker.fault = RuntimeError("a plugin\nfailed")
    with pytest.raises(SinkError, match=r"^RuntimeError: a plugin\\u000Afailed$") as failed:
        broker.sink().write([line()])
    assert failed.value.lost == 1


def test_a_broker_that_hangs_is_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_sink, "_WRITE_SECONDS", 0.01)
    broker = Broker()
    broker.is_slow = True
    with pytest.raises(SinkError, match=r"^our own broker did not take a record within 0\.01 s$") as late:
        broker.sink().write([line()] * 300)
    assert late.value.lost == 300
    assert all(future.cancelled() for future in broker.futures)
    assert len(broker.futures) == 100, "no more are brought to a broker that takes none"


def test_at_the_end_there_is_nothing_left_to_write() -> None:
    Broker().sink().close()


# The log does not feed itself


@pytest.mark.parametrize("topic", ["doorlog", "doorlog/edge-1/connect/_", "doorlog/x"])
def test_a_reader_that_repeats_what_it_reads_is_not_told_that_it_may_not(topic: str) -> None:
    broker = Broker()
    echo = ECHO.replace(b"doorlog/x", topic.encode())
    broker.sink(readers=["reader"]).write([line(), echo, line()])
    assert [payload + b"\n" for _, payload in broker.published] == [line(), line()]


@pytest.mark.parametrize(
    ("code", "name", "topic"),
    [
        ("publish_refused", "somebody", "doorlog/x"),
        ("publish_refused", "reader", "doorlogs/x"),
        ("publish_refused", "reader", "pumps/doorlog/x"),
        ("subscribe_refused", "reader", "doorlog/x"),
        ("will_refused", "reader", "doorlog/x"),
    ],
)
def test_every_other_refusal_is_published(code: str, name: str, topic: str) -> None:
    broker = Broker()
    refusal = line("authorize", code=code, user={"name": name}, mqtt={"topic": topic})
    broker.sink(readers=["reader"]).write([refusal])
    assert len(broker.published) == 1


# Settings


def test_without_a_key_nobody_reads() -> None:
    assert MqttOptions() == MqttOptions(topic="doorlog", readers=())


def test_it_waits_in_memory_and_is_known_by_its_topic() -> None:
    assert sink_class(PLACE, "mqtt").buffer == "memory"
    assert Broker().sink(topic="site/log").name == "mqtt site/log"


@pytest.mark.parametrize(
    "topic",
    ["", "/", "/doorlog", "doorlog/", "a//b", "#", "doorlog/#", "+", "$SYS", "$share/x", "a b", "a\n", "a\0", "dörlog",
     "a" * 129, "a/b/c/d/e"],
)  # fmt: skip
def test_a_topic_that_can_not_be_kept_for_the_log(topic: str) -> None:
    with pytest.raises(SettingsError, match=r"^log\.sinks\.own\.topic: expected one to four levels of letters, "):
        Broker().sink(topic=topic)


def test_a_reader_has_a_name() -> None:
    with pytest.raises(SettingsError, match=r"^log\.sinks\.own\.readers\.0: "):
        Broker().sink(readers=[""])


def test_it_needs_a_broker_of_ours() -> None:
    with pytest.raises(SinkError, match=r"^can not publish records on an MQTT topic: behind this door is no broker"):
        build_sink(PLACE, "mqtt", {}, SinkContext("own", "doorlog", "edge-1", "1.0"))
