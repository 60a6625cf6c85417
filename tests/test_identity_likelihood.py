"""Each thing that tells devices apart moves the weight the way that an operator would expect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.identity.likelihood import accepted, in_use, mover, presence, stay, stranger, takes_over, weight
from doorlog.identity.statistics import Statistics
from support.fleet import DAY, HOUR, evidence, known

NETWORK = "192.0.2.0/24"


def fleet(devices: int = 100, *, moving: bool = False) -> Statistics:
    statistics = Statistics()
    statistics.devices, statistics.looks = devices, {"esp": devices // 2}
    statistics.members, statistics.used, statistics.pools = {NETWORK: 50}, {NETWORK: 50}, {NETWORK: 60}
    for _ in range(500):
        statistics.count_return(NETWORK, HOUR, stayed=not moving)
    return statistics


def test_where_it_was_last_weighs_most() -> None:
    here = known("a")
    before = known("a", ip="192.0.2.9")
    near = known("a", ip="192.0.2.9", count_here=0)
    far = known("a", ip="203.0.113.9", count_here=0)
    weights = [weight(evidence(), device, fleet()) for device in (here, before, near, far)]
    assert weights[0] > 20 * weights[1] > 20 * max(weights[2:])


def test_the_look_weighs() -> None:
    same, former, other = known("a"), known("a", look="new", former_look="esp"), known("a", look="node")
    weights = [weight(evidence(), device, fleet()) for device in (same, former, other)]
    assert weights == sorted(weights, reverse=True)
    assert weight(evidence(look=None), other, fleet()) == weight(evidence(look=None), same, fleet()), "nothing was seen"


def test_who_accepted_what_was_refused_is_hardly_the_one() -> None:
    refusal = evidence(acceptance=0.01)
    assert weight(refusal, known("a", served="new"), fleet()) == pytest.approx(
        weight(refusal, known("a"), fleet()) / 100
    )
    assert not accepted(evidence(served=None), known("a", served=None))


def test_a_device_that_never_moved_among_movers_is_known_to_stay() -> None:
    statistics = fleet(moving=True)
    settled = known("a", moves=0, moves_expected=30)
    assert stay(evidence(), settled, statistics) > 0.9
    assert stay(evidence(), known("a"), statistics) < 0.2, "of one that nothing is known of, what its network does"


def test_a_tracker_among_devices_that_stay_is_known_to_move() -> None:
    assert stay(evidence(), known("a", connects=60, moves=40, moves_expected=0.5), fleet()) < 0.6
    assert stay(evidence(), known("a"), fleet()) > 0.97


def test_who_is_away_much_longer_than_usual_may_be_gone() -> None:
    days = [in_use(evidence(24 * day), known("a", 0, absence=HOUR)) for day in (0, 1, 3, 10)]
    assert days == sorted(days, reverse=True)
    assert days[0] == 1
    assert in_use(evidence(24 * 10), known("a", 0, absence=5 * DAY)) > 20 * days[-1], "some are always away for days"


def test_the_time_since_a_certificate_is_served_that_it_may_refuse_does_not_count() -> None:
    rotated = evidence(24 * 10).moment - 9.9 * DAY
    assert in_use(evidence(24 * 10, served_since=rotated), known("a", 0, absence=HOUR)) > 0.9


def test_an_address_of_one_device_is_not_anothers_while_it_is_there() -> None:
    assert takes_over(evidence(), [known("a")], fleet()) < 0.05
    assert takes_over(evidence(), [], fleet()) == 1
    assert takes_over(evidence(), [known("a"), known("b")], fleet()) == 1
    shared = fleet()
    shared.used = {NETWORK: 2}
    assert takes_over(evidence(), [known("a")], shared) > 0.9


def test_who_has_a_session_hardly_connects() -> None:
    statistics = fleet()
    assert presence(statistics, 90, is_connected=True) < 0.1
    assert presence(statistics, 90, is_connected=False) > 5
    assert presence(statistics, 0, is_connected=False) < 1.1
    assert presence(Statistics(), 0, is_connected=False) > 0


def test_strangers_are_rare_where_devices_are_known() -> None:
    statistics = fleet()
    here = stranger(evidence(), statistics, at_address=1)
    silent = stranger(evidence(look=None), statistics, at_address=1)
    assert here < 0.01 < silent, "what sends no ClientHello is often no device at all"
    near, far = (stranger(evidence(ip=ip), statistics, at_address=0) for ip in ("192.0.2.77", "203.0.113.1"))
    assert near < mover(evidence(ip="192.0.2.77"), statistics) * 50
    assert far > 0


@given(
    st.floats(0, 1e5), st.sampled_from(["192.0.2.1", "192.0.2.9", "203.0.113.9"]), st.integers(0, 10),
    st.floats(0, 100), st.floats(0, 100), st.sampled_from(["esp", "node", None]), st.sampled_from([0.01, 1.0]),
)  # fmt: skip
def test_a_weight_is_a_probability_whatever_comes(
    hours: float, ip: str, count: int, moves: float, expected: float, look: str | None, acceptance: float
) -> None:
    device = known("a", hours, ip, count_here=count, moves=moves, moves_expected=expected)
    found = weight(evidence(look=look, acceptance=acceptance), device, fleet())
    assert 0 <= found <= 1
    assert 0 < in_use(evidence(), device) <= 1
