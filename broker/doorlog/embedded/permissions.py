"""What the configured topic plugins allow a session to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb

from amqtt.contexts import Action
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

_log = logging.getLogger(__name__)
_TIMEOUT = 5.0  # seconds


class TopicPermissions:
    """Asks the topic plugins, in their order, until one refuses.

    amqtt takes None for a refusal although its documentation says that it is ignored, starts a task for each
    plugin and message, and lets an exception of a plugin end the client's loop with its session left behind.

    Args:
        plugins: The topic plugins.
        timeout: Seconds that one answer may take.
    """

    __slots__ = ("_plugins", "_timeout")

    def __init__(self, plugins: Sequence[BaseTopicPlugin], *, timeout: float = _TIMEOUT) -> None:
        self._plugins = tuple(plugins)
        self._timeout = timeout

    @property
    def unrestricted(self) -> bool:
        """Whether nobody is asked, and everything allowed."""
        return not self._plugins

    async def allows(self, session: Session, topic: str, action: Action) -> bool:
        """Whether a session may do something.

        Returns:
            True if at least one plugin allows it and none refuses; None, an abstention, is neither. A plugin
            that raises, or does not answer in time, has refused. True if there are no plugins.
        """
        allowed = not self._plugins
        for plugin in self._plugins:
            verdict = await self._ask(plugin, session, topic, action)
            if verdict is None:
                continue
            if not verdict:
                return False
            allowed = True
        return allowed

    async def _ask(self, plugin: BaseTopicPlugin, session: Session, topic: str, action: Action) -> bool | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await plugin.topic_filtering(session=session, topic=topic, action=action)
        except TimeoutError:
            _log.warning("%s did not answer within %s s: refused", type(plugin).__name__, self._timeout)
        except Exception as error:  # noqa: BLE001 - whatever a third party's plugin raises, it has not allowed anything
            # Without its text, which may hold all that the plugin knows of the session.
            _log.error("%s failed: refused (%s)", type(plugin).__name__, whereabouts(error))
        return False


def whereabouts(error: BaseException) -> str:
    """Say what kind of error it is and where it was raised, and nothing of what it says."""
    frames = extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
