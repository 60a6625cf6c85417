"""Who there is: the market's shares, sites behind NAT, and who has pinned what."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.simulation.models import MODELS
from doorlog.simulation.scenarios import SCENARIOS
from support.simulations import fleet_of


@given(st.sampled_from(sorted(SCENARIOS)), st.integers(0, 1000))
def test_a_seed_gives_the_same_fleet_again(name: str, seed: int) -> None:
    first, again = fleet_of(name, 20, seed)[0], fleet_of(name, 20, seed)[0]

    assert first.devices == again.devices
    assert first.lines == again.lines
    assert len({device.id for device in first.devices}) == len(first.devices)


def test_another_seed_gives_another_fleet() -> None:
    assert fleet_of("static", seed=1)[0].devices != fleet_of("static", seed=2)[0].devices


def test_few_models_make_up_most_of_a_fleet() -> None:
    fleet, _ = fleet_of("static", 1000)
    counts = Counter(device.model.name for device in fleet.devices)

    assert sum(count for _, count in counts.most_common(4)) > len(fleet.devices) / 2
    assert len(counts) == len(MODELS)


@pytest.mark.parametrize("size", [2, 10, 100])
def test_a_site_of_look_alikes_has_one_address_one_model_and_one_firmware(size: int) -> None:
    fleet, _ = fleet_of(f"nat{size}", 200)
    sites = Counter(device.line for device in fleet.devices)

    assert set(sites.values()) == {size}
    for line in sites:
        alike = [device for device in fleet.devices if device.line == line]
        assert len({(device.model.name, device.firmware, device.pin) for device in alike}) == 1
        assert alike[0].pin is not None
        assert not alike[0].model.resumes


@pytest.mark.parametrize("size", [2, 10])
def test_one_of_a_sites_look_alikes_is_broken(size: int) -> None:
    fleet, _ = fleet_of(f"nat{size}one", 100)
    broken = Counter(device.line for device in fleet.devices if device.pin is not None)

    assert set(broken) == {device.line for device in fleet.devices}
    assert set(broken.values()) == {1}


def test_a_mixed_site_has_several_models() -> None:
    fleet, _ = fleet_of("nat10mixed", 200)
    for line in {device.line for device in fleet.devices}:
        assert len({device.model.name for device in fleet.devices if device.line == line}) > 1


def test_a_varied_site_has_no_model_twice_as_long_as_there_are_others() -> None:
    fleet, _ = fleet_of("nat10varied", 100)
    sites: dict[int, list[str]] = {}
    for device in fleet.devices:
        if not device.id.endswith("-b"):
            sites.setdefault(device.line, []).append(device.model.name)

    assert all(len(set(models)) == len(models) == 10 for models in sites.values())


def test_devices_come_go_are_replaced_and_updated() -> None:
    fleet, _ = fleet_of("static", 1000)

    assert any(device.begins > 0 for device in fleet.devices)
    assert any(device.ends is not None for device in fleet.devices)
    assert any(device.updated is not None for device in fleet.devices)
    by_id = {device.id: device for device in fleet.devices}
    new = [device for device in fleet.devices if device.id.endswith("-b")]
    assert new
    for device in new:
        before = by_id[device.id.removesuffix("-b")]
        assert (before.line, before.model) == (device.line, device.model)
        assert before.ends is not None
        assert before.ends < device.begins


def test_client_certificates_are_refused_or_devices_refuse_first() -> None:
    refused, _ = fleet_of("mtls", 200)
    fates = Counter(device.certificate for device in refused.devices)
    assert set(fates) == {"good", "expires", "distrusted"}
    assert fates["good"] > len(refused.devices) / 2
    assert all(device.pin is None for device in refused.devices)

    pinned, _ = fleet_of("mtlspinned", 200)
    assert {device.certificate for device in pinned.devices} == {"good"}
    assert any(device.pin for device in pinned.devices)


def test_no_address_is_of_two_networks() -> None:
    fleet, _ = fleet_of("mixed", 2000)
    alone = [fleet.network.address(line.number) for line in fleet.lines if line.access != "cgnat"]
    shared = {fleet.network.address(line.number) for line in fleet.lines if line.access == "cgnat"}

    assert len(set(alone)) == len(alone)
    assert shared
    assert shared.isdisjoint(alone)


def test_leases_are_taken_by_others_too() -> None:
    fleet, _ = fleet_of("dhcp", 60)
    ours = {device.line for device in fleet.devices}

    assert len(fleet.lines) == 2 * len(ours)
    assert len({fleet.network.address(line.number) for line in fleet.lines}) == len(fleet.lines)
