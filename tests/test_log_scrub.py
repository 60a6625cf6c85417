"""A name that is hidden stands in no text either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.scrub import Scrubber

NAMES = st.text(st.characters(exclude_characters="-:/…"), min_size=3, max_size=12).filter(
    lambda name: name.lower() not in "stand-in" and not set("stand-in").issuperset(name.lower())
)


@pytest.mark.parametrize(
    ("names", "text", "clean"),
    [
        (["pump-17"], "lp/pump-17/x", "lp/[0]/x"),
        (["pump-17"], "lp/PUMP-17/pump-171", "lp/[0]/[0]1"),
        (["pump", "pump-17"], "pump-17 and pump-18", "[1] and [0]-18"),
        (["pump-17", "pump-17"], "pump-17", "[0]"),
        (["a.c"], "abc a.c", "abc [0]"),
        (["17"], "lp/17/x17/117", "lp/[0]/x17/117"),
        (["a"], "the a of a/b", "the a of a/b"),
        (["a"], "a", "[0]"),
        (["#"], "a/#", "a/[0]"),
        (["xxxx…"], "lp/xxxxyyyyyy/z", "lp/[0]/z"),
        (["xxxx…"], "xxx", "xxx"),
        (["…"], "a…", "a…"),
        (["\u0391\u0391\u03a3"], "x\u0391\u0391\u03a3\u0391", "x[0]\u0391"),  # lower-case, a sigma is another one there
        (["pump-17"], "", ""),
        ([], "pump-17", "pump-17"),
    ],
)
def test_a_name_makes_room_for_what_stands_for_it(names: list[str], text: str, clean: str) -> None:
    scrubber = Scrubber([(name, f"[{number}]") for number, name in enumerate(names)])

    assert scrubber.text(text) == clean
    assert scrubber.text(text) == clean, "again"


def test_no_text_has_no_names() -> None:
    scrubber = Scrubber([("pump-17", "x")])

    assert scrubber.text(None) is None
    assert scrubber.texts(None) is None
    assert scrubber.texts(()) == ()
    assert scrubber.texts(("a", "pump-17")) == ("a", "x")


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(st.text(max_size=10), min_size=2, max_size=5))
def test_no_name_is_left_in_any_text(names: list[str], texts: list[str]) -> None:
    scrubber = Scrubber([(name, "\x00") for name in names])
    for name in names:
        clean = scrubber.text(name.join(texts))
        assert clean is not None
        assert not [name for name in names if name in clean and "\x00" not in name]


def test_a_short_name_that_occurs_everywhere_does_not_make_a_text_endless() -> None:
    clean = Scrubber([("aaa", "hmac-0a1b2c3d:" + "0" * 32)]).text("a" * 2048)

    assert clean is not None
    assert (len(clean), clean[-1]) == (2048, "…")


def test_a_name_that_looks_like_what_stands_for_another_is_replaced_once() -> None:
    assert Scrubber([("pump", "hmac-1"), ("hmac", "hmac-2")]).text("pump hmac") == "hmac-1 hmac-2"
