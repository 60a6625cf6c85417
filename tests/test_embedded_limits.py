"""The bounds of the broker."""

from __future__ import annotations

import dataclasses

import pytest

from doorlog.embedded.limits import BrokerLimits


def test_each_bound_is_set_by_default_and_described() -> None:
    documented = BrokerLimits.__doc__ or ""
    for field in dataclasses.fields(BrokerLimits):
        assert isinstance(field.default, int)
        assert field.default > 0
        assert f"{field.name}:" in documented


def test_a_bound_does_not_change_under_a_running_broker() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BrokerLimits().max_qos = 1  # type: ignore[misc] # which is the point
