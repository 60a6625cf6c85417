"""Which event loops a test module runs on: those that it names in ``EVENT_LOOPS``, else asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

import pytest

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
