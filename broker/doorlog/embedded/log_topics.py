"""The topics that belong to the log: nobody may publish there, and only who is named may read there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amqtt.contexts import Action

from doorlog.errors import SettingsError
from doorlog.log.mqtt_sink import MqttOptions
from doorlog.log.registry import sink_settings

if TYPE_CHECKING:
    from doorlog.settings.log_models import LogSettings


@dataclass(frozen=True, slots=True)
class LogTopics:
    """What the log publishes records on; without any, every topic is everybody's.

    Attributes:
        readers: Who may read, by the topic below which records are published. None of these lies within another.
    """

    readers: tuple[tuple[str, frozenset[str]], ...] = ()

    def own(self, topic: str) -> bool:
        """Whether a topic, or each topic that a filter can match, belongs to the log."""
        return self._readers_of(topic) is not None

    def has_reader(self, principal: str | None) -> bool:
        """Whether somebody may read any of it."""
        return any(principal in readers for _, readers in self.readers)

    def allow(self, principal: str | None, topic: str, action: Action) -> bool:
        """Whether the log has nothing against what a client does; the topic plugins may still have.

        Args:
            principal: Who was authenticated: a claimed name counts for nothing.
            topic: A valid topic name, or a valid filter to subscribe to. One that matches other topics as well, such
                as ``#``, is allowed: what it matches of the log's is refused message by message.
            action: What the client does.
        """
        readers = self._readers_of(topic)
        return readers is None or (action is not Action.PUBLISH and principal in readers)

    def _readers_of(self, topic: str) -> frozenset[str] | None:
        # Our prefix has no wildcard, so a filter lies within it if it begins with the same levels (4.7.1): one with a
        # wildcard before that end matches other topics as well.
        for prefix, readers in self.readers:
            if topic.startswith(prefix) and topic[len(prefix) : len(prefix) + 1] in {"", "/"}:
                return readers
        return None


def log_topics(log: LogSettings) -> LogTopics:
    """Read from the settings which topics belong to the log, and to whom they may go.

    Raises:
        SettingsError: A key of a sink is wrong, or two sinks publish below the same topic.
    """
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for name, sink in log.sinks.items():
        if sink.type != "mqtt":
            continue
        place = f"log.sinks.{name}"
        options = sink_settings(place, sink.type, sink.options)
        if not isinstance(options, MqttOptions):
            raise _error(f"{place}.type", "another package calls a sink mqtt: remove that package")
        for other, (topic, _) in found.items():
            if f"{options.topic}/".startswith(f"{topic}/") or f"{topic}/".startswith(f"{options.topic}/"):
                raise _error(f"{place}.topic", f"lies within that of log.sinks.{other}, or the other way round")
        found[name] = (options.topic, frozenset(options.readers))
    return LogTopics(tuple(found.values()))


def _error(place: str, fault: str) -> SettingsError:
    return SettingsError(f"{place}: {fault}", ((place, fault),))
