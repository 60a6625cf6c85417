"""One attempt of the demo, where it can not be made; what comes of all others: test_demo_play."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doorlog.demo.cast import CAST
from doorlog.demo.knock import Knocker
from doorlog.errors import AddressError
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan


async def test_an_address_that_this_machine_does_not_have(tmp_path: Path) -> None:
    knocker = Knocker(Pki(tmp_path, Plan()), "secret", {"tls": 1}, chain=1)
    stranger = replace(CAST[0], address="192.0.2.1")  # RFC 5737: nobody's

    with pytest.raises(
        AddressError, match=r"^192\.0\.2\.1: .*: the demo gives each device an address of 127\.0\.0\.0/8"
    ):
        await knocker.knock(stranger, stranger.way)
