"""A gap accounts for the hole just before it, says how large it is, and hides nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.log.chain import chained
from doorlog.readers.gaps import accounts_for, gap_of, is_removal, sequences_fit
from doorlog.readers.record import Line


def gap(code: str | None = "overflow", **fields: Any) -> dict[str, Any]:
    return {"event": {"action": "audit_gap", "code": code}, "doorlog": {"gap": fields}}


BEFORE = Line("a", 1, b"{}")
LINE = Line("a", 2, chained(b'{"event":{"action":"audit_gap","sequence":7}}\n', BEFORE.hash)[:-1])


def test_exactly_the_missing_sequences_have_to_be_named() -> None:
    assert accounts_for(gap(first_sequence=4, last_sequence=6), LINE, 3, BEFORE.hash)
    assert sequences_fit(gap(first_sequence=4, last_sequence=6, records=3), 3, 7)
    assert sequences_fit(gap(), 3, 4)
    for first, last in ((None, None), (4, None), (5, 6), (4, 7)):
        assert not sequences_fit(gap(first_sequence=first, last_sequence=last), 3, 7)
    assert not sequences_fit(gap(first_sequence=4, last_sequence=2), 3, 3)


def test_a_line_without_a_number_is_not_accounted_for() -> None:
    assert not accounts_for(gap(), BEFORE, 3, BEFORE.hash)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (gap(records=0), "more happened than the memory for waiting records holds: nothing is missing"),
        (gap("write_failed", records=1, first_sequence=4, last_sequence=4),
         "the log file could not be written for a while: 1 record missing (sequence 4 to 4)"),
        (gap("truncated", records=1200), "another program cut or removed the log file: 1,200 records missing"),
        (gap("interrupted"), "the broker before ended without closing the log: its last records may be missing"),
        (gap("interrupted", torn_bytes=1),
         ("the broker before ended without closing the log: its last records may be missing; "
          "1 byte of a torn record were moved away")),
        (gap("new\x1b[31m", records=0), "new\\u001B[31m: nothing is missing"),
        (gap(None, records=0), "unknown: nothing is missing"),
    ],
)  # fmt: skip
def test_a_gap_says_what_is_missing(record: dict[str, Any], sentence: str) -> None:
    assert gap_of(record, LINE).sentence == sentence


def test_a_file_that_was_cut_is_a_removal() -> None:
    assert is_removal(gap("truncated"))
    assert not is_removal(gap("overflow"))
