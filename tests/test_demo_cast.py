"""Who comes in the demo: every stage at which a device can fail, and each way to refuse a certificate."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from doorlog.demo.cast import CAST, Way
from doorlog.events.codes import Code
from doorlog.events.explanations import explanations
from doorlog.simulation.models import Refusal
from doorlog.simulation.profiles import PROFILES


def test_each_has_a_name_of_its_own_and_a_code_that_exists() -> None:
    assert len({visitor.name for visitor in CAST}) == len(CAST)
    for visitor in CAST:
        assert visitor.code in set(Code)
        assert visitor.profile in PROFILES
        assert visitor.why


def test_every_way_and_every_refusal_is_seen() -> None:
    assert {visitor.way for visitor in CAST} == set(get_args(Way))
    assert {visitor.refusal for visitor in CAST if visitor.pin} == set(get_args(Refusal))


def test_every_stage_from_hello_on_is_seen() -> None:
    stages = {explanations().codes[Code(visitor.code)].stage for visitor in CAST}
    assert {"hello", "handshake", "connect", "credentials"} <= stages


def test_only_two_share_an_address_and_they_look_alike() -> None:
    shared = [address for address, count in Counter(visitor.address for visitor in CAST).items() if count > 1]
    twins = [visitor for visitor in CAST if visitor.address in shared]
    assert [visitor.name for visitor in twins] == ["plug-13", "plug-14"]
    assert len({(visitor.profile, visitor.pin, visitor.code) for visitor in twins}) == 1
