"""A password comes from a terminal, twice and unseen, or from a pipe; nothing of it is shown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from doorlog.application.password_input import read_password
from doorlog.passwords import MAX_BYTES, read_users

DOORLOG = [sys.executable, "-m", "doorlog"]


def piped(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "stdin"
    path.write_bytes(content)
    with path.open(encoding="utf-8") as stdin:
        return read_password(stdin)


@pytest.mark.parametrize("content", [b"\xff\n", b"caf\xe9", b"\xed\xa0\x80\n"])
def test_what_is_no_text_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="is not UTF-8: nothing was changed") as caught:
        piped(tmp_path, content)

    assert caught.value.__suppress_context__


@pytest.mark.parametrize("end", [b"", b"x", b"xxx\n"])
def test_a_line_without_an_end_is_not_read_for_ever(tmp_path: Path, end: bytes) -> None:
    with pytest.raises(ValueError, match="longer than 65535 bytes"):
        piped(tmp_path, b"x" * (MAX_BYTES + 3) + end)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret", "secret"),
        (b" se cret \n", " se cret "),
        ("påssword\n".encode(), "påssword"),
        (b"first\nsecond\n", "first"),
        (b"x" * MAX_BYTES + b"\r\n", "x" * MAX_BYTES),
        (b"", ""),
    ],
)
def test_one_line_of_a_pipe(tmp_path: Path, content: bytes, password: str) -> None:
    assert piped(tmp_path, content) == password


def type_in(tmp_path: Path, *answers: str) -> tuple[int, str]:
    """Run ``doorlog passwd`` on a terminal; return its exit code and all that the terminal showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*DOORLOG, "passwd", "users.txt", "pump-17"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        for prompt, answer in zip((b"Password: ", b"Once more: "), answers, strict=True):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1024)
            os.write(ours, f"{answer}\n".encode())
        try:
            while chunk := os.read(ours, 1024):
                shown += chunk
        except OSError:  # EIO: nobody has the terminal open any more
            os.close(ours)
    return process.returncode, shown.decode()


def test_a_terminal_asks_twice_and_shows_nothing(tmp_path: Path) -> None:
    code, shown = type_in(tmp_path, "hunter22", "hunter22")

    assert code == 0
    assert "hunter22" not in shown
    assert shown.splitlines()[-1] == "users.txt: pump-17 has a new password"
    hashes = read_users(tmp_path / "users.txt").hashes
    assert PasswordHasher().verify(hashes["pump-17"], "hunter22")


def test_two_passwords_that_differ_change_nothing(tmp_path: Path) -> None:
    code, shown = type_in(tmp_path, "hunter22", "hunter23")

    assert code == 1
    assert shown.splitlines()[-1] == "doorlog: the two passwords are not the same: nothing was changed"
    assert list(tmp_path.iterdir()) == []
