"""Topic names and topic filters: which are valid, and which filter matches which name (MQTT 3.1.1, 4.7)."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_LEVELS = 200  # deeper ones exist only to make matching slow; mosquitto's bound too


def is_topic_name(topic: str) -> bool:
    """Whether a message can be published to this topic: not empty, no wildcards, no U+0000 (4.7.1-1, 4.7.3)."""
    return (
        bool(topic) and "+" not in topic and "#" not in topic and "\x00" not in topic and topic.count("/") < _MAX_LEVELS
    )


def is_topic_filter(topic_filter: str) -> bool:
    """Whether a subscription can have this filter: wildcards are whole levels, ``#`` the last (4.7.1-2, 4.7.1-3)."""
    if not topic_filter or "\x00" in topic_filter or topic_filter.count("/") >= _MAX_LEVELS:
        return False
    if "+" not in topic_filter and "#" not in topic_filter:
        return True
    levels = topic_filter.split("/")
    return "#" not in levels[:-1] and not any(len(level) > 1 and ("+" in level or "#" in level) for level in levels)


def has_wildcard(topic_filter: str) -> bool:
    """Whether the filter can match more than the topic of the same name."""
    return "+" in topic_filter or "#" in topic_filter


def is_reserved(topic: str) -> bool:
    """Whether the topic is one of the server's own (4.7.2), which clients do not use among each other."""
    return topic.startswith("$")


def matches(filter_levels: Sequence[str], topic_levels: Sequence[str]) -> bool:
    """Whether a filter matches a topic name.

    Args:
        filter_levels: a valid filter, split at ``/``.
        topic_levels: a valid topic name, split at ``/``.

    Returns:
        False also for a wildcard in the first level over a topic that begins with ``$`` (4.7.2-1).
    """
    if topic_levels[0].startswith("$") and filter_levels[0] in {"+", "#"}:
        return False
    for position, level in enumerate(filter_levels):
        if level == "#":
            return True  # also the parent level: "a/#" matches "a" (4.7.1.2)
        if position >= len(topic_levels) or level not in {"+", topic_levels[position]}:
            return False
    return len(filter_levels) == len(topic_levels)
