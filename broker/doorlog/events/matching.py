"""From what somebody pasted, a line of a device's log or a number, to the texts that it may be, and their codes.

Logs surround a text with times, levels and names of files, cut it, and write a number in any notation: what is compared
are words in lower case, and numbers by value. A number alone may mean something in several stacks; within a longer text
it counts only if it is written as an error is: in hexadecimal, negative, or after a word such as ``error`` or ``rc``.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import chain
from math import log
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.events.codes import Code
from doorlog.events.device_texts import DeviceText, device_texts, unreached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST: Final = 20_000
"""Characters of what was pasted that are looked at."""
_SURE: Final = 0.75
"""From here on a match is one, and what only resembles it is left out."""
_WHOLE: Final = 0.9
"""From here on, all of a text stands in what was pasted."""
_SOME: Final = 0.3
_MOST: Final = 12
"""Matches that are told."""
_SHORTEST: Final = 4
"""Characters of a text that is looked for within a longer one."""
_LEAST_SHARED: Final = 0.6
"""Of what a text's words tell that must stand in what was pasted where it is not there as a whole."""
_FEWEST_WORDS: Final = 3
_NAME: Final = re.compile(r"\w+")
_WORD: Final = re.compile(r"[^\W_]+")
_NUMBER: Final = re.compile(r"(?<![\w.:])(-?)(0x)?([0-9a-f]{1,10})(?![\w.])", re.IGNORECASE)
_ERROR: Final = "error|err|errno|code|rc|returned|return|ret|status|state|alert|reason|number|failed|refused|verify"
_SAID: Final = re.compile(rf"(?:{_ERROR})\W*$")
_HEXADECIMAL: Final = 4
"""Digits from which on a number without a prefix may be hexadecimal, as Zephyr prints it."""
_OPENSSL: Final = re.compile(r"[0-9a-f]{8}", re.IGNORECASE)
_ALONE: Final = re.compile(
    rf"(?:(?:{_ERROR}|mqtt|tls|ssl)[\s=:(\[#]*)*-?(?:0x)?[0-9a-f]{{1,10}}[)\]\s.]*", re.IGNORECASE
)


class Match(NamedTuple):
    """A text that was recognised."""

    text: DeviceText
    score: float
    """0 to 1: how much of it stands in what was pasted."""


def matches_of(pasted: str) -> list[Match]:
    """Return the texts that somebody's words may be, the best match first.

    Args:
        pasted: Anything, of any length; a whole log of a device will do.
    """
    looked_at = pasted[:LONGEST]
    given = _Pasted(_words(looked_at), frozenset(_NAME.findall(looked_at.lower())), frozenset(_numbers(looked_at)))
    found = sorted((Match(one, _score(one, given)) for one in device_texts()), key=_rank)
    least = _SURE if found[0].score >= _SURE else _SOME
    return [match for match in found if match.score >= least][:_MOST]


def did_not_reach(pasted: str, matches: Sequence[Match]) -> str | None:
    """Return the text that says that the device did not reach the broker; None where none does, or another says more.

    Args:
        pasted: Anything, of any length.
        matches: What it was recognised as.
    """
    if matches and (matches[0].score >= _WHOLE or any(map(_is_an_answer, matches))):
        return None
    words = f" {_words(pasted[:LONGEST])} "
    return max((text for text in unreached().texts if f" {_words(text)} " in words), key=len, default=None)


def _is_an_answer(match: Match) -> bool:
    """Whether it is a broker that refused the connection, and not the network."""
    return match.score >= _SURE and match.text.stack.startswith("CONNACK")


def codes_of(matches: Sequence[Match]) -> list[Code]:
    """Return what the matches may mean, the likeliest first."""
    scores: dict[Code, float] = {}
    for match in matches:
        for place, code in enumerate(match.text.codes):
            scores[code] = max(scores.get(code, 0.0), match.score * 0.9**place)
    return sorted(scores, key=lambda code: -scores[code])


