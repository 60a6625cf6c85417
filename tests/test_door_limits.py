"""Who counts as one source, and how many strangers may stand at the door."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from doorlog.door.limits import AttemptLimits, is_within, source_key


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no address", "no address"),
    ],
)
def test_what_counts_as_one_source(ip: str, key: str) -> None:
    assert source_key(ip) == key


def test_neighbouring_networks_are_not_one_source() -> None:
    assert source_key("2001:db8:1:2::1") != source_key("2001:db8:1:3::1")


@pytest.mark.parametrize(
    ("ip", "inside"),
    [
        ("10.1.2.3", True),
        ("10.2.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_lies_in_a_network(ip: str, inside: bool) -> None:
    assert is_within(ip, (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))) is inside


def test_nobody_lies_in_no_network() -> None:
    assert not is_within("10.1.2.3", ())


def test_a_listener_is_full_and_has_room_again() -> None:
    limits = AttemptLimits(2, 10)
    assert [limits.enter() for _ in range(3)] == [True, True, False]
    for _ in range(2):
        limits.leave()
    assert limits.total == 1
    assert limits.enter()


def test_a_source_is_full_and_has_room_again_and_leaves_nothing_behind() -> None:
    limits = AttemptLimits(10, 1)
    assert limits.enter_source("192.0.2.7")
    assert not limits.enter_source("192.0.2.7")
    assert limits.enter_source("192.0.2.8")
    for source in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        limits.leave_source(source)
    assert not limits._by_source
    assert limits.enter_source("192.0.2.7")
