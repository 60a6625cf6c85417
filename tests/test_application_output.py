"""Findings are coloured for a person, plain for a pipe, and can not play with the terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from doorlog.application.check import Finding
from doorlog.application.output import print_findings

CONFIG = Path("doorlog.yaml")
ERROR = Finding("error", "listeners.tls", "is wrong")
WARNING = Finding("warning", "log", "is odd")
INFO = Finding("info", "", "is so")


def printed(capsys: pytest.CaptureFixture[str], *findings: Finding) -> list[str]:
    print_findings(CONFIG, findings)
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_a_line_for_each_finding_and_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ERROR, ERROR, WARNING, INFO) == [
        "error: listeners.tls: is wrong",
        "error: listeners.tls: is wrong",
        "warning: log: is odd",
        "info: is so",
        "doorlog.yaml: 2 errors, 1 warning",
    ]
    assert printed(capsys, INFO)[-1] == "doorlog.yaml: fit to start"
    assert printed(capsys) == ["doorlog.yaml: nothing to complain about"]


def test_a_long_finding_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(printed(capsys, Finding("error", "log", "word " * 100))) == 2


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nerror: b", "[red]a[/red]", "\u202eevil"])
def test_what_a_file_holds_does_not_play_with_the_terminal(capsys: pytest.CaptureFixture[str], text: str) -> None:
    lines = printed(capsys, Finding("error", text, text))

    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "[red]" not in text or "[red]a[/red]" in lines[0]


def on_a_terminal(tmp_path: Path, **environment: str) -> str:
    (tmp_path / "doorlog.yaml").write_text("listeners: {}\nauth: {}\n", encoding="utf-8")
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "doorlog", "check", "-c", "doorlog.yaml"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", **environment},
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    return shown


def test_colours_on_a_terminal_unless_they_are_not_wanted(tmp_path: Path) -> None:
    coloured = on_a_terminal(tmp_path)

    assert "\x1b[1;31merror\x1b[0m: " in coloured
    assert "\x1b[1mlisteners\x1b[0m: name at least one listener" in coloured
    assert "\x1b[31m" not in on_a_terminal(tmp_path, NO_COLOR="1")
