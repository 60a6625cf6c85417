"""What went wrong in the log: counted always, said once, and never a way to write on the operator's terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import Thread

import pytest

from doorlog.errors import SinkError
from doorlog.log.faults import Fault, Faults, describe, say_on_stderr


def test_an_error_with_hostile_text_is_one_short_line() -> None:
    said = describe(ValueError("no \x1b[31m such\nclient id: " + "A" * 10_000))
    assert said.startswith(r"ValueError: no \u001B[31m such\u000Aclient id: AAA")
    assert len(said) == 300


def test_a_flood_of_faults_is_said_once_and_counted() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    for number in range(1000):
        faults.add("stdout", SinkError(f"Broken pipe {number}"), lost=3)
    faults.add("processors", KeyError("event"), lost=0)
    assert faults.all() == (
        Fault("stdout", count=1000, lost=3000, first="Broken pipe 0"),
        Fault("processors", count=1, lost=0, first="KeyError: 'event'"),
    )
    assert said == [
        "stdout: Broken pipe 0 (said once; further faults here are only counted)",
        "processors: KeyError: 'event' (said once; further faults here are only counted)",
    ]


def test_the_first_loss_is_said_beside_the_first_fault() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    for lost in (0, 0, 5, 7):
        faults.add("syslog", SinkError(f"costs {lost}"), lost=lost)
    assert said == [
        "syslog: costs 0 (said once; further faults here are only counted)",
        "syslog: costs 5 (said once; further faults here are only counted)",
    ]


def test_the_end_of_an_outage_is_said_with_what_it_cost() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    faults.recovered("syslog")
    faults.add("syslog", SinkError("unreachable"), lost=0)
    faults.recovered("syslog")
    faults.recovered("syslog")
    faults.add("nats", SinkError("unreachable"), lost=3)
    faults.recovered("nats")
    del said[2]
    assert said == [
        "syslog: unreachable (said once; further faults here are only counted)",
        "syslog: works again",
        "nats: works again; 3 records did not get there",
    ]


def test_a_place_that_comes_and_goes_is_said_once_a_minute() -> None:
    said: list[str] = []
    now = [1000.0]
    faults = Faults(said.append, lambda: now[0])
    for second in range(120):
        now[0] = 1000.0 + second
        faults.add("syslog", SinkError(f"unreachable at {second}"), lost=0)
        faults.recovered("syslog")
    assert [sentence.partition(" (")[0] for sentence in said] == [
        "syslog: unreachable at 0",
        "syslog: works again",
        "syslog: unreachable at 60",
        "syslog: works again",
    ]
    assert [(fault.count, fault.first) for fault in faults.all()] == [(120, "unreachable at 0")]


def test_the_sums_are_said_of_places_that_lost_records() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    faults.add("stdout", SinkError("Broken pipe"), lost=3)
    faults.add("processors", KeyError("event"), lost=0)
    del said[:]
    faults.say_sums()
    assert said == ["stdout: 3 records did not get there; it began with: Broken pipe"]


def test_faults_of_two_threads_are_all_counted() -> None:
    faults = Faults(lambda _: None)

    def fail() -> None:
        for _ in range(2000):
            faults.add("file", SinkError("full"), lost=1)

    threads = [Thread(target=fail) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.all() == (Fault("file", count=4000, lost=4000, first="full"),)


def test_a_standard_error_that_is_gone_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say_on_stderr("nobody hears this")


def test_a_standard_error_that_nobody_reads_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb") as reader, os.fdopen(write_fd, "w") as stalled:
        monkeypatch.setattr(sys, "stderr", stalled)
        say_on_stderr("there is room")
        os.set_blocking(write_fd, False)
        with suppress(BlockingIOError):
            while os.write(write_fd, b"x" * 65536):
                pass
        os.set_blocking(write_fd, True)
        say_on_stderr("there is none")
        assert reader.read(37) == b"doorlog: log: there is room\n" + b"x" * 9


def test_what_is_said_says_who_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    say_on_stderr("disk full")
    assert capsys.readouterr().err == "doorlog: log: disk full\n"


def test_where_names_are_hidden_an_error_is_told_by_its_type_and_ours_in_full() -> None:
    said: list[str] = []
    faults = Faults(said.append, discreet=True)
    faults.add("processors", KeyError("pump-17"), lost=0)
    faults.add("stdout", SinkError("Broken pipe"), lost=1)

    assert [fault.first for fault in faults.all()] == ["KeyError", "Broken pipe"]
    assert "pump-17" not in "".join(said)
