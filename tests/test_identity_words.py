"""Why we think that it was this device: short sentences that a person believes, or has reason to doubt."""

from __future__ import annotations

import pytest

from doorlog.identity.resolve import NOBODY, Candidate, Resolution
from doorlog.identity.words import claim_reason, reasons, span
from support.fleet import DAY, evidence, known


def said(*devices: object, connected: set[str] | None = None, **more: object) -> tuple[str, ...]:
    candidates = tuple(Candidate(device, 0.5) for device in devices)  # type: ignore[arg-type]  # of the right kind
    resolution = Resolution("ambiguous", candidates, int(more.pop("alike", 0)), 0.5, int(more.pop("crowd", 0)))  # type: ignore[call-overload]  # numbers
    return reasons(evidence(**more), resolution, connected or set())  # type: ignore[arg-type]  # as they are


def test_nobody_has_no_reasons() -> None:
    assert reasons(evidence(), NOBODY, set()) == ()


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        (known("a"), "admitted from this address 10 times in 10 days, last there 1 hour ago"),
        (
            known("a", count_here=3, first_here=known("a").last_here),
            "admitted from this address 3 times, last there 1 hour ago",
        ),
        (known("a", count_here=1), "admitted from this address once, last there 1 hour ago"),
        (
            known("a", ip="192.0.2.9", count_here=0, first_here=None, last_here=None),
            "last seen 1 hour ago at another address of this network",
        ),
        (
            known("a", ip="203.0.113.9", count_here=0, first_here=None, last_here=None),
            "last seen 1 hour ago at another address of another network",
        ),
        (
            known("a", connects=0, count_here=0, first_here=None, last_here=None),
            "never admitted; this address is the one that was imported for it",
        ),
        (
            known("a", ip="192.0.2.9", count_here=0, first_here=None, last_here=None, follows=True),
            "last seen 1 hour ago at an address from which others have come here",
        ),
        (known("a", count_here=0, first_here=None, last_here=None), "this address is the one that was imported for it"),
    ],
)
def test_where_it_was(device: object, sentence: str) -> None:
    assert said(device)[0] == sentence


def test_how_its_hello_looks() -> None:
    assert "its ClientHello looks as it did then" in said(known("a"))
    assert "its ClientHello looks as it did before the last change" in said(known("a", look="new", former_look="esp"))
    assert "its ClientHello never looked like this" in said(known("a", look="node"))
    assert "no ClientHello came" in said(known("a"), look=None)


def test_whether_it_is_here_already() -> None:
    assert "it has a session right now" in said(known("a"), connected={"a"})
    assert "it has no session right now" in said(known("a"))


def test_who_accepted_the_certificate_that_was_refused() -> None:
    assert "it has accepted this certificate before" in said(known("a", served="new"), acceptance=0.01)
    two = said(known("a"), known("b", served="new"), known("c", served="new"), acceptance=0.01)
    assert "2 other candidates have accepted this certificate" in two
    assert not [reason for reason in said(known("a", served="new")) if "accepted" in reason], "it was not refused"


def test_what_keeps_it_from_being_named() -> None:
    assert "1 other device looks just like it here" in said(known("a"), known("b"), alike=1)
    assert "2 other devices look just like it here" in said(known("a"), alike=2)
    assert "102 devices come into question" in said(known("a"), known("b"), alike=9, crowd=100)


def test_a_claim_is_weighed() -> None:
    assert claim_reason(evidence(), None) == ("no device of this name was ever admitted", False)
    assert claim_reason(evidence(), known("a"))[1]
    elsewhere = known("a", ip="203.0.113.9", count_here=0, first_here=None, last_here=None)
    assert claim_reason(evidence(), elsewhere) == ("this device was never admitted from this address", False)
    near = known("a", ip="192.0.2.9", count_here=0, first_here=None, last_here=None)
    assert claim_reason(evidence(), near) == (
        "last seen 1 hour ago at another address of this network, with the same ClientHello", True,
    )  # fmt: skip
    assert not claim_reason(evidence(look=None), near)[1]


def test_pseudonyms_of_addresses_have_no_network_in_common() -> None:
    hidden = known("a", ip="hmac-1:aa", count_here=0, first_here=None, last_here=None)
    assert not claim_reason(evidence(ip="hmac-1:bb"), hidden)[1], "else anybody anywhere was near"
    assert said(hidden)[0].endswith("at another address of another network")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "moments"), (59, "moments"), (60, "1 minute"), (7_300, "2 hours"), (DAY, "1 day"), (100 * DAY, "100 days")],
)
def test_time_spans_are_said_in_their_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words
