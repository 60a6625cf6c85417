"""What all tests have in common: the event loops that a module names in ``EVENT_LOOPS``, and signals that arrive."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

import pytest
from hypothesis import settings

# Enough to catch what breaks often; the fuzz targets look for what breaks rarely, with a thousand times as many inputs.
settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile("suite")

# A shell's background job ignores SIGINT, nohup SIGHUP, and a process hands that on to its children: a broker that
# is told to stop by such a signal would then go on, as it should, and the test would wait for ever.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler)

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    wanted = getattr(getattr(item, "module", None), "EVENT_LOOPS", None)
    if wanted is None:
        return {"asyncio": asyncio.new_event_loop}
    return {name: factory for name, factory in _factories().items() if name in wanted}


def _factories() -> dict[str, LoopFactory]:
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop"):  # an optional extra
        factories["uvloop"] = import_module("uvloop").new_event_loop
    return factories
