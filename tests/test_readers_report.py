"""A report as plain values."""

from __future__ import annotations

import json

from doorlog.readers.report import Finding, Kind, Report, counted


def test_a_report_is_json() -> None:
    report = Report(records=3, finding=Finding(Kind.TORN, "a.jsonl", 4, 4, "torn", "look"))

    shown = json.loads(json.dumps(report.as_json()))
    assert not shown["whole"]
    assert shown["finding"] == {
        "kind": "torn", "file": "a.jsonl", "line": 4, "sequence": 4, "sentence": "torn", "look": "look",
    }  # fmt: skip
    assert shown["vouched"] is None
    assert Report().as_json()["whole"]


def test_a_finding_has_a_place() -> None:
    assert Finding(Kind.TORN, "a.jsonl", 4, 4, "", "").place == "a.jsonl line 4"
    assert Finding(Kind.REMOVED, "the log", 0, None, "", "").place == "the log"


def test_numbers_are_said_with_their_noun() -> None:
    assert [counted(number, "record") for number in (0, 1, 1204)] == ["0 records", "1 record", "1,204 records"]
    assert counted(2, "entry", "entries") == "2 entries"
