from __future__ import annotations

import json
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.text import escaped, safe_text

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=400)  # surrogates too


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ('pump\n{"forged": true}', 'pump\\u000A{"forged": true}'),
        ("pump\r\x00\x1b[31m", "pump\\u000D\\u0000\\u001B[31m"),
        ("a\x7fb\x85c\x9bd", "a\\u007Fb\\u0085c\\u009Bd"),
        ("one\u2028two\u2029three", "one\\u2028two\\u2029three"),
        ("invoice\u202egpj.exe", "invoice\\u202Egpj.exe"),
        ("\u2066isolated\u2069\u200f\u061c", "\\u2066isolated\\u2069\\u200F\\u061C"),
        ("half \ud83d of a pair", "half \\uD83D of a pair"),
    ],
)
def test_what_could_forge_a_line_or_hide_words_is_escaped(hostile: str, safe: str) -> None:
    assert safe_text(hostile) == safe


@pytest.mark.parametrize(
    "plain", ["", "pump-17", "Pumpe Süd №3", "ポンプ", "🚰", "DOMAIN\\user", "no-break\u00a0space"]
)
def test_honest_text_stays_as_it_is(plain: str) -> None:
    assert safe_text(plain) == plain


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert safe_text("a" * 256) == "a" * 256
    assert safe_text("a" * 257) == "a" * 255 + "…"
    assert safe_text("pump", limit=1) == "…"


def test_an_escape_is_never_cut_in_half() -> None:
    assert safe_text("abc\n" * 10, limit=10) == "abc\\u000A…"
    assert safe_text("abcd\n" * 10, limit=10) == "abcd…"


def test_a_short_text_that_grows_beyond_the_limit_is_cut_too() -> None:
    assert safe_text("\n\n", limit=11) == "\\u000A…"
    assert safe_text("\n\n", limit=12) == "\\u000A\\u000A"


def test_of_megabytes_only_what_is_shown_is_touched() -> None:
    huge = "\n" * 10_000_000
    tracemalloc.start()
    safe_text(huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000  # bytes


def test_no_unsafe_character_is_printable() -> None:
    # safe_text() returns printable text as it is: this must hold for the Unicode of every Python.
    unsafe = [chr(code) for code in range(sys.maxunicode + 1) if safe_text(chr(code)) != chr(code)]
    assert len(unsafe) == 32 + 33 + 2 + 12 + 2048
    assert not any(character.isprintable() for character in unsafe)


@given(ANYTHING, st.integers(1, 300))
def test_the_result_is_bounded_one_line_and_utf8(text: str, limit: int) -> None:
    safe = safe_text(text, limit)
    assert len(safe) <= limit
    assert len(safe.splitlines()) <= 1
    assert json.loads(json.dumps(safe).encode()) == safe
    safe.encode("utf-8")


@given(ANYTHING)
def test_escaping_twice_changes_nothing(text: str) -> None:
    assert safe_text(safe_text(text, 9999), 9999) == safe_text(text, 9999)


@given(ANYTHING)
def test_an_escaped_json_text_says_the_same_and_hides_nothing(text: str) -> None:
    written = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    assert safe_text(written, 99_999) == written
