"""A message: the same sentence for people and chats, facts for programs, and what a client wrote never in the clear."""

from __future__ import annotations

import json

from doorlog.watch.alert_message import TEST, body_of, message_of
from doorlog.watch.alert_rules import Condition
from doorlog.watch.alerts import Notice

FAILS = Condition(
    "cohort_failing",
    "critical",
    "The cohort berlin fails.",
    (("cohort", "site:berlin"),),
    ("pump-1", "<!channel>\u202e\n", "c", "d", "e", "f"),
    ("doorlog summary --since 1h",),
)


def test_what_is_wrong() -> None:
    assert message_of(Notice("firing", FAILS, 1_772_377_331), "doorlog") == {
        "status": "firing",
        "rule": "cohort_failing",
        "severity": "critical",
        "cohort": "site:berlin",
        "service": "doorlog",
        "since": "2026-03-01T15:02:11Z",
        "summary": "The cohort berlin fails.",
        "devices": ["pump-1", "<!channel>\\u202E\\u000A", "c", "d", "e"],
        "commands": ["doorlog summary --since 1h"],
        "text": "doorlog: The cohort berlin fails.",
    }


def test_what_is_over() -> None:
    message = message_of(Notice("resolved", FAILS, 0), "doorlog")
    assert (message["status"], message["summary"]) == ("resolved", "Resolved: The cohort berlin fails.")
    assert (message["devices"], message["commands"]) == ([], [])
    assert message["text"] == "doorlog: Resolved: The cohort berlin fails."


def test_the_body_is_json_in_ascii_and_the_test_says_that_it_is_one() -> None:
    body = body_of(message_of(Notice("firing", TEST, 0), "broker ü"))
    assert body.isascii()
    assert json.loads(body)["text"] == "broker ü: This is a test: alerts of doorlog reach this place."
