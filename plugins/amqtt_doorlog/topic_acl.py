"""Who may publish, subscribe and receive what, with filters that contain exactly what MQTT says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from doorlog.embedded.session_attributes import PRINCIPAL
from doorlog.errors import SettingsError
from doorlog.topics import Level, TopicFilter, is_valid_topic_name

ANONYMOUS = "anonymous"
EVERYBODY = "*"

_NAMES = re.compile("(%u|%c)")


@dataclass
class AclRules:
    """What one user may do, as topic filters; what no filter covers is refused."""

    publish: list[str] = field(default_factory=list)
    """Where messages may be published, wills included."""
    subscribe: list[str] = field(default_factory=list)
    """What may be subscribed to: a requested filter passes if one of these covers all of it."""
    receive: list[str] | None = None
    """What may be delivered; without it, what may be subscribed to."""


class TopicAclPlugin(BaseTopicPlugin):
    """Permits by rules, and refuses everything else.

    Rules go by user: a verified user name, or the name in a client certificate. A name that
    nobody has verified counts as ``anonymous``, and what stands under ``*`` holds for everybody, anonymous
    devices included. A user that is itself called ``anonymous`` or ``*`` has the rules for everybody only.

    In a filter, ``%u`` stands for the user and ``%c`` for the client id. Their text is never a wildcard, never
    more than one level, and never opens topics that begin with ``$``; a filter whose name is missing or
    empty permits nothing. A client id is the device's own choice: give ``%c`` to nobody who may not choose it.

        amqtt_doorlog.TopicAclPlugin:
          rules:
            backend:
              publish: ["lp/+/commands"]
              subscribe: ["#", "$SYS/#"]
            "*":
              publish: ["lp/%u/state", "lp/%u/log/#"]
              subscribe: ["lp/%u/commands"]
            anonymous:
              publish: ["hello/%c"]
    """

    @dataclass
    class Config:
        """The rules."""

        rules: dict[str, AclRules] = field(default_factory=dict)
        """What each user may do; ``anonymous`` is who has not proven a name, ``*`` is everybody."""

    def __init__(self, context: BaseContext) -> None:
        """Read the rules.

        Raises:
            SettingsError: If a filter is not valid, with its place.
        """
        super().__init__(context)
        config: TopicAclPlugin.Config = self.config
        self._rules = {user: _compile(user, rules) for user, rules in config.rules.items()}

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Decide over one topic.

        Args:
            session: Whose; None is refused.
            topic: A topic filter to subscribe to, or the topic name of a message; None is refused.
            action: None is refused.
        """
        if session is None or not topic or action is None:
            return False
        is_covered = _coverage(topic, action)
        user = _user(session)
        names = {"%u": user, "%c": session.client_id}
        for rule in self._rules_of(user, action):
            allowed = rule.fill(names)
            if allowed is not None and is_covered(allowed):
                return True
        return False

    def _rules_of(self, user: str | None, action: Action) -> Iterator[_Rule]:
        own = ANONYMOUS if user is None else None if user in {ANONYMOUS, EVERYBODY} else user
        if own is not None:
            yield from self._rules.get(own, {}).get(action, ())
        yield from self._rules.get(EVERYBODY, {}).get(action, ())


@dataclass(frozen=True, slots=True)
class _Rule:
    """One filter, its names not yet filled in."""

    topic_filter: TopicFilter
    has_names: bool

    def fill(self, names: Mapping[str, str | None]) -> TopicFilter | None:
        """Fill in the names; None if one is missing, or would open topics that the rule does not mean."""
        if not self.has_names:
            return self.topic_filter
        levels: list[Level] = []
        for level in self.topic_filter.levels:
            filled = None if level is None else _fill(level, names)
            if filled is None and level is not None:
                return None
            levels.append(filled)
        if _is_reserved(levels[0]) and not _is_reserved(self.topic_filter.levels[0]):
            return None  # a device must not call itself $SYS
        return TopicFilter(tuple(levels), self.topic_filter.is_open)


def _fill(level: str, names: Mapping[str, str | None]) -> str | None:
    """Fill in names; what comes out is one level, whatever they hold: it is neither split nor read as a wildcard."""
    if not all(value for name, value in names.items() if name in level):
        return None
    return _NAMES.sub(lambda match: names[match[0]] or "", level)


def _is_reserved(level: Level) -> bool:
    return level is not None and level.startswith("$")


def _coverage(topic: str, action: Action) -> Callable[[TopicFilter], bool]:
    """Give the question to ask of each allowed filter."""
    if action is Action.SUBSCRIBE:
        try:
            requested = TopicFilter.parse(topic)
        except ValueError:
            return _covers_nothing
        return lambda allowed: allowed.covers(requested)
    if not is_valid_topic_name(topic):
        return _covers_nothing
    levels = topic.split("/")
    return lambda allowed: allowed.covers_name(levels)


def _covers_nothing(_allowed: TopicFilter) -> bool:
    return False


def _user(session: Session) -> str | None:
    """Give the name that somebody has verified.

    Behind the door, the attribute says whom the plugins vouched for, even if that is nobody. On a
    stock broker it may be missing: then amqtt's plugins have verified the user name, unless its
    AnonymousAuthPlugin has let it in unseen.
    """
    if PRINCIPAL in session.attributes:
        principal = session.attributes[PRINCIPAL]
        return principal if isinstance(principal, str) and principal else None
    return None if session.is_anonymous else session.username or None


def _compile(user: str, rules: AclRules) -> dict[Action, tuple[_Rule, ...]]:
    place = f"rules: {user}"
    subscribe = _parse(rules.subscribe, f"{place}: subscribe")
    return {
        Action.PUBLISH: _parse(rules.publish, f"{place}: publish"),
        Action.SUBSCRIBE: subscribe,
        Action.RECEIVE: subscribe if rules.receive is None else _parse(rules.receive, f"{place}: receive"),
    }


def _parse(filters: Iterable[str], place: str) -> tuple[_Rule, ...]:
    parsed = []
    for text in filters:
        try:
            topic_filter = TopicFilter.parse(text)
        except ValueError:
            raise SettingsError(
                f'{place}: "{text}" is no topic filter: + and # fill a whole level, # is the last (MQTT 3.1.1, 4.7.1)'
            ) from None
        parsed.append(_Rule(topic_filter, has_names=_NAMES.search(text) is not None))
    return tuple(parsed)
