"""Topic filters: the examples of the specification, then hypothesis against brute force."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorlog.topics import TopicFilter, contains, is_valid_filter, is_valid_topic_name, matches

LETTERS = ("a", "b", "", "$s")
NAMES = tuple(
    name for depth in range(1, 6) for name in map("/".join, product(LETTERS, repeat=depth)) if is_valid_topic_name(name)
)
"""Every topic of up to 5 levels: one deeper than any filter below, and with a letter that no filter names."""

filters = (
    st.tuples(st.lists(st.sampled_from(["a", "", "$s", "+"]), max_size=4), st.sampled_from([[], ["#"]]))
    .map(lambda parts: "/".join(parts[0] + parts[1]))
    .filter(is_valid_filter)
)


def reference_match(topic_filter: str, name: str) -> bool:
    """4.7 word by word, by recursion over levels: as unlike the real one as possible."""

    def below(wanted: list[str], given_levels: list[str]) -> bool:
        if wanted == ["#"]:
            return True
        if not wanted or not given_levels:
            return not wanted and not given_levels
        return wanted[0] in {"+", given_levels[0]} and below(wanted[1:], given_levels[1:])

    if name.startswith("$") and topic_filter[0] in "+#":
        return False
    return below(topic_filter.split("/"), name.split("/"))


@cache
def topics_of(topic_filter: str) -> frozenset[str]:
    return frozenset(name for name in NAMES if reference_match(topic_filter, name))


@pytest.mark.parametrize("text", ["", "a+", "+a", "a/b+/c", "#/a", "a#", "a/#b", "##", "++", "a/#/#", "a\0b", "\ud800"])
def test_a_broken_filter_is_refused_everywhere(text: str) -> None:
    assert not is_valid_filter(text)
    assert not matches(text, "a")
    assert not contains(text, "a")
    assert not contains("#", text)
    with pytest.raises(ValueError, match="topic filter"):
        TopicFilter.parse(text)


@pytest.mark.parametrize("text", ["", "a/+", "#", "a\0", "\udfff", "a" * 65_536, "é" * 32_768])
def test_a_broken_topic_name_matches_nothing(text: str) -> None:
    assert not is_valid_topic_name(text)
    assert not matches("#", text)


@pytest.mark.parametrize("text", ["/", " ", "a", "a/b", "//", "a" * 65_535, "é" * 32_767, "$SYS/x", "a/ b\n"])
def test_a_topic_name_of_4_7_3_is_a_filter_too(text: str) -> None:
    assert is_valid_topic_name(text)
    assert is_valid_filter(text)
    assert matches(text, text)


@pytest.mark.parametrize("text", ["#", "+", "+/#", "+/+", "/+", "a/+/#", "+/a/#", "/#", "$SYS/#"])
def test_wildcards_that_fill_their_level_are_valid(text: str) -> None:
    assert is_valid_filter(text)
    assert contains(text, text)


@pytest.mark.parametrize(
    ("topic_filter", "name", "answer"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),  # 4.7.1.2
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),  # 4.7.1.3
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),  # 4.7.2-1
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/+", "a/$b", True),  # a $ means something at the beginning of a topic only
        ("ACCOUNTS", "Accounts", False),  # 4.7.3
    ],
)
def test_the_examples_of_the_specification_match_as_it_says(topic_filter: str, name: str, *, answer: bool) -> None:
    assert matches(topic_filter, name) is answer


@pytest.mark.parametrize(
    ("allowed", "requested"),
    [
        ("lp/+", "lp/#"),  # what stock amqtt lets through
        ("lp/+", "lp"),
        ("lp/+", "lp/+/+"),
        ("lp/+/#", "lp/#"),
        ("a/b", "a/+"),
        ("a/b", "a/b/#"),
        ("+", "#"),
        ("+/+", "+/#"),
        ("#", "$SYS/#"),
        ("+/x", "$SYS/x"),
        ("$SYS/#", "#"),
        ("a/+/c", "a/b/#"),
        ("a/#", "+/b"),
    ],
)
def test_a_wider_request_does_not_pass(allowed: str, requested: str) -> None:
    assert not contains(allowed, requested)


@pytest.mark.parametrize(
    ("allowed", "requested"),
    [
        ("#", "a/+/b"),
        ("#", "+/#"),
        ("+/#", "#"),  # the same topics: each has a first level
        ("/+/#", "/#"),
        ("/#", "/"),
        ("a/#", "a"),
        ("a/#", "a/+"),
        ("a/#", "a/#"),
        ("+/+", "+/a"),
        ("+/+", "a/+"),
        ("a/+", "a/$b"),
        ("$SYS/#", "$SYS/+/x"),
    ],
)
def test_a_narrower_request_passes(allowed: str, requested: str) -> None:
    assert contains(allowed, requested)


@given(topic_filter=filters)
@example("#")
@example("/#")
def test_matching_is_what_brute_force_finds(topic_filter: str) -> None:
    assert {name for name in NAMES if matches(topic_filter, name)} == topics_of(topic_filter)


@given(allowed=filters, requested=filters)
@example("/+/#", "/#")
@example("+/#", "#")
@example("a/+", "a/#")
@example("+/a", "$s/a")
def test_containment_is_exactly_inclusion_of_all_topics(allowed: str, requested: str) -> None:
    assert contains(allowed, requested) is (topics_of(requested) <= topics_of(allowed))


@given(text=st.text(alphabet="ab+#/$\0\ud800", max_size=8), other=st.text(alphabet="a+#/$", max_size=8))
def test_no_text_makes_it_fail(text: str, other: str) -> None:
    matches(text, other)
    contains(other, text)
    if matches(text, other):
        assert contains(text, other)
