"""Cohorts in a configuration: who is in them is said, names are plain and one of a kind, and faults say remedies."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from doorlog.errors import SettingsError
from doorlog.settings.cohort_models import MOST_COHORTS, CohortSettings
from doorlog.settings.load import validate_door_settings

JA4 = "t13d311000_e8f1e7e78f70_1f22a2ca17c4"


def load(cohorts: Any, **groups: Any) -> tuple[CohortSettings, ...]:
    data = {"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "cohorts": cohorts, **groups}
    return validate_door_settings(data, Path("doorlog.yaml")).cohorts


def fault(cohorts: Any, **groups: Any) -> tuple[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(cohorts, **groups)
    (found,) = caught.value.faults
    return found


def test_a_cohort_says_who_is_in_it() -> None:
    (berlin, build) = load(
        [
            {"name": "berlin", "network": "192.0.2.0/24", "server_name": "*.Example.com", "user_prefix": "b-"},
            {"name": "build:7.1", "ja4": JA4, "network": ["192.0.2.0/24", "2001:db8::/32"]},
        ]
    )
    assert berlin.network == (ip_network("192.0.2.0/24"),)
    assert berlin.server_name == "*.example.com"
    assert (berlin.needs_device, build.needs_device) == (True, False)


@pytest.mark.parametrize(
    ("cohort", "place", "sentence"),
    [
        (
            {"name": "x"},
            "cohorts.0",
            "say who is in it: set at least one of site, ja4, network, server_name, user_prefix",
        ),
        ({"site": "berlin"}, "cohorts.0.name", "is missing"),
        ({"name": "", "site": "b"}, "cohorts.0.name", "expected up to 64 letters, digits and _ . : -"),
        ({"name": "x" * 65, "site": "b"}, "cohorts.0.name", "expected up to 64 letters, digits and _ . : -"),
        ({"name": 'x"}\n', "site": "b"}, "cohorts.0.name", "expected up to 64 letters, digits and _ . : -"),
        (
            {"name": "site:b", "site": "b"},
            "cohorts.0.name",
            '"site:" begins the names of the sites of the inventory: choose another name',
        ),
        (
            {"name": "other", "site": "b"},
            "cohorts.0.name",
            '"other" stands for all cohorts beyond 200: choose another name',
        ),
        ({"name": "x", "site": ""}, "cohorts.0.site", 'expected some text (it is "")'),
        ({"name": "x", "site": "b", "ja4": None}, "cohorts.0.ja4", "is empty: give it a value, or remove the key"),
        (
            {"name": "x", "ja4": "t13"},
            "cohorts.0.ja4",
            f"expected tls.client.ja4 of a record, as in {JA4}",
        ),
        (
            {"name": "x", "network": ["10.0.0.1/8"]},
            "cohorts.0.network.0",
            '10.0.0.1/8 is an address in a network: write "10.0.0.0/8" for all of it, or "10.0.0.1" for one',
        ),
        (
            {"name": "x", "server_name": "a.*.b"},
            "cohorts.0.server_name",
            'expected a host name, as in "mqtt.example.com" or "*.example.com"',
        ),
        ({"name": "x", "sit": "b"}, "cohorts.0.sit", 'unknown key; did you mean "site"?'),
    ],
)
def test_a_fault_is_named_by_its_place_and_its_remedy(cohort: dict[str, Any], place: str, sentence: str) -> None:
    assert fault([cohort]) == (place, sentence)


def test_there_are_not_too_many_and_each_has_a_name_of_its_own() -> None:
    assert fault([{"name": "a", "site": "x"}, {"name": "a", "site": "y"}]) == (
        "cohorts",
        'the name "a" stands twice: give each cohort one of its own',
    )
    many = [{"name": f"c{number}", "site": "x"} for number in range(MOST_COHORTS + 1)]
    assert fault(many) == ("cohorts", "there are 201 cohorts, at most 200 are counted apart: leave some out")
    assert len(load(many[:-1])) == MOST_COHORTS


@pytest.mark.parametrize(
    ("cohort", "privacy", "key"),
    [
        ({"name": "b", "user_prefix": "b-"}, {"user_name": "omit"}, "user_prefix"),
        ({"name": "b", "site": "berlin", "network": "10.0.0.0/8"}, {"address": "omit"}, "network"),
    ],
)
def test_what_the_log_hides_before_a_device_is_named_can_not_tell_it(
    cohort: dict[str, Any], privacy: dict[str, str], key: str
) -> None:
    _place, sentence = fault([cohort], log={"stdout": True, "privacy": privacy})
    assert sentence == f"cohorts: b: {key} can not be told, since log.privacy hides it"
    assert load([{"name": "b", "network": "10.0.0.0/8"}], log={"stdout": True, "privacy": {"address": "omit"}})
