"""Says every day which served certificates are about to expire, while there is time to do something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from doorlog.door.tls_context import ServedChain
from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import DoorlogPart, EventPart, TlsPart
from doorlog.events.records import CertificateEvent

WARN_BEFORE = timedelta(days=30)
_EVERY = timedelta(days=1)


def expiring(chains: Mapping[str, ServedChain], now: datetime) -> list[CertificateEvent]:
    """Build an event for each served certificate that expires within 30 days, or has expired.

    Args:
        chains: What is served, by the listener's name.
        now: UTC.
    """
    return [
        CertificateEvent(
            timestamp=now,
            event=EventPart(
                category=("configuration",),
                type=("info",),
                action=Action.CERTIFICATE_EXPIRING,
                outcome=Outcome.FAILURE if chain.leaf.not_after < now else Outcome.UNKNOWN,
            ),
            tls=TlsPart(established=False, server=chain.part),
            doorlog=DoorlogPart(listener=name),
        )
        for name, chain in chains.items()
        if chain.leaf.not_after - now < WARN_BEFORE
    ]


async def watch_expiry(
    chains: Mapping[str, ServedChain], record: Callable[[CertificateEvent], None], every: timedelta = _EVERY
) -> None:
    """Record what expires, now and every day, until cancelled.

    Args:
        chains: What is served, by the listener's name.
        record: Takes the events.
        every: How long to wait in between.
    """
    while True:
        for event in expiring(chains, datetime.now(UTC)):
            record(event)
        await asyncio.sleep(every.total_seconds())
