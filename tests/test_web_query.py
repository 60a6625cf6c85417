"""What stands in a URL, whatever it is, becomes filters, or a word about what can not be meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.codes import Code
from doorlog.web.query import FIELDS, attempt_url, read_query

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_filters_are_read_and_written_again() -> None:
    values = {
        "device": "pump-17", "code": "bad_password not_tls", "stage": "hello", "outcome": "failure", "text": "a b",
        "source": "192.0.2.0/24", "listener": "tls", "since": "24h", "until": "2026-03-01T11:00:00Z",
    }  # fmt: skip
    query = read_query(values | {"below": "17", "other": "x"}, NOW)

    assert query.mistakes == {}
    assert (query.filters.device, query.filters.codes, query.below) == ("pump-17", ("bad_password", "not_tls"), 17)
    assert query.filters.since == NOW - timedelta(days=1)
    assert query.url("/log", since=None, below=3).startswith("/log?device=pump-17&code=bad_password+not_tls&")
    assert "since" not in query.url("/log", since=None)
    assert not query.is_live


def test_there_is_room_for_all_codes() -> None:
    assert read_query({"code": " ".join(Code)}).filters.codes == tuple(Code)


def test_without_filters_all_is_wanted_and_comes_live() -> None:
    query = read_query({"device": "  ", "below": ""}, NOW)

    assert query.values == {}
    assert query.is_live
    assert query.url("/log") == "/log"


@pytest.mark.parametrize("below", ["-1", "0", "x", "1e9", "\u0663", "9" * 30, "1 2"])
def test_a_place_that_is_none_is_the_end(below: str) -> None:
    assert read_query({"below": below}, NOW).below is None


@pytest.mark.parametrize(
    ("name", "text"), [("since", "x"), ("until", "1"), ("source", "x"), ("stage", "x"), ("outcome", "x")]
)
def test_what_can_not_be_meant_has_no_effect_and_is_said(name: str, text: str) -> None:
    query = read_query({name: text}, NOW)

    assert list(query.mistakes) == [name]
    assert getattr(query.filters, name) is None


@pytest.mark.parametrize(
    ("name", "at", "url"),
    [
        ("abc", None, "/attempt/abc"),
        ("x-7", "2026-03-01T15:02:11Z", "/attempt/x-7?at=2026-03-01T15%3A02%3A11Z"),
        ("abc", datetime(2026, 3, 1, 15, tzinfo=UTC), "/attempt/abc?at=2026-03-01T15%3A00%3A00%2B00%3A00"),
        ("abc", 0.5, "/attempt/abc?at=1970-01-01T00%3A00%3A00.500000%2B00%3A00"),
        ('/../?#"<', "\n&x=", "/attempt/%2F..%2F%3F%23%22%3C?at=%0A%26x%3D"),
        (None, "", "/attempt/"),
    ],
)
def test_the_address_of_an_attempt(name: str | None, at: str | datetime | float | None, url: str) -> None:
    assert attempt_url(name, at) == url


@pytest.mark.hypothesis
@given(st.dictionaries(st.sampled_from([*FIELDS, "below", "x"]), st.text(max_size=600)))
def test_anything_can_be_read(parameters: dict[str, str]) -> None:
    query = read_query(parameters, NOW)

    assert query.url("/log").isprintable()
    assert all(len(value) <= 2_000 for value in query.values.values())
