"""Addresses: a lease has one holder at a time, a carrier's address many."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from doorlog.simulation.network import LeasePool, Network, SharedPool

ADDRESSES = tuple(f"127.32.0.{number}" for number in range(1, 9))
DEEDS = st.lists(st.tuples(st.sampled_from(["take", "move", "release"]), st.integers(0, 5)), max_size=60)


@given(DEEDS, st.integers(0, 99))
def test_a_lease_has_one_holder_at_a_time(deeds: list[tuple[str, int]], seed: int) -> None:
    pool = LeasePool(ADDRESSES, Random(seed))
    held: dict[int, str] = {}
    for deed, line in deeds:
        if deed == "release":
            pool.release(line)
            held.pop(line, None)
        else:
            held[line] = pool.take(line) if deed == "take" else pool.move(line)
        assert len(set(held.values())) == len(held)
        assert set(held.values()) <= set(ADDRESSES)


@given(st.integers(0, 99))
def test_a_client_gets_its_old_address_back_if_nobody_took_it(seed: int) -> None:
    """RFC 2131, 4.3.1."""
    pool = LeasePool(ADDRESSES, Random(seed))
    first = pool.take(1)
    pool.release(1)
    assert pool.take(1) == first

    pool.release(1)
    others = [pool.take(line) for line in range(2, 10)]  # all eight

    assert first in others
    pool.release(2 + others.index(ADDRESSES[0]))
    assert pool.take(1) == ADDRESSES[0]


@given(st.integers(0, 99))
def test_who_moves_has_another_address_and_its_old_one_is_free(seed: int) -> None:
    pool = LeasePool(ADDRESSES[:2], Random(seed))
    first = pool.take(1)

    assert {first, pool.move(1)} == set(ADDRESSES[:2])
    assert pool.take(2) == first
    assert pool.move(2) == first  # there is no other


def test_a_carriers_address_has_many_subscribers_and_changes_with_the_session() -> None:
    pool = SharedPool(ADDRESSES, Random(1))
    taken = {line: pool.take(line) for line in range(100)}

    assert set(taken.values()) == set(ADDRESSES)
    assert {line: pool.take(line) for line in range(100)} == taken
    moved = {line: pool.move(line) for line in range(100)}
    assert sum(moved[line] != taken[line] for line in range(100)) > 50


def test_lines_of_one_pool_share_its_addresses() -> None:
    network = Network(Random(1))
    network.connect([1, 2], "dhcp", 2)
    network.connect([3], "dhcp", 1)
    before = network.address(1)

    assert len({network.address(line) for line in (1, 2, 3)}) == 3
    network.release(1)
    assert network.move(2) == before


def test_every_pool_lies_on_loopback_and_none_in_another() -> None:
    network, taken = Network(Random(1)), list[str]()
    for pool in range(300):
        lines = range(pool * 300, pool * 300 + 300)
        network.connect(lines, "static", 300)
        taken += [network.address(line) for line in lines]

    assert len(set(taken)) == len(taken)
    assert all(ip_address(address) in ip_network("127.0.0.0/8") for address in taken)
    assert not any(ip_address(address) in ip_network("127.200.0.0/13") for address in taken)


def test_a_carriers_addresses_lie_in_several_networks() -> None:
    network = Network(Random(1))
    network.connect(range(200), "cgnat", 15)
    addresses = {network.address(line) for line in range(200)}

    assert len(addresses) == 15
    assert len({address.rpartition(".")[0] for address in addresses}) == 4
