"""Who names devices: what doorlog does in life, or what a record says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from doorlog.events.records import ConnectEvent, Event
from doorlog.simulation.namer import Forgetful, Learned, Namer
from support.events import admitted_connect, failed_connect


def named(namer: Namer, event: Event) -> ConnectEvent:
    found = namer(event)
    assert isinstance(found, ConnectEvent)
    return found


@pytest.mark.parametrize("opened", [lambda _: Forgetful(), Learned], ids=["forgetful", "learned"])
def test_who_was_admitted_is_named(tmp_path: Path, opened: Callable[[Path], Namer]) -> None:
    namer = opened(tmp_path)
    try:
        event = named(namer, admitted_connect())
        namer.settle()
        assert event.device
        assert event.doorlog.device
        assert event.doorlog.device.confidence == "certain"
        assert list(namer.afterwards()) == []
    finally:
        namer.close()


def test_the_forgetful_know_nobody_who_did_not_say_so() -> None:
    namer = Forgetful()
    named(namer, admitted_connect())
    namer.restart()

    assert named(namer, failed_connect()).device is None


def test_what_was_learned_is_kept_beside_the_log_over_a_restart(tmp_path: Path) -> None:
    namer = Learned(tmp_path)
    try:
        named(namer, admitted_connect())
        namer.restart()
        assert named(namer, admitted_connect()).device
    finally:
        namer.close()
    assert (tmp_path / "devices.db").exists()
