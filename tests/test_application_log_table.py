"""A log as a table for a command: Ctrl-C ends it whatever Python is doing, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from doorlog.application.log_table import table_of
from support.log_files import WrittenLog

INTERRUPTED_IN_A_FINALIZER = """
import os, signal, sys
from pathlib import Path
from doorlog.application.log_table import table_of

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

with table_of(Path(sys.argv[1])) as table:
    assert any(Path(os.environ["TMPDIR"]).iterdir())
    Finalized()
    print("goes on")
"""


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    log = WrittenLog(tmp_path)
    log.append(1)
    return log


def interrupted(log: WrittenLog, tmp_path: Path, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    argv = [sys.executable, "-c", INTERRUPTED_IN_A_FINALIZER, str(log.live)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, stderr=stderr, timeout=60, check=False)
    assert list(temporary.iterdir()) == []
    return done


def test_ctrl_c_is_not_lost_in_a_finalizer(log: WrittenLog, tmp_path: Path) -> None:
    done = interrupted(log, tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_terminal_gets_its_line_and_its_cursor_back(log: WrittenLog, tmp_path: Path) -> None:
    read, write = pty.openpty()
    done = interrupted(log, tmp_path, stderr=write)

    assert (done.returncode, done.stdout) == (130, b"")
    assert os.read(read, 1_000) == b"\r\x1b[2K\x1b[?25h"


def test_ctrl_c_means_what_it_meant_once_the_table_is_closed(log: WrittenLog) -> None:
    before = signal.getsignal(signal.SIGINT)
    with table_of(log.live):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_whoever_ignores_it_is_left_alone(log: WrittenLog) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with table_of(log.live):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
