"""Addresses as they come, and the networks in which a device may get another one."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.identity.places import NOWHERE, Place, place_of


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("192.0.2.17", Place("192.0.2.17", "192.0.2.0/24")),
        ("::ffff:192.0.2.17", Place("192.0.2.17", "192.0.2.0/24")),
        ("2001:DB8:0:1::0a", Place("2001:db8:0:1::a", "2001:db8:0:1::/64")),
        ("fe80::1%eth0", Place("fe80::1", "fe80::/64")),
        ("hmac-0a1b2c3d:00ff", Place("hmac-0a1b2c3d:00ff", "")),
        ("192.0.2.017", Place("192.0.2.017", "")),
        ("192.0.2.1\0", Place("192.0.2.1\0", "")),
        ("", NOWHERE),
        (None, NOWHERE),
    ],
)
def test_an_address_has_one_notation_and_one_network(written: str | None, place: Place) -> None:
    assert place_of(written) == place


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_lies_in_its_network(address: object) -> None:
    place = place_of(str(address))
    assert ip_address(place.address) in ip_network(place.network)
    assert ip_network(place.network).prefixlen == 24


@given(st.text(max_size=40))
def test_whatever_a_record_holds_is_some_place(text: str) -> None:
    assert place_of(text).address == (text if place_of(text).network == "" else place_of(text).address)
