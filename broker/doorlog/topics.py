"""Topic names and topic filters (MQTT 3.1.1, 4.7): what is valid, what matches, what lies within what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MAX_BYTES = 65_535  # 4.7.3-3

Level = str | None
"""One level of a filter: its text, or None for the wildcard ``+``; thus no text can pass for a wildcard."""


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """A topic filter, taken apart.

    Attributes:
        levels: The levels that a topic begins with, at least one, without the closing ``#``.
        is_open: Whether the filter ends in ``#``: topics may go on below ``levels``.
    """

    levels: tuple[Level, ...]
    is_open: bool = False

    @classmethod
    def parse(cls, text: str) -> TopicFilter:
        """Take a filter apart.

        Raises:
            ValueError: If the filter is not valid (MQTT 3.1.1, 4.7.1 and 4.7.3).
        """
        if not is_valid_filter(text):
            raise ValueError("not a valid topic filter (MQTT 3.1.1, 4.7)")
        levels = tuple(None if level == "+" else level for level in text.split("/"))
        if levels[-1] != "#":
            return cls(levels)
        # A topic has at least one character (4.7.3-1), so that "#" is "+/#" and "/#" is "/+/#".
        beginning = levels[:-1]
        return cls((*beginning, None) if beginning in {(), ("",)} else beginning, is_open=True)

    def covers_name(self, name_levels: Sequence[str]) -> bool:
        """Tell whether the filter matches a valid topic name, given as its levels (4.7.1, 4.7.2-1)."""
        levels = self.levels
        if len(name_levels) < len(levels) or (len(name_levels) > len(levels) and not self.is_open):
            return False
        if levels[0] is None and name_levels[0].startswith("$"):
            return False
        return all(mine is None or mine == theirs for mine, theirs in zip(levels, name_levels, strict=False))

    def covers(self, other: TopicFilter) -> bool:
        """Tell whether the filter matches every topic name that ``other`` matches."""
        mine, theirs = self.levels, other.levels
        if (other.is_open and not self.is_open) or len(theirs) < len(mine):
            return False
        if len(theirs) > len(mine) and not self.is_open:
            return False
        if mine[0] is None and theirs[0] is not None and theirs[0].startswith("$"):
            return False
        return all(ours is None or ours == level for ours, level in zip(mine, theirs, strict=False))


def is_valid_topic_name(name: str) -> bool:
    """Tell whether a message may be published to ``name`` (MQTT 3.1.1, 4.7.1-1 and 4.7.3)."""
    return "+" not in name and "#" not in name and _is_topic_text(name)


def is_valid_filter(topic_filter: str) -> bool:
    """Tell whether ``topic_filter`` may be subscribed to (MQTT 3.1.1, 4.7.1-2, 4.7.1-3 and 4.7.3)."""
    beginning, _, last = topic_filter.rpartition("/")
    if "#" in beginning or ("#" in last and last != "#"):
        return False
    if "+" in topic_filter and any("+" in level and level != "+" for level in topic_filter.split("/")):
        return False
    return _is_topic_text(topic_filter)


def matches(topic_filter: str, topic_name: str) -> bool:
    """Tell whether a message to ``topic_name`` goes to a subscriber of ``topic_filter``.

    Returns:
        False also when either of the two is not valid.
    """
    if not (is_valid_filter(topic_filter) and is_valid_topic_name(topic_name)):
        return False
    return TopicFilter.parse(topic_filter).covers_name(topic_name.split("/"))


def contains(allowed_filter: str, requested_filter: str) -> bool:
    """Tell whether every topic that ``requested_filter`` matches is matched by ``allowed_filter``.

    Each allowed filter is judged for itself: ``a`` and ``a/+/#`` together cover ``a/#``, but neither does alone.

    Returns:
        False also when either of the two is not valid.
    """
    if not (is_valid_filter(allowed_filter) and is_valid_filter(requested_filter)):
        return False
    return TopicFilter.parse(allowed_filter).covers(TopicFilter.parse(requested_filter))


def _is_topic_text(text: str) -> bool:
    """Whether it has 1 to 65,535 bytes of UTF-8 without U+0000 (1.5.3-1, 4.7.3-1 to 4.7.3-3)."""
    if not text or "\0" in text or len(text) > _MAX_BYTES:
        return False
    try:
        return len(text.encode()) <= _MAX_BYTES
    except UnicodeEncodeError:  # a surrogate can not be sent
        return False
