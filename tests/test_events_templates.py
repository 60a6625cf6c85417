"""Every code has its words, written to one style."""

from __future__ import annotations

from string import Formatter

import pytest

from doorlog.events.codes import Code, DisconnectCause
from doorlog.events.phrases import PHRASES
from doorlog.events.templates import AUTHORIZE, CONNECT, DISCONNECT, NO_WORDS, Words
from doorlog.events.tls_phrases import TLS_PHRASES

ALL = [*CONNECT.values(), *DISCONNECT.values(), AUTHORIZE, NO_WORDS]
ABOUT_THE_REASON = {"why", "detail", "denial", "failure", "lateness"}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_every_code_and_every_cause_has_words() -> None:
    assert set(CONNECT) == set(Code)
    assert set(DISCONNECT) == set(DisconnectCause)


@pytest.mark.parametrize("words", ALL)
def test_a_template_asks_only_for_what_there_is(words: Words) -> None:
    known = {*PHRASES, *TLS_PHRASES}

    assert placeholders(words.message) <= known | ABOUT_THE_REASON
    assert placeholders(words.reason) <= known, "a reason that quotes a reason would never end"


@pytest.mark.parametrize("words", ALL)
def test_sentences_begin_small_and_end_without_a_period(words: Words) -> None:
    for template in words:
        assert not template[0].isupper() or template.startswith("TLS "), "TLS is a name"
        assert template[-1] not in ".!?: "


@pytest.mark.parametrize("code", [code for code in Code if code.startswith("client_certificate")])
def test_our_own_refusal_never_speaks_of_an_alert_of_the_device(code: Code) -> None:
    assert not placeholders(CONNECT[code].message + CONNECT[code].reason) & {"alert", "with_alert"}


def test_no_phrase_is_left_unused() -> None:
    used = set().union(*(placeholders(template) for words in ALL for template in words))

    assert {*PHRASES, *TLS_PHRASES} == used - ABOUT_THE_REASON
