"""The log file: created with care, never torn, and never somebody else's."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from doorlog.log.file_sink import FileSink

from doorlog.errors import SinkError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write_once(path: Path, *lines: bytes) -> None:
    sink = FileSink(path)
    sink.write(lines)
    sink.close()


def test_a_symbolic_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious\n")
    (tmp_path / "log.jsonl").symlink_to(victim)
    with pytest.raises(SinkError, match="it is a symbolic link"):
        FileSink(tmp_path / "log.jsonl")
    assert victim.read_bytes() == b"precious\n"


def test_a_symbolic_link_to_nowhere_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="it is a symbolic link"):
        FileSink(tmp_path / "log.jsonl")
    assert not (tmp_path / "elsewhere").exists()


def test_a_linked_folder_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk2")
    write_once(tmp_path / "log" / "doorlog.jsonl", b"{}\n")
    assert (tmp_path / "disk2" / "doorlog.jsonl").read_bytes() == b"{}\n"


def test_a_pipe_is_refused_at_once_instead_of_waiting_for_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SinkError, match="it is no regular file"):
        FileSink(tmp_path / "fifo")


def test_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Is a directory"):
        FileSink(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(SinkError, match="can not open the log file"):
            FileSink(tmp_path / "socket")


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"can not open the log file .*/file/log\.jsonl: "):
        FileSink(tmp_path / "file" / "log.jsonl")


def test_a_full_disk_is_a_sink_error() -> None:
    sink = FileSink(Path("/dev/full"))
    with pytest.raises(SinkError, match=r"^No space left on device$"):
        sink.write([b"{}\n"])
    sink.close()


def test_a_last_line_that_a_crash_has_torn_does_not_merge_with_the_first_record(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":')
    write_once(path, b'{"c":3}\n')
    assert path.read_bytes() == b'{"a":1}\n{"b":\n{"c":3}\n'


def test_a_whole_file_is_continued_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    write_once(path, b'{"a":1}\n')
    write_once(path, b'{"b":2}\n', b'{"c":3}\n')
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n{"c":3}\n'


def test_the_file_and_its_folders_are_created_for_the_owner_and_his_group(tmp_path: Path) -> None:
    path = tmp_path / "var" / "log" / "doorlog.jsonl"
    before = os.umask(0)
    try:
        write_once(path, b"{}\n")
    finally:
        os.umask(before)
    assert (mode_of(path), mode_of(path.parent)) == (0o640, 0o750)


def test_the_mode_of_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    path.touch()
    path.chmod(0o600)
    write_once(path, b"{}\n")
    assert mode_of(path) == 0o600


def test_a_program_that_the_broker_starts_does_not_inherit_the_file(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    sink = FileSink(path)
    mine = [int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink() and fd.resolve() == path]
    assert [os.get_inheritable(fd) for fd in mine] == [False]
    sink.close()
