"""Who gets a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.embedded.session import BrokerSession
from doorlog.embedded.subscriptions import SubscriptionTable
from doorlog.topics import matches

LEVELS = st.sampled_from(["a", "b", "", "$x"])
FILTERS = st.lists(LEVELS | st.just("+"), min_size=1, max_size=4).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"])
)
NAMES = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)


def session(client_id: str) -> BrokerSession:
    made = BrokerSession()
    made.client_id = client_id
    return made


@pytest.fixture
def filters() -> dict[str, list[tuple[BrokerSession, int]]]:
    return {}


@pytest.fixture
def table(filters: dict[str, list[tuple[BrokerSession, int]]]) -> SubscriptionTable:
    return SubscriptionTable(filters)


def test_only_those_asked_about_are_found_by_filter_and_by_name(table: SubscriptionTable) -> None:
    asked = [session("name"), session("wild"), session("both"), session("neither")]
    for topic_filter, sessions in {"a/b": asked[::2], "a/+": asked[1:3], "b/#": asked[3:]}.items():
        for each in sessions:
            table.add(each, topic_filter, 1)
    table.add(session("somebody else"), "#", 1)
    assert table.subscribed(asked, "a/b") == asked[:3]
    assert table.subscribed([], "a/b") == []
    assert table.subscribed(asked, "c") == []


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("+/b", "a/b", True),
        ("+/+", "/x", True),
        ("#", "a/b", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("$SYS/+", "$SYS/a", True),
    ],
)
def test_filter_matches_a_topic(table: SubscriptionTable, topic_filter: str, topic: str, *, expected: bool) -> None:
    table.add(session("pump-1"), topic_filter, 1)
    assert bool(table.matching(topic)) is expected


def test_client_is_found_once_with_its_highest_qos(table: SubscriptionTable) -> None:
    device, other = session("pump-1"), session("pump-2")
    for topic_filter, qos in (("a/b", 0), ("a/+", 2), ("a/#", 1)):
        table.add(device, topic_filter, qos)
    table.add(other, "#", 0)
    found = table.matching("a/b")
    assert len(found) == 2
    assert [qos for subscriber, qos in found if subscriber is device] == [2]
    assert [qos for subscriber, qos in found if subscriber is other] == [0]


def test_subscribing_again_replaces_the_qos(
    table: SubscriptionTable, filters: dict[str, list[tuple[BrokerSession, int]]]
) -> None:
    device = session("pump-1")
    table.add(session("pump-2"), "a/+", 1)
    table.add(device, "a/+", 2)
    table.add(device, "a/+", 0)
    assert [qos for _, qos in filters["a/+"]] == [1, 0]


def test_removed_subscriptions_leave_nothing(
    table: SubscriptionTable, filters: dict[str, list[tuple[BrokerSession, int]]]
) -> None:
    device, other = session("pump-1"), session("pump-2")
    for topic_filter in ("a", "a/+/c", "a/+", "a/+/#"):
        table.add(device, topic_filter, 1)
    table.add(other, "a/+", 1)
    assert table.remove(device, "a/+")
    assert not table.remove(device, "a/+")
    assert not table.remove(device, "never")
    table.remove_all(device)
    assert list(filters) == ["a/+"]
    assert [subscriber for subscriber, _ in table.matching("a/b")] == [other]
    table.remove_all(other)
    assert not filters
    assert not table.matching("a/b")


def test_successor_gets_what_its_predecessor_subscribed_to(table: SubscriptionTable) -> None:
    old, new = session("pump-1"), session("pump-1")
    table.add(old, "a/+", 1)
    new.inherit(old)
    table.hand_over(new)
    ((subscriber, qos),) = table.matching("a/b")
    assert subscriber is new
    assert qos == 1


def test_each_session_leaves_alone(
    table: SubscriptionTable, filters: dict[str, list[tuple[BrokerSession, int]]]
) -> None:
    devices = [session(f"pump-{number}") for number in range(5)]
    for qos, device in enumerate(devices):
        table.add(device, "t", qos)
    for leaving in (0, 3, 4, 1):
        table.remove(devices[leaving], "t")
        assert all(filters["t"][device.subscriptions["t"]][0] is device for device in devices if device.subscriptions)
    assert filters == {"t": [(devices[2], 2)]}


def test_cleared_table_matches_nothing(table: SubscriptionTable) -> None:
    table.add(session("pump-1"), "a/+", 1)
    table.clear()
    assert not table.matching("a/b")


@given(st.lists(FILTERS, max_size=12, unique=True), st.lists(st.integers(0, 11)), NAMES)
def test_tree_finds_what_comparing_each_filter_finds(added: list[str], removed: list[int], topic: str) -> None:
    table = SubscriptionTable({})
    subscribers = {topic_filter: session(topic_filter) for topic_filter in added}
    for topic_filter, subscriber in subscribers.items():
        table.add(subscriber, topic_filter, 0)
    for topic_filter in {added[number] for number in removed if number < len(added)}:
        table.remove(subscribers.pop(topic_filter), topic_filter)
    expected = {topic_filter for topic_filter in subscribers if matches(topic_filter, topic)}
    assert {subscriber.client_id for subscriber, _ in table.matching(topic)} == expected
