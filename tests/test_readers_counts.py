"""What the broker has counted, compared with what stands in its lines."""

from __future__ import annotations

from typing import Any

from doorlog.readers.counts import RunCounts


def audit(accepted: Any, connects: Any, folded: int | None = None, lost: int | None = None) -> dict[str, Any]:
    return {"doorlog": {"audit": {"accepted": accepted, "connects": connects, "folded": folded, "lost": lost}}}


def gap(code: str = "overflow", **fields: int) -> dict[str, Any]:
    return {"event": {"code": code}, "doorlog": {"gap": fields}}


def flood(count: int, action: str = "connect") -> dict[str, Any]:
    return {"doorlog": {"flood": {"action": action, "count": count}}}


def test_all_that_was_accepted_is_recorded_folded_or_lost() -> None:
    counts = RunCounts(connects=3)
    counts.add_flood(flood(40))
    counts.add_flood(flood(7, "authorize"))
    counts.add_gap(gap(records=5, connects=5))

    assert counts.fault(audit(48, 3, 40, 5), stopped=True) is None
    assert counts.fault(audit(50, 3, 40, 5), stopped=False) is None  # two are under way
    assert counts.fault(audit(50, 3, 40, 5), stopped=True) == (
        "50 connections were accepted since the start of the broker, 48 recorded"
    )
    assert counts.fault(audit(47, 3, 40, 5), stopped=False) == (
        "47 connections were accepted since the start of the broker, 48 recorded"
    )


def test_each_count_is_compared() -> None:
    counts = RunCounts(connects=3, folded=4, lost=5)

    for numbers, expected in (
        ((12, 2, 4, 5), "the broker had counted 2 connect records since its start, here stand 3"),
        ((12, 3, 5, 5), "the broker had counted 5 connections counted in flood records since its start, here stand 4"),
        (
            (12, 3, 4),
            "the broker had counted 0 connect records that gaps declare missing since its start, here stand 5",
        ),
    ):
        assert counts.fault(audit(*numbers), stopped=True) == expected


def test_what_a_gap_may_have_swallowed_may_be_more_but_not_less() -> None:
    counts = RunCounts(folded=3)
    counts.add_gap(gap(records=5, connects=2))  # three others: floods, for all that is known
    assert counts.fault(audit(42, 0, 40, 2), stopped=True) is None
    assert counts.fault(audit(4, 0, 2, 2), stopped=True) is not None
    assert counts.fault(audit(40, 0, 40), stopped=True) is not None

    counts.add_gap(gap(records=5))
    assert counts.fault(audit(45, 0, 40, 5), stopped=True) is None
    counts.add_gap(gap())
    assert counts.fault(audit(45, 0, 40, 5), stopped=True) is None


def test_a_gap_of_nothing_and_a_crash_of_the_start_before_change_nothing() -> None:
    counts = RunCounts()
    counts.add_gap(gap(records=0))
    counts.add_gap(gap("interrupted"))

    assert not counts.unknown


def test_a_run_whose_begin_was_deleted_is_compared_from_its_first_numbers_on() -> None:
    counts = RunCounts(complete=False, connects=2)

    assert counts.fault(audit(100, 90, 5, 5), stopped=False) is None
    counts.connects += 1
    assert counts.fault(audit(101, 91, 5, 5), stopped=True) is None
    assert counts.fault(audit(101, 92, 5, 5), stopped=True) is not None


def test_a_record_without_numbers_says_nothing() -> None:
    for record in ({}, {"doorlog": 1}, audit(None, 1), audit(1, "1"), audit(True, 1)):
        assert RunCounts(connects=7).fault(record, stopped=True) is None
