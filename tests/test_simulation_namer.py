"""Who names devices: what doorlog does in life where it is there, else what a record says of itself."""

from __future__ import annotations

from pathlib import Path

from doorlog.simulation.namer import Forgetful, open_namer
from support.events import admitted_connect, failed_connect


def test_the_forgetful_know_who_was_admitted_and_nobody_else() -> None:
    namer = Forgetful()
    named, unnamed = namer(admitted_connect()), namer(failed_connect())
    namer.settle()

    assert getattr(named, "device").id  # noqa: B009 - of any event
    assert getattr(unnamed, "device") is None  # noqa: B009 - as above
    assert namer.afterwards() == ()
    namer.close()


def test_one_is_opened(tmp_path: Path) -> None:
    namer = open_namer(tmp_path)
    try:
        named = namer(admitted_connect())
        namer.settle()
        assert named.doorlog.device
        assert named.doorlog.device.confidence == "certain"
        assert list(namer.afterwards()) == []
    finally:
        namer.close()
