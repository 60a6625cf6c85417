"""A row shows what a record says, whatever stands in it."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.readers.tail import Found
from doorlog.web.rows import plain, row_of


def row(record: dict[str, Any]) -> Any:
    return row_of(Found(b"", record))


def test_a_failure_with_its_device() -> None:
    found = row(
        {
            "@timestamp": "2026-03-01T15:02:11Z",
            "message": "refused\n",
            "event": {"action": "connect", "outcome": "failure", "code": "bad_password", "sequence": 7, "id": "x-7"},
            "device": {"id": "pump\u202e"},
            "doorlog": {"connection_id": "abc", "device": {"confidence": "certain", "candidates": [{}, {}]}},
        }
    )

    assert (found.state, found.what, found.sequence, found.link) == (
        "bad", "bad_password", 7, "/attempt/abc?at=2026-03-01T15%3A02%3A11Z"
    )  # fmt: skip
    assert (found.device, found.shown, found.is_sure, found.candidates) == (
        "pump\u202e",
        "pump\\u202E",
        True,
        "one of 2",
    )
    assert found.message == "refused\\u000A"
    assert plain(found)["what"] == "bad_password"


@pytest.mark.parametrize(
    ("event", "state", "what"),
    [
        ({"action": "connect", "outcome": "success", "code": "admitted"}, "ok", "admitted"),
        ({"action": "disconnect", "outcome": "success", "code": "normal"}, "info", "disconnect normal"),
        ({"action": "audit_started", "outcome": "success"}, "info", "audit_started"),
        ({"action": "authorize", "outcome": "failure"}, "bad", "authorize"),
        ({}, "info", "record"),
        ({"action": 7, "code": [], "sequence": "x"}, "info", "record"),
    ],
)
def test_other_records(event: dict[str, Any], state: str, what: str) -> None:
    found = row({"event": event, "doorlog": "x", "device": 5})

    assert (found.state, found.what, found.device) == (state, what, "")


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ([], ""),
        ([{"id": "plug-13"}], "maybe plug-13"),
        ([{"id": "plug\u202e"}], "maybe plug\\u202E"),
        ([{"id": "plug-13"}, {"id": "plug-14"}], "one of 2"),
        ([7], ""),
        ("plug", ""),
    ],
)
def test_who_it_may_have_been(candidates: object, words: str) -> None:
    found = row({"doorlog": {"device": {"confidence": "ambiguous", "candidates": candidates}}})

    assert (found.device, found.candidates) == ("", words)
