"""Questions to DuckDB, and what Ctrl-C makes of them."""

from __future__ import annotations

import os
import signal
from threading import Event, Thread

import duckdb
import pytest

from doorlog.readers.questions import Questions

SLOW = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 7"


def test_an_answer_and_an_error_come_back() -> None:
    connection = duckdb.connect()
    questions = Questions(connection)

    assert questions.ask(lambda: 42) == 42
    with pytest.raises(duckdb.ParserException):
        questions.ask(lambda: connection.execute("selec 1"))
    questions.close()
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")


def test_ctrl_c_ends_a_question() -> None:
    connection = duckdb.connect()
    questions = Questions(connection)
    asked = Event()

    def interrupt() -> None:
        asked.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def ask() -> None:
        asked.set()
        connection.execute(SLOW)

    other = Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        questions.ask(ask)
    other.join()
    questions.close()


def test_work_that_can_not_be_interrupted_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.readers.questions._PATIENCE", 0.01)
    connection = duckdb.connect()
    questions = Questions(connection)
    asked, done = Event(), Event()

    def interrupt() -> None:
        asked.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def ask() -> None:
        asked.set()
        done.wait()

    other = Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        questions.ask(ask)
    other.join()
    questions.close()
    assert connection.execute("SELECT 1").fetchall() == [(1,)], "still open: closing would wait"
    done.set()
    connection.close()
