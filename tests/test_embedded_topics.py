"""Which topics and filters the broker takes."""

from __future__ import annotations

import pytest

from doorlog.embedded.topics import has_wildcard, is_reserved, is_topic_filter, is_topic_name


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\x00", "/" * 200, "x" * 65_536])
def test_no_message_can_have_this_topic(topic: str) -> None:
    assert not is_topic_name(topic)


@pytest.mark.parametrize("topic_filter", ["", "a+/b", "#/a", "a/b#", "a\x00", "+/" * 200])
def test_no_subscription_can_have_this_filter(topic_filter: str) -> None:
    assert not is_topic_filter(topic_filter)


@pytest.mark.parametrize("topic", ["a", "/", "$SYS/uptime", "plant 7/süd", "/" * 199])
def test_topic_and_filter_of_the_same_name(topic: str) -> None:
    assert is_topic_name(topic)
    assert is_topic_filter(topic)
    assert not has_wildcard(topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/b/#", "/+"])
def test_filter_with_wildcards(topic_filter: str) -> None:
    assert is_topic_filter(topic_filter)
    assert has_wildcard(topic_filter)


def test_topics_of_the_servers_own_begin_with_a_dollar_sign() -> None:
    assert is_reserved("$SYS/uptime")
    assert not is_reserved("a/$b")
