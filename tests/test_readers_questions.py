"""Questions to DuckDB: who waits for an answer hears signals."""

from __future__ import annotations

import os
import signal
from threading import Event

import duckdb
import pytest

from doorlog.readers.questions import asked


def test_an_answer_and_an_error_come_back() -> None:
    assert asked(lambda: 42) == 42
    with pytest.raises(duckdb.ParserException):
        asked(lambda: duckdb.connect().execute("selec 1"))


def test_a_signal_is_heard_while_the_answer_is_waited_for() -> None:
    heard = Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.set())

    def ask() -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        return heard.wait(10)

    try:
        assert asked(ask)
    finally:
        signal.signal(signal.SIGUSR1, before)
