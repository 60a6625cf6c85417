"""Commands that are suggested, to be pasted into a shell, with names that a client chose."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from doorlog.application.hints import command, program, same_log


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = tmp_path / "bin" / "doorlog"
    installed.parent.mkdir()
    installed.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(installed)])
    monkeypatch.setenv("PATH", f"{installed.parent}:/usr/bin:/bin")


def test_the_program_is_called_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert program() == ("doorlog",)
    monkeypatch.setenv("PATH", "")
    assert program() == (str(tmp_path / "bin" / "doorlog"),)
    monkeypatch.setattr("sys.argv", ["/usr/lib/doorlog/__main__.py"])
    assert program()[1:] == ("-m", "doorlog")


def test_it_is_about_the_same_log() -> None:
    assert command(["device", "pump-17"], same_log(None, None)) == "doorlog device pump-17"
    assert command(["device", "pump-17"], same_log(Path("my log"), None)) == "doorlog device --log 'my log' pump-17"
    assert command(["device", "pump-17"], same_log(None, Path("a.yaml"))) == "doorlog device -c a.yaml pump-17"


@pytest.mark.parametrize(
    "name", ["$(touch owned)", "`touch owned`", "a; touch owned", "a'b", 'a"b', "--log=x", "!!", "*"]
)
def test_a_shell_takes_any_name_as_a_word(name: str, tmp_path: Path) -> None:
    line = command(["device", name])

    assert line is not None
    said = subprocess.run(
        ["/bin/sh", "-c", line.replace("doorlog", "printf '%s\\n'", 1)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.splitlines()[-1] == name
    assert not (tmp_path / "owned").exists()
    assert shlex.split(line)[-1] == name
    if name.startswith("-"):
        assert shlex.split(line)[-2] == "--"


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202e", "x" * 600])
def test_what_a_terminal_would_obey_is_not_suggested(name: str) -> None:
    assert command(["device", name]) is None
