"""Who counts as one source, and who lies in a network."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from doorlog.addresses import is_loopback, is_within, source_key


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


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
