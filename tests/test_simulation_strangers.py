"""Who else knocks."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from random import Random

from doorlog.simulation.models import DAY
from doorlog.simulation.strangers import Neighbourhood, visits

HOME = Neighbourhood(known=lambda: "127.32.0.1", shared=lambda: "127.32.0.2")


def test_visits_are_in_order_and_on_loopback() -> None:
    all_ = list(visits(0, 20 * DAY, 10 * DAY, HOME, Random(1)))

    assert [visit.time for visit in all_] == sorted(visit.time for visit in all_)
    assert all(0 < visit.time < 20 * DAY for visit in all_)
    assert all(ip_address(visit.address) in ip_network("127.0.0.0/8") for visit in all_)
    assert all_ == list(visits(0, 20 * DAY, 10 * DAY, HOME, Random(1)))


def test_a_health_check_always_comes_from_one_address() -> None:
    counts = Counter(visit.address for visit in visits(0, 20 * DAY, 0, HOME, Random(1)))

    assert counts.most_common(1) == [("127.240.0.1", counts["127.240.0.1"])]
    assert counts["127.240.0.1"] > 100


def test_technicians_come_where_people_are_and_once_something_is_broken() -> None:
    some = [visit for visit in visits(0, 20 * DAY, 10 * DAY, HOME, Random(1)) if visit.errand == "technician"]
    assert some
    assert all(visit.time > 10 * DAY for visit in some)
    assert {visit.address for visit in some} == {"127.32.0.2"}

    alone = Neighbourhood(known=HOME.known, shared=lambda: None)
    assert "technician" not in {visit.errand for visit in visits(0, 20 * DAY, 10 * DAY, alone, Random(1))}
