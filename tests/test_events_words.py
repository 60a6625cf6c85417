"""How texts, durations, dates and names are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.parts import NamePart
from doorlog.events.words import (
    bare,
    clip,
    day,
    days_until,
    is_past,
    name_of,
    quoted,
    seconds_between,
    some,
    span,
    subject_of,
    tls_name,
)
from support.sample_events import NOW, certificate

HOSTILE = st.text(st.characters(), max_size=300)  # surrogates included


@given(HOSTILE)
def test_whatever_a_peer_chose_stays_on_one_printable_line_of_bounded_length(text: str) -> None:
    assert clip(text).isprintable()
    assert len(clip(text)) <= 64
    assert len(quoted(text)) <= 66
    assert len(bare(text)) <= 66


@given(HOSTILE)
def test_nothing_in_a_text_can_end_its_quotes(text: str) -> None:
    assert quoted(text).count('"') == 2


@given(HOSTILE)
def test_a_bare_text_has_nothing_that_a_sentence_is_made_of(text: str) -> None:
    written = bare(text)

    assert written.startswith('"') or not set(written) & set(" (),;\"'")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("pump-17", "pump-17"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", '""'),
        ("pump 17", '"pump 17"'),
        ("x) admitted over TLS 1.3", '"x) admitted over TLS 1.3"'),
        ('anna" from 10.0.0.1', '"anna\' from 10.0.0.1"'),
        ("pompe-é", '"pompe-é"'),
        ("a\nb\u202ec", '"a\\u000Ab\\u202Ec"'),
        ("x" * 65, '"' + "x" * 63 + '…"'),
    ],
)
def test_one_plain_word_stands_bare_and_all_else_in_quotes(text: str, written: str) -> None:
    assert bare(text) == written


@pytest.mark.parametrize(
    ("nanoseconds", "written"),
    [
        (0, "0 ms"),
        (350_000_000, "350 ms"),
        (999_600_000, "1 s"),
        (2_500_000_000, "2.5 s"),
        (9_960_000_000, "10 s"),
        (10_004_000_000, "10 s"),
        (59_600_000_000, "1 min"),
        (720_000_000_000, "12 min"),
        (3_599_900_000_000, "1 h"),
        (11_520_000_000_000, "3 h 12 min"),
        (86_400_000_000_000, "1 d"),
        (356_400_000_000_000, "4 d 3 h"),
    ],
)
def test_a_duration_reads_as_a_person_says_it(nanoseconds: int, written: str) -> None:
    assert span(nanoseconds) == written


def test_the_first_two_of_a_list_are_named_and_the_others_counted() -> None:
    assert some(("a",), quoted) == '"a"'
    assert some(("a", "b"), bare) == "a, b"
    assert some(("a", "b", "c", "d"), bare) == "a, b and 2 more"


def test_versions_are_named_as_people_name_them() -> None:
    assert [tls_name(version) for version in ("1.3", "1.0", "3.0", "2.0", "0x7f1c")] == [
        "TLS 1.3", "TLS 1.0", "SSL 3.0", "SSL 2.0", "TLS 0x7f1c",
    ]  # fmt: skip


def test_a_time_without_a_zone_is_utc() -> None:
    east = datetime(2026, 5, 10, 5, 0, tzinfo=timezone(timedelta(hours=2)))

    assert day(NOW) == "2026-05-10"
    assert is_past(east, NOW)
    assert is_past(datetime(2026, 5, 1), NOW)  # noqa: DTZ001 - a certificate reader may give naive times
    assert days_until(datetime(2026, 5, 22, 12), NOW) == 12  # noqa: DTZ001 - the same
    assert days_until(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)) < 0


def test_a_certificate_goes_by_the_name_that_people_use() -> None:
    assert name_of(NamePart(common_name=("Example CA 2",), organization=("Example",))) == "Example CA 2"
    assert name_of(NamePart(common_name=(), organization=("Example",))) == "Example"
    assert name_of(NamePart(distinguished_name="C=NL")) == "C=NL"
    assert name_of(NamePart(distinguished_name="")) is None
    assert subject_of(certificate("pump-17", "Example CA 2", alternative_names=("a.example",))) == "pump-17"
    assert subject_of(certificate(None, "Example CA 2", alternative_names=("a.example",))) == "a.example"
    assert subject_of(certificate(None, "Example CA 2")) is None


def test_a_moment_without_a_time_zone_is_utc() -> None:
    bare_moment = NOW.replace(tzinfo=None)

    assert seconds_between(bare_moment, NOW + timedelta(seconds=1.5)) == 1.5
    assert seconds_between(NOW, bare_moment - timedelta(hours=1)) == -3600
