"""The live file: created with care, never torn, never somebody else's, and never two brokers'."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorlog.errors import SinkError
from doorlog.log.chain import line_hash
from doorlog.log.live_file import lock, mend, open_live, sync_folder
from doorlog.log.recovery import Tail
from doorlog.log.segments import segment_name
from support.events import WHEN
from support.log_lines import after, check_chain, lines_of

LINES = lines_of()
WHOLE = b"".join(LINES)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def mended(path: Path, data: bytes | None = None) -> tuple[Tail, str | None]:
    if data is not None:
        path.write_bytes(data)
    fd = open_live(path)
    try:
        return mend(path, fd)
    finally:
        os.close(fd)


def torn_files(path: Path) -> list[bytes]:
    return [torn.read_bytes() for torn in path.parent.glob(f"{path.name}.torn-*")]


# what is refused


def test_a_symbolic_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious\n")
    (tmp_path / "log.jsonl").symlink_to(victim)
    with pytest.raises(SinkError, match="it is a symbolic link"):
        open_live(tmp_path / "log.jsonl")
    assert victim.read_bytes() == b"precious\n"


def test_a_symbolic_link_to_nowhere_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="it is a symbolic link"):
        open_live(tmp_path / "log.jsonl")
    assert not (tmp_path / "elsewhere").exists()


def test_a_symbolic_link_in_the_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(SinkError, match=r"can not open the log file .*: Too many levels of symbolic links"):
        lock(tmp_path / "log.jsonl")
    assert not (tmp_path / "victim").exists()


def test_a_pipe_is_refused_at_once_instead_of_waiting_for_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SinkError, match="it is no regular file"):
        open_live(tmp_path / "fifo")


def test_a_folder_a_socket_and_a_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Is a directory"):
        open_live(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(SinkError, match="can not open the log file"):
            open_live(tmp_path / "socket")
    with pytest.raises(SinkError, match="it is no regular file"):
        open_live(Path("/dev/null"))


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"can not open the log file .*/file/log\.jsonl: "):
        lock(tmp_path / "file" / "log.jsonl")


def test_a_second_broker_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = lock(tmp_path / "log.jsonl")
    with pytest.raises(SinkError, match=r"another broker writes to the log .*log\.jsonl: give each broker a file"):
        lock(tmp_path / "log.jsonl")
    os.close(first)
    os.close(lock(tmp_path / "log.jsonl"))


@pytest.mark.parametrize("data", [b"precious\n", b"precious", b"line\nrest"])
def test_a_file_of_somebody_else_is_refused_and_left_untouched(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SinkError, match="is no log of doorlog"):
        mended(tmp_path / "notes", data)
    assert (tmp_path / "notes").read_bytes() == data
    assert torn_files(tmp_path / "notes") == []


def test_a_damaged_segment_is_named_with_the_remedy(tmp_path: Path) -> None:
    live = tmp_path / "doorlog.jsonl"
    live.with_name(segment_name(live, WHEN, 1) + ".zst").write_bytes(b"\x28\xb5\x2f\xfdrubbish")
    with pytest.raises(SinkError, match=r"can not tell where the log .* stopped: .*damaged.*: move it"):
        mended(live, b"")


# what is mended


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(WHOLE)))
def test_a_log_that_was_cut_anywhere_keeps_exactly_its_whole_records(tmp_path: Path, cut: int) -> None:
    path = tmp_path / f"{cut}.jsonl"
    kept, torn = WHOLE[: WHOLE.rfind(b"\n", 0, cut) + 1], WHOLE[WHOLE.rfind(b"\n", 0, cut) + 1 : cut]

    tail, torn_file = mended(path, WHOLE[:cut])

    assert path.read_bytes() == kept
    assert torn_files(path) == ([torn] if torn else [])
    assert (torn_file is None) == (not torn)
    whole = kept.splitlines(keepends=True)
    assert (tail.sequence, tail.torn_bytes) == (len(whole), len(torn))
    with path.open("ab") as file:
        file.writelines(lines_of(sequence=tail.sequence, previous=tail.sha256))
    check_chain(path.read_bytes().splitlines())
    for left in tmp_path.glob(f"{cut}.jsonl*"):
        left.unlink()


def test_pages_of_zeros_after_a_loss_of_power_are_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail, torn_file = mended(path, WHOLE + b"\0" * 8192)
    assert path.read_bytes() == WHOLE
    assert torn_file is not None
    assert (tmp_path / torn_file).read_bytes() == b"\0" * 8192
    assert mode_of(tmp_path / torn_file) == 0o640
    assert (tail.sequence, tail.sha256, tail.torn_bytes) == (3, line_hash(LINES[-1]), 8192)


def test_a_whole_file_is_continued_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert mended(path, WHOLE)[1] is None
    fd = open_live(path)
    os.write(fd, after(LINES)[0])
    os.close(fd)
    check_chain(path.read_bytes().splitlines())


def test_a_disk_that_fails_while_it_is_mended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkError, match=r"can not open the log file .*: Input/output error"):
        mended(tmp_path / "log", WHOLE + b"{")
    assert (tmp_path / "log").read_bytes() == WHOLE + b"{", "the copy was not on disk yet"


# how it is created


def test_a_linked_folder_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk2")
    os.close(lock(tmp_path / "log" / "doorlog.jsonl"))
    os.close(open_live(tmp_path / "log" / "doorlog.jsonl"))
    assert (tmp_path / "disk2" / "doorlog.jsonl").exists()


def test_the_file_and_its_folders_are_created_for_the_owner_and_his_group(tmp_path: Path) -> None:
    path = tmp_path / "var" / "log" / "doorlog.jsonl"
    before = os.umask(0)
    try:
        os.close(lock(path))
        os.close(open_live(path))
    finally:
        os.umask(before)
    assert (mode_of(path), mode_of(path.parent)) == (0o640, 0o750)


def test_the_mode_of_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    path.touch()
    path.chmod(0o600)
    os.close(open_live(path))
    assert mode_of(path) == 0o600


def test_a_program_that_the_broker_starts_inherits_neither_the_file_nor_the_lock(tmp_path: Path) -> None:
    fds = lock(tmp_path / "log"), open_live(tmp_path / "log")
    assert [os.get_inheritable(fd) for fd in fds] == [False, False]
    for fd in fds:
        os.close(fd)


def test_the_names_in_a_folder_are_put_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    sync_folder(tmp_path / "log")
    assert synced == [str(tmp_path)]
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "no" / "log")
