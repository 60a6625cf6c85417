"""The last message of each topic."""

from __future__ import annotations

import pytest
from amqtt.broker import RetainedApplicationMessage

from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.retained import RetainedStore


@pytest.fixture
def messages() -> dict[str, RetainedApplicationMessage]:
    return {}


def found(store: RetainedStore, topic_filter: str) -> list[str]:
    return [topic for part in store.matching(topic_filter) for topic in part]


def test_message_too_many_is_not_retained(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits(max_retained_messages=1))
    assert store.put("a", b"1", 0)
    assert store.put("b", b"1", 0) is None
    assert store.put("a", b"2", 0)
    assert list(messages) == ["a"]
    assert store.dropped == 1


def test_message_too_large_takes_the_outdated_one_with_it(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits(max_retained_bytes=10))
    store.put("a", b"12345", 0)
    cleared = store.put("a", b"1234567890", 0)
    assert cleared is not None
    assert cleared.data == b""
    assert not messages
    assert store.put("b", b"123456789", 0)
    assert store.put("c", b"", 0) is None


def test_replaced_and_cleared_messages_make_room(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits(max_retained_bytes=10))
    for payload in (b"123456789", b"1", b"", b"123456789"):
        store.put("a", payload, 1)
    assert messages["a"].data == b"123456789"
    store.clear()
    assert store.put("bcd", b"1234567", 1)
    assert store.dropped == 0


def test_retained_message_keeps_no_session_alive(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits())
    kept = store.put("a", b"1", 2)
    assert kept is not None
    assert kept is store.get("a")
    assert (kept.source_session, kept.qos, kept.retain) == (None, 2, True)
    assert store.get("b") is None


def test_filters_find_topics(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits())
    for topic in ("a/1", "a/2", "b", "$SYS/a"):
        store.put(topic, b"1", 0)
    assert found(store, "a/+") == ["a/1", "a/2"]
    assert found(store, "#") == ["a/1", "a/2", "b"]
    assert found(store, "b") == ["b"]
    assert found(store, "c") == []


def test_many_topics_are_searched_a_part_at_a_time(messages: dict[str, RetainedApplicationMessage]) -> None:
    store = RetainedStore(messages, BrokerLimits())
    for number in range(2_500):
        store.put(f"t/{number}", b"1", 0)
    parts = list(store.matching("t/+"))
    assert [len(part) for part in parts] == [1_000, 1_000, 500]
