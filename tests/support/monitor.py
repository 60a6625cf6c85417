"""Asks a running broker's monitor, and reads what it answers."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from support.broker import FREE, Running

MONITOR = {"bind": FREE}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def ask_monitor_of(broker: Running, path: str) -> bytes:
    """Return the body of an answer."""
    monitor = broker.service.monitor
    assert monitor is not None

    def ask() -> bytes:
        connection = HTTPConnection("127.0.0.1", monitor.port, timeout=5)
        connection.request("GET", path)
        try:
            return connection.getresponse().read()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def health_of(broker: Running) -> Any:
    """Return ``/health``."""
    return json.loads(await ask_monitor_of(broker, "/health"))


def samples_of(text: str) -> Samples:
    """Return each sample of the text format: name and labels, and its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of all samples of a name that have these labels."""
    return sum(
        value for (found, has), value in samples.items() if found == name and labels.items() <= dict(has).items()
    )
