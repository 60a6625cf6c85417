"""Which topics and filters this broker takes: those of MQTT 3.1.1, 4.7, down to a depth that is cheap to match."""

from __future__ import annotations

from doorlog.topics import is_valid_filter, is_valid_topic_name

_MAX_LEVELS = 200  # mosquitto's bound too; deeper ones exist only to make matching slow


def is_topic_name(topic: str) -> bool:
    """Whether a message can be published to this topic."""
    return topic.count("/") < _MAX_LEVELS and is_valid_topic_name(topic)


def is_topic_filter(topic_filter: str) -> bool:
    """Whether a subscription can have this filter."""
    return topic_filter.count("/") < _MAX_LEVELS and is_valid_filter(topic_filter)


def has_wildcard(topic_filter: str) -> bool:
    """Whether the filter can match more than the topic of the same name."""
    return "+" in topic_filter or "#" in topic_filter


def is_reserved(topic: str) -> bool:
    """Whether the topic is one of the server's own (4.7.2), which clients do not use among each other."""
    return topic.startswith("$")
