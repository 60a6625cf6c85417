"""Devices that failed of late: known ones by name, the others by number, and never too many."""

from __future__ import annotations

from doorlog.watch.witnesses import MOST_KEYS, MOST_WITNESSES, WITNESS_SECONDS, Witnesses

BERLIN = ("cohort", "berlin")


def test_a_device_is_a_witness_until_it_comes_in_or_a_quarter_of_an_hour_has_gone_by() -> None:
    witnesses = Witnesses()
    for moment, device in enumerate(("a", "b", "a", "c")):
        witnesses.failed([BERLIN], device, moment)
    assert witnesses.devices(3) == {BERLIN: ("c", "a", "b")}

    witnesses.admitted([BERLIN, ("cohort", "paris")], "a")
    assert witnesses.devices(3) == {BERLIN: ("c", "b")}
    assert witnesses.devices(2 + WITNESS_SECONDS) == {BERLIN: ("c",)}
    assert witnesses.unknown() == {}


def test_who_is_not_known_is_counted() -> None:
    witnesses = Witnesses()
    for _ in range(3):
        witnesses.failed([BERLIN], None, 0)
    assert witnesses.unknown() == {BERLIN: 3}
    assert witnesses.devices(0) == {}


def test_there_are_never_too_many() -> None:
    witnesses = Witnesses()
    for number in range(2 * MOST_WITNESSES):
        witnesses.failed([BERLIN], str(number), 0)
    for number in range(2 * MOST_KEYS):
        witnesses.failed([("cohort", str(number))], "a", 0)
    found = witnesses.devices(0)
    assert len(found[BERLIN]) == MOST_WITNESSES
    assert found[BERLIN][0] == str(2 * MOST_WITNESSES - 1)
    assert len(found) == MOST_KEYS
