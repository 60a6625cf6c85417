"""``doorlog web`` as it is typed: where it listens, whom it lets in, and how it ends."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from doorlog.application.cli import ExitCode
from support.commands import DOORLOG, doorlog
from support.web_log import rotation


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return rotation(tmp_path).log.live


def test_the_page_is_served_until_ctrl_c(log: Path) -> None:
    argv = [*DOORLOG, "web", "--log", str(log.parent), "--bind", "127.0.0.1:0"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        (url,) = re.findall(r"the page is at (http://127\.0\.0\.1:\d+)", said)
        with urlopen(f"{url}/log", timeout=20) as answer:
            assert b"pump-17" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_it_ends_with_whoever_started_it(log: Path) -> None:
    argv = [*DOORLOG, "web", "--log", str(log), "--bind", "127.0.0.1:0", "--with-parent"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdin is not None
        assert "the page is at" in process.stderr.readline()
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "example.com:80"])
def test_beyond_this_machine_a_password_is_needed(log: Path, bind: str) -> None:
    said = doorlog("web", "--log", log, "--bind", bind)

    assert said.code == ExitCode.SETTINGS
    assert "give the page a password with --password-file" in said.err[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("short\n", "is too short for a password"), (b"\xff\xfe", "can not be read"), (None, "can not be read")],
)
def test_a_password_must_be_one(log: Path, text: str | bytes | None, hint: str) -> None:
    file = log.with_name("password")
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    said = doorlog("web", "--log", log, "--bind", "0.0.0.0:0", "--password-file", file)

    assert said.code == ExitCode.SETTINGS
    assert hint in said.err[0]


@pytest.mark.parametrize("bind", ["8880", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":80"])
def test_an_address_must_be_one(log: Path, bind: str) -> None:
    said = doorlog("web", "--log", log, "--bind", bind)

    assert said.code == ExitCode.USAGE
    assert 'such as "127.0.0.1:8880"' in " ".join(said.err)


def test_a_taken_port_and_a_missing_log_are_told(log: Path, tmp_path: Path) -> None:
    assert doorlog("web", "--log", tmp_path / "no").code == ExitCode.SETTINGS
    said = doorlog("web", "--log", log, "--bind", "203.0.113.1:1", "--password-file", _password(tmp_path))

    assert said.code == ExitCode.ADDRESS
    assert "choose another with --bind" in said.err[0]


def _password(folder: Path) -> Path:
    file = folder / "page.password"
    file.write_text("long enough\n")
    return file
