"""Looks at what was counted every few seconds, on a thread of its own, and has the webhook told what is wrong."""

from __future__ import annotations

import logging
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from doorlog.identity.evidence import SERVED_DIGITS
from doorlog.settings.alert_models import DEFAULTS
from doorlog.watch.alert_message import body_of, message_of
from doorlog.watch.alerts import Alerts
from doorlog.watch.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorlog.door.tls_context import ServedChain
    from doorlog.settings.alert_models import AlertSettings
    from doorlog.watch.alert_memory import AlertMemory
    from doorlog.watch.alert_rules import Sample

NEW_SECONDS: Final = 7_200.0
"""How long a certificate is new."""

_log = logging.getLogger(__name__)


class Alerting:
    """Watches until it is closed.

    Args:
        settings: What is told, and to whom.
        service: Which broker, ``service.name``.
        sample: Tells what is known at this moment; called on a thread of this.
        memory: Where it is kept what was told, for the next start.

    Attributes:
        webhook: Brings the messages.
    """

    def __init__(
        self, settings: AlertSettings, service: str, sample: Callable[[], Sample], memory: AlertMemory
    ) -> None:
        self._service = service
        self._sample = sample
        self._interval = settings.interval
        rules = {name: settings.rules.rule(name) for name in DEFAULTS}
        self._alerts = Alerts(rules, every=settings.every, resolve=settings.resolve, start=time.monotonic())
        self._memory = memory
        self._alerts.recall(memory.read(), time.time())
        self.webhook = Webhook(settings.webhook)
        self._is_over = Event()
        self._said_fault = False
        self._thread = Thread(target=self._run, name="doorlog-alerts", daemon=True)
        self._thread.start()

    @property
    def firing(self) -> tuple[str, ...]:
        """The rules of all that is wrong, as far as it was told; one name for each alert."""
        return self._alerts.firing

    def close(self) -> None:
        """Look no more, and give what waits a last try."""
        self._is_over.set()
        self._thread.join()
        dropped = self.webhook.dropped
        self.webhook.close()
        if self.webhook.dropped == dropped:
            self._keep()

    def _run(self) -> None:
        while not self._is_over.wait(self._interval):
            try:
                self._look()
            except Exception:  # noqa: BLE001 - whatever it is, the next look may be better
                if not self._said_fault:
                    _log.exception("alerts: what was counted could not be looked at; said once")
                self._said_fault = True

    def _look(self) -> None:
        for notice in self._alerts.look(self._sample()):
            self.webhook.put(body_of(message_of(notice, self._service)))
        self._keep()

    def _keep(self) -> None:
        """Write down what was told, once it was brought: what was not is to be told by the next start."""
        if self.webhook.is_idle:
            self._memory.keep(self._alerts.told)


def new_certificates(chains: Mapping[str, ServedChain], first_shown: Mapping[str, float], now: float) -> frozenset[str]:
    """Return the listeners that serve a certificate that is new, where devices knew another one before.

    Args:
        chains: What is served, by the listener's name.
        first_shown: When each certificate of ours was first shown to anybody, as the device directory has it.
        now: Seconds since 1970, UTC.
    """
    found = set()
    for listener, chain in chains.items():
        digest = chain.part.hash.sha256[:SERVED_DIGITS] if chain.part.hash is not None else ""
        since = first_shown.get(digest)
        if since is not None and now - since < NEW_SECONDS and min(first_shown.values()) < since:
            found.add(listener)
    return frozenset(found)
