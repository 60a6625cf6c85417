"""The last retained message of each topic, bounded, for subscriptions to come (MQTT 3.1.1, 3.3.1.3)."""

from __future__ import annotations

from collections.abc import Iterator

from amqtt.broker import RetainedApplicationMessage

from doorlog.embedded.limits import BrokerLimits
from doorlog.embedded.topics import has_wildcard
from doorlog.topics import TopicFilter

_TOPICS_PER_TURN = 1_000


class RetainedStore:
    """Keeps amqtt's ``Broker._retained_messages``, which plugins read, within bounds.

    Args:
        messages: The retained message by topic; shared with amqtt's broker.
        limits: How many, and how large.

    Attributes:
        dropped: How many messages were not retained since there were too many.
    """

    __slots__ = ("_bytes", "_limits", "_messages", "dropped")

    def __init__(self, messages: dict[str, RetainedApplicationMessage], limits: BrokerLimits) -> None:
        self._messages = messages
        self._limits = limits
        self._bytes = 0
        self.dropped = 0

    def put(self, topic: str, data: bytes, qos: int | None) -> RetainedApplicationMessage | None:
        """Retain a message in place of the topic's last; an empty one only clears (3.3.1-10, 3.3.1-11).

        Returns:
            What plugins are told: the message, or the one that was cleared with its payload emptied; None
            where nothing has changed for them.
        """
        old = self._messages.pop(topic, None)
        if old is not None:
            self._bytes = max(0, self._bytes - len(topic) - len(old.data))
        size = len(topic) + len(data)
        room = (
            len(self._messages) < self._limits.max_retained_messages
            and self._bytes + size <= self._limits.max_retained_bytes
        )
        if data and room:
            # No source session: amqtt would keep each publisher's whole session alive with its message.
            message = RetainedApplicationMessage(None, topic, data, qos)
            self._messages[topic] = message
            self._bytes += size
            return message
        if data:
            self.dropped += 1
        if old is not None:
            # Cleared, or outdated: a subscriber must not be told yesterday's value for today's.
            old.data = b""
        return old

    def get(self, topic: str) -> RetainedApplicationMessage | None:
        """Return the retained message of a topic."""
        return self._messages.get(topic)

    def matching(self, topic_filter: str) -> Iterator[list[str]]:
        """Find the topics with a retained message that a filter matches.

        Yields:
            Lists of topics, each after a bounded piece of work, so that the caller can let others have a turn;
            the store may change between them.
        """
        if not has_wildcard(topic_filter):
            yield [topic_filter] if topic_filter in self._messages else []
            return
        wanted = TopicFilter.parse(topic_filter)
        for topics in _slices(tuple(self._messages)):
            yield [topic for topic in topics if wanted.covers_name(topic.split("/"))]

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._bytes = 0


def _slices(topics: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(topics), _TOPICS_PER_TURN):
        yield topics[start : start + _TOPICS_PER_TURN]
