"""Who gets a message: amqtt's table of subscriptions, with a tree of the filters that have wildcards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from doorlog.embedded.topics import has_wildcard, is_reserved

if TYPE_CHECKING:
    from doorlog.embedded.session import BrokerSession


class _Level:
    """What filters may have below one of their levels: asked once for each level of a topic, not for each filter.

    Attributes:
        below: The next level by its text, wildcards included.
        ends: The filter that ends here, if one does.
    """

    __slots__ = ("below", "ends")

    def __init__(self) -> None:
        self.below: dict[str, _Level] = {}
        self.ends: str | None = None

    def add(self, topic_filter: str) -> None:
        """Put in a valid filter."""
        place = self
        for level in topic_filter.split("/"):
            place = place.below.setdefault(level, _Level())
        place.ends = topic_filter

    def remove(self, topic_filter: str) -> None:
        """Take out a filter that is in here, with the levels that only it has."""
        path = [self]
        levels = topic_filter.split("/")
        for level in levels:
            path.append(path[-1].below[level])
        path[-1].ends = None
        for level, above, place in zip(reversed(levels), reversed(path[:-1]), reversed(path), strict=False):
            if place.below or place.ends is not None:
                return
            del above.below[level]

    def matching(self, topic: str) -> Iterator[str]:
        """Find the filters that match a valid topic name (MQTT 3.1.1, 4.7.1 and 4.7.2-1)."""
        if not self.below:
            return
        levels = topic.split("/")
        places = [(self, 0)]
        while places:
            place, depth = places.pop()
            wild = depth > 0 or not is_reserved(topic)
            everything = place.below.get("#") if wild else None
            if everything is not None and everything.ends is not None:
                yield everything.ends  # also at the parent level: "a/#" matches "a"
            if depth < len(levels):
                below = (place.below.get(levels[depth]), place.below.get("+") if wild else None)
                places += [(level, depth + 1) for level in below if level is not None]
            elif place.ends is not None:
                yield place.ends


class SubscriptionTable:
    """Adds to, removes from and searches amqtt's ``Broker._subscriptions``, which plugins read.

    Nothing here awaits, so that the table can not change while it is searched. amqtt awaits the plugins in
    the middle of its search: of 300 QoS 1 messages under subscribe churn, 153 were lost to "dictionary changed
    size during iteration".

    Args:
        filters: Sessions and granted QoS by topic filter; shared with amqtt's broker. Each session knows its
            place in these lists: a fleet that reconnects at once must not search for itself.
    """

    __slots__ = ("_filters", "_wildcards")

    def __init__(self, filters: dict[str, list[tuple[BrokerSession, int]]]) -> None:
        self._filters = filters
        self._wildcards = _Level()

    def add(self, session: BrokerSession, topic_filter: str, qos: int) -> None:
        """Subscribe, or replace the QoS of the same filter (MQTT 3.1.1, 3.8.4-3)."""
        entries = self._filters.setdefault(topic_filter, [])
        place = session.subscriptions.setdefault(topic_filter, len(entries))
        entries[place : place + 1] = [(session, qos)]
        if has_wildcard(topic_filter):
            self._wildcards.add(topic_filter)

    def remove(self, session: BrokerSession, topic_filter: str) -> bool:
        """Unsubscribe; whether there was such a subscription."""
        place = session.subscriptions.pop(topic_filter, None)
        if place is None:
            return False
        entries = self._filters[topic_filter]
        last = entries.pop()
        if place < len(entries):
            entries[place] = last
            last[0].subscriptions[topic_filter] = place
        if not entries:
            del self._filters[topic_filter]
            if has_wildcard(topic_filter):
                self._wildcards.remove(topic_filter)
        return True

    def remove_all(self, session: BrokerSession) -> None:
        """Drop each subscription of a session."""
        for topic_filter in tuple(session.subscriptions):
            self.remove(session, topic_filter)

    def hand_over(self, heir: BrokerSession) -> None:
        """Let the subscriptions that a session has inherited deliver to it."""
        for topic_filter, place in heir.subscriptions.items():
            entries = self._filters[topic_filter]
            entries[place] = (heir, entries[place][1])

    def clear(self) -> None:
        """Drop everything."""
        self._filters.clear()
        self._wildcards = _Level()

    def matching(self, topic: str) -> list[tuple[BrokerSession, int]]:
        """Return each session that subscribes to a topic, once, with the highest QoS that it was granted.

        With overlapping subscriptions a client gets one copy, at the maximum QoS (MQTT 3.1.1, 3.3.5-1).
        """
        found: dict[str | None, tuple[BrokerSession, int]] = {}
        self._collect(topic, found)
        for topic_filter in self._wildcards.matching(topic):
            self._collect(topic_filter, found)
        return list(found.values())

    def subscribed(self, sessions: Iterable[BrokerSession], topic: str) -> list[BrokerSession]:
        """Return which of some sessions subscribe to a topic; how many others do costs nothing."""
        filters = (topic, *self._wildcards.matching(topic))
        return [session for session in sessions if any(found in session.subscriptions for found in filters)]

    def _collect(self, topic_filter: str, found: dict[str | None, tuple[BrokerSession, int]]) -> None:
        for session, qos in self._filters.get(topic_filter, ()):
            known = found.get(session.client_id)
            if known is None or known[1] < qos:
                found[session.client_id] = (session, qos)
