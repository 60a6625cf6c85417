"""What an audit says to a person, and to a program."""

from __future__ import annotations

import json

from doorlog.readers.report import Finding, Report

PLACE = Finding("changed", "doorlog.jsonl", 7, 48, "it was \x1b[31mchanged")


def test_a_place_can_be_printed_whatever_stands_there() -> None:
    assert str(PLACE) == r"doorlog.jsonl:7, record 48: it was \u001B[31mchanged"
    assert str(Finding("torn", "a", 1, None, "torn")) == "a:1: torn"


def test_an_empty_log_is_whole() -> None:
    assert Report(files=1).sentences(has_keys=False) == [
        "0 records in 1 file",
        "0 checkpoints, their signatures not looked at (--key)",
    ]


def test_all_that_is_known_is_said() -> None:
    report = Report(files=2, records=9, first_sequence=40, last_sequence=48, declared=[PLACE], notes=["so it goes"])
    assert report.sentences(has_keys=True) == [
        "9 records in 2 files, sequence 40 to 48",
        "it begins with record 40: older segments are not here",
        rf"declared by the log: {PLACE}",
        "so it goes",
        "no signature vouches for it",
    ]


def test_a_program_is_told_the_same() -> None:
    report = Report(files=2, records=9, vouched=48, last_sequence=48, declared=[PLACE], fault=PLACE)
    told = json.loads(json.dumps(report.as_json()))
    assert (told["whole"], told["records"], told["fault"]["line"], told["declared"][0]["kind"]) == (
        False,
        9,
        7,
        "changed",
    )
    assert Report(vouched=48, last_sequence=48).as_json()["fault"] is None
