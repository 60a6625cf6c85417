"""Brings messages to the webhook, on a thread of its own: one after the other, again if need be, never too many."""

from __future__ import annotations

import logging
import time
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

from doorlog.watch.webhook_post import post

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorlog.settings.alert_models import WebhookSettings
    from doorlog.watch.webhook_post import Answer

MOST_WAITING: Final = 100
"""Messages that wait; for one more, the oldest goes."""
STALE_SECONDS: Final = 3_600.0
"""A message that could not be brought for so long is dropped."""
STOP_SECONDS: Final = 3.0
"""How long the end waits for what is under way."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0

_log = logging.getLogger(__name__)


class Webhook:
    """Takes messages and brings them.

    Args:
        settings: Where to.
        send: Sends one message with one try.
        first_pause: Seconds after the first failure; twice as long after each further one, up to 5 minutes.

    Attributes:
        dropped: Messages that could not be brought.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        send: Callable[[WebhookSettings, bytes], Answer] = post,
        *,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._settings = settings
        self._send = send
        self._first_pause = first_pause
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._changed = Condition()
        self._is_closing = False
        self._failures = 0
        self._is_bringing = False
        self.dropped = 0
        self._thread = Thread(target=self._run, name="doorlog-webhook", daemon=True)
        self._thread.start()

    def put(self, body: bytes) -> None:
        """Take a message; never waits, never raises."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((time.monotonic(), body))
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, or is under way."""
        with self._changed:
            return not self._waiting and not self._is_bringing

    def close(self) -> None:
        """Give what waits one last try, for a moment, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            self._bring(message)
            self._is_bringing = False

    def _next(self) -> tuple[float, bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            self._is_bringing = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _bring(self, message: tuple[float, bytes]) -> None:
        """Bring a message, or put it back to the front and wait for a while."""
        put_at, body = message
        answer = self._send(self._settings, body)
        if answer.taken:
            if self._failures:
                _log.warning("alerts.webhook: messages are taken again")
            self._failures = 0
            return
        if not self._failures:
            _log.warning("alerts.webhook: a message was not taken: %s", answer.sentence)
        self._failures += 1
        with self._changed:
            if answer.is_final or self._is_closing or time.monotonic() - put_at >= STALE_SECONDS:
                self.dropped += 1
                return
            if len(self._waiting) < MOST_WAITING:
                self._waiting.appendleft(message)
            else:
                self.dropped += 1
            pause = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** min(self._failures - 1, 16))
            self._changed.wait_for(lambda: self._is_closing, pause)
