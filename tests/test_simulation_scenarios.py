"""The scenarios by name."""

from __future__ import annotations

import pytest

from doorlog.errors import SettingsError
from doorlog.simulation.scenarios import SCENARIOS, scenario


def test_each_has_a_name_and_a_whole_fleet() -> None:
    for name, one in SCENARIOS.items():
        assert scenario(name) is one
        assert one.says
        assert sum(quarter.share for quarter in one.quarters) == pytest.approx(1)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no scenario 'nat3': choose one of static, dhcp, nat2, "):
        scenario("nat3")
