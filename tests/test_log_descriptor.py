"""Whole lines to a descriptor that takes them by halves, refuses them, or goes away."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from threading import Thread

import pytest

from doorlog.errors import SinkError
from doorlog.log.descriptor import DescriptorWriter


class Pipe:
    """A small pipe (one page) whose writing end does not block, so that a full one shows at once."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self.room = fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, 4096)

    def unread(self) -> int:
        (size,) = struct.unpack("i", fcntl.ioctl(self.read_fd, termios.FIONREAD, bytes(4)))
        return int(size)

    def read_all(self) -> bytes:
        data = b""
        while piece := os.read(self.read_fd, 65536):
            data += piece
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.read_fd)


def test_a_reader_that_has_gone_costs_all_lines_and_raises_each_time() -> None:
    read_fd, write_fd = os.pipe()
    writer = DescriptorWriter(write_fd)
    os.close(read_fd)
    for _ in range(2):
        with pytest.raises(SinkError, match=r"^Broken pipe$") as caught:
            writer.write([b"one\n", b"two\n"])
        assert (caught.value.lost, caught.value.retry) == (2, False)
    writer.close()


def test_a_terminal_that_was_hung_up_has_gone_for_good() -> None:
    controller, terminal = pty.openpty()
    writer = DescriptorWriter(terminal)
    os.close(controller)
    with pytest.raises(SinkError, match=r"^Input/output error$") as caught:
        writer.write([b"one\n"])
    assert (caught.value.lost, caught.value.retry) == (1, False)
    writer.close()


def test_a_full_disk_costs_all_lines() -> None:
    writer = DescriptorWriter(os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(SinkError, match=r"^No space left on device$") as caught:
        writer.write([b"one\n", b"two\n"])
    assert (caught.value.lost, caught.value.retry) == (2, True)
    writer.close()


def test_a_line_that_is_cut_by_a_failure_is_finished_before_the_next(pipe: Pipe) -> None:
    writer = LimitedWriter(pipe.write_fd, room=6)
    with pytest.raises(SinkError) as caught:
        writer.write([b"one\n", b"two\n", b"three\n", b"four\n"])
    assert caught.value.lost == 2, "one is written, two is cut and kept, three and four are lost"
    writer.room = 1
    with pytest.raises(SinkError) as caught:
        writer.write([b"five\n"])
    assert caught.value.lost == 1, "two is still being finished"
    writer.room = 100
    writer.write([b"six\n"])
    writer.close()
    assert pipe.read_all() == b"one\ntwo\nsix\n"


def test_a_failure_between_two_lines_cuts_none(pipe: Pipe) -> None:
    writer = LimitedWriter(pipe.write_fd, room=4)
    with pytest.raises(SinkError) as caught:
        writer.write([b"one\n", b"two\n"])
    assert caught.value.lost == 1
    writer.room = 100
    writer.write([b"three\n"])
    writer.close()
    assert pipe.read_all() == b"one\nthree\n"


def test_a_cut_line_is_finished_at_the_end_if_it_can_be(pipe: Pipe) -> None:
    writer = LimitedWriter(pipe.write_fd, room=2)
    with pytest.raises(SinkError):
        writer.write([b"one\n"])
    writer.room = 100
    writer.close()
    assert pipe.read_all() == b"one\n"


def test_a_line_that_stays_cut_is_said_at_the_end_and_the_descriptor_is_closed(pipe: Pipe) -> None:
    writer = LimitedWriter(pipe.write_fd, room=2)
    with pytest.raises(SinkError):
        writer.write([b"one\n"])
    with pytest.raises(SinkError, match="its last record is cut") as caught:
        writer.close()
    assert caught.value.lost == 1
    assert pipe.read_all() == b"on", "ends, because nobody holds the writing end any more"


def test_a_pipe_that_another_program_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_fd, False)
    writer = DescriptorWriter(pipe.write_fd)
    lines = [b"x" * 999 + b"\n"] * 20

    def write() -> None:
        writer.write(lines)
        writer.close()

    thread = Thread(target=write)
    thread.start()
    assert pipe.read_all() == b"".join(lines)
    thread.join()


def test_what_goes_first_goes_first_and_once(pipe: Pipe) -> None:
    writer = DescriptorWriter(pipe.write_fd, first=b"\n")
    writer.write([b"one\n"])
    writer.write([b"two\n"])
    writer.close()
    assert pipe.read_all() == b"\none\ntwo\n"


class LimitedWriter(DescriptorWriter):
    """A descriptor that takes some bytes, as few at a time as it likes, and then fails like a full disk."""

    def __init__(self, fd: int, room: int) -> None:
        super().__init__(fd)
        self.room = room

    def _write_some(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = super()._write_some(data[: min(self.room, 3)])
        self.room -= written
        return written
