"""Records on standard output, seen from the other end of the pipe."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from doorlog.errors import SinkError
from doorlog.log.stdout_sink import StdoutSink


def test_a_program_started_without_standard_output_writes_to_no_innocent_descriptor() -> None:
    program = """
import os, sys
from doorlog.errors import SinkError
from doorlog.log.stdout_sink import StdoutSink
innocent, reader = os.pipe()[::-1]
assert 1 in (innocent, reader)
try:
    StdoutSink()
except SinkError as error:
    sys.stderr.write(str(error))
"""
    closing = f"import os,sys; os.close(1); os.execv({sys.executable!r}, [{sys.executable!r}, '-c', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", closing, program], stderr=subprocess.PIPE, check=True)
    assert done.stderr == b"can not log to standard output: it is closed"


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    os.close(write_fd)
    with pytest.raises(SinkError, match="Bad file descriptor"):
        StdoutSink(write_fd)


def test_a_reader_that_has_gone_is_a_sink_error() -> None:
    read_fd, write_fd = os.pipe()
    sink = StdoutSink(write_fd)
    os.close(read_fd)
    with pytest.raises(SinkError, match=r"^Broken pipe$"):
        sink.write([b"{}\n"])
    sink.close()
    os.close(write_fd)


def test_lines_arrive_and_standard_output_stays_open_for_others() -> None:
    read_fd, write_fd = os.pipe()
    sink = StdoutSink(write_fd)
    sink.write([b'{"a":1}\n', b'{"b":2}\n'])
    sink.close()
    os.write(write_fd, b"still mine\n")
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as reader:
        assert reader.read() == b'{"a":1}\n{"b":2}\nstill mine\n'