def code_named(text: str) -> Code | None:
    """Return the code that a text is the name of, however it is written: ``Bad password``, ``BAD-PASSWORD``."""
    name = "_".join(_WORD.findall(text.lower()))
    return Code(name) if name in list(Code) else None


def _rank(match: Match) -> tuple[float, int]:
    return -match.score, -len(match.text.text)


class _Pasted(NamedTuple):
    """What is compared of what was pasted."""

    words: str
    names: frozenset[str]
    """Words with their underscores, as names in code are written."""
    numbers: frozenset[int]


def _score(one: DeviceText, pasted: _Pasted) -> float:
    """Compare one text with what was pasted; 0 where they have nothing to do with each other."""
    text, words = _words(one.text), pasted.words
    is_of_stack = 0.04 if _names(one.stack) & set(words.split()) else 0.0
    if text == words:
        return 1.0
    if len(text) >= _SHORTEST and _stands_in(one.text, text, pasted):
        return _WHOLE + min(len(text), 50) / 1_000 + is_of_stack
    if one.number is not None and one.number in pasted.numbers:
        return 0.8 + is_of_stack
    if len(words.split()) >= 2 and f" {words} " in f" {text} ":
        return 0.5 + 0.3 * len(words) / len(text)
    return _shared(text, words) if " " in one.text else 0.0  # the words of a name belong together


def _stands_in(text: str, words: str, pasted: _Pasted) -> bool:
    """Whether all of a text was pasted: a sentence word for word, the name of a constant as one."""
    if _NAME.fullmatch(text) and "_" in text:
        return text.lower() in pasted.names
    return f" {words} " in f" {pasted.words} "


def _shared(text: str, words: str) -> float:
    """Return how much of what a text tells was pasted, in any order; 0 for less than most of it.

    A word tells the more, the fewer texts have it: "mqtt" and "connect" tell next to nothing. Numbers are all there, or
    it is another text.
    """
    wanted, given = set(text.split()), set(words.split())
    if len(wanted) < _FEWEST_WORDS or any(word.isdigit() for word in wanted - given):
        return 0.0
    telling = _telling()
    share = sum(map(telling.__getitem__, wanted & given)) / sum(map(telling.__getitem__, wanted))
    return share * 0.6 if share >= _LEAST_SHARED else 0.0


@cache
def _telling() -> dict[str, float]:
    """Return how much each word of all texts tells: the logarithm of how rare it is (inverse document frequency)."""
    texts = [set(_words(one.text).split()) for one in device_texts()]
    return {word: log(len(texts) / count) for word, count in Counter(chain(*texts)).items()}


def _names(stack: str) -> set[str]:
    """Return the words that tell a stack from the others."""
    return set(_words(stack).split()) - {
        "and",
        "of",
        "js",
        "mqtt",
        "tls",
        "ssl",
        "sdk",
        "device",
        "python",
        "alert",
        "connack",
    }


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _numbers(pasted: str) -> Iterator[int]:
    is_alone = _ALONE.fullmatch(pasted.strip()) is not None
    for found in _NUMBER.finditer(pasted):
        sign, prefix, digits = found.groups()
        before = pasted[max(0, found.start() - 16) : found.start()].lower()
        if is_alone or prefix or sign or _OPENSSL.fullmatch(digits) or _SAID.search(before):
            yield from _values(sign, prefix or "", digits)


def _values(sign: str, prefix: str, digits: str) -> Iterator[int]:
    """Yield what digits may mean; the sign is often left out, or added where a stack prints the absolute value."""
    bases = ((10, not prefix and digits.isdigit()), (16, bool(prefix) or len(digits) >= _HEXADECIMAL))
    for base in (base for base, fits in bases if fits):
        value = int(digits, base)
        yield -value if sign else value
        if prefix or base == 16 or value > 255:
            yield value if sign else -value
