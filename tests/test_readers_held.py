"""The files of a log, held open: every record once, whatever a broker or logrotate does to their names meanwhile."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from doorlog.errors import LogError
from doorlog.log.segments import closed_segments, whole_lines
from doorlog.readers import held
from doorlog.readers.held import Links, hold
from support.log_files import WrittenLog, record_line


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """Two closed segments, and a live file."""
    log = WrittenLog(tmp_path)
    for _ in range(2):
        log.append(3)
        log.rotate()
    log.append(3)
    return log


def lines(log: Path, change: Callable[[], object] = lambda: None) -> list[bytes]:
    """Return what is read of a log that changes once it is open."""
    with Links() as links:
        files = hold(log, links)
        change()
        return [line for file in files for line in whole_lines(Path(file.link))]


def during_the_list(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], *, before: bool = False) -> None:
    """Have something happen once, as soon as the closed segments were listed (or just before)."""
    changes = [change]

    def listed(live: Path) -> list[Path]:
        if changes and before:
            changes.pop()()
        found = closed_segments(live)
        if changes:
            changes.pop()()
        return found

    monkeypatch.setattr(held, "closed_segments", listed)


def later(log: WrittenLog) -> None:
    """Write on, close, and compress."""
    log.rotate()
    log.append_raw(record_line(99))
    log.compress()


CHANGES: dict[str, Callable[[WrittenLog], object]] = {
    "rotated": WrittenLog.rotate,
    "compressed": WrittenLog.compress,
    "rotated and compressed": later,
    "renamed by logrotate": WrittenLog.logrotate,
    "compressed by logrotate": lambda log: log.logrotate(compress=True),
    "deleted": lambda log: shutil.rmtree(log.live.parent),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_happens_once_it_is_open_changes_nothing(log: WrittenLog, change: Callable[[WrittenLog], object]) -> None:
    assert lines(log.live, lambda: change(log)) == log.written


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", [name for name in CHANGES if name != "deleted"])
@pytest.mark.parametrize("rotated_by", [WrittenLog.rotate, WrittenLog.logrotate])
def test_what_happens_while_it_is_listed_hides_nothing_and_doubles_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    rotated_by: Callable[[WrittenLog], object],
    before: bool,
) -> None:
    log = WrittenLog(tmp_path)
    for _ in range(2):
        log.append(3)
        rotated_by(log)
    log.append(3)
    during_the_list(monkeypatch, lambda: CHANGES[name](log), before=before)

    assert [line for line in lines(log.live) if line in log.written] == log.written


def test_a_live_file_that_was_empty_when_it_was_opened_is_known_again(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.rotate()
    log.live.touch()

    def fill() -> None:
        log.append(3)
        log.rotate()

    during_the_list(monkeypatch, fill, before=True)

    assert lines(log.live) == log.written


def test_a_file_of_logrotate_that_is_renamed_while_it_is_listed_is_found(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed() -> None:
        raise FileNotFoundError(2, "No such file or directory", "doorlog.jsonl.1")

    during_the_list(monkeypatch, renamed)

    assert lines(log.live) == log.written


def test_what_retention_deleted_before_it_could_be_opened_is_left_out(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    during_the_list(monkeypatch, log.closed[0].unlink)

    assert lines(log.live) == log.written[3:]


def test_a_log_that_is_rotated_all_the_time_is_read_whole(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    log.append(2)

    def write() -> None:
        for _ in range(60):
            log.append(2)
            log.rotate()
            log.append(2)
            log.compress()

    thread = Thread(target=write)
    thread.start()
    try:
        while thread.is_alive():
            wanted = log.written[:]
            found = lines(log.live)
            assert found[: len(wanted)] == wanted
            assert len(set(found)) == len(found)
    finally:
        thread.join()


def test_only_what_can_hold_a_span_is_opened(log: WrittenLog) -> None:
    with Links() as links:
        files = hold(log.live.parent, links, since=datetime(2027, 1, 1, tzinfo=UTC))

        assert [file.path for file in files] == [log.closed[-1], log.live]


def test_what_is_damaged_is_held_all_the_same(log: WrittenLog) -> None:
    log.compress()
    log.closed[0].write_bytes(b"no zstd")
    with Links() as links:
        assert [file.path for file in hold(log.live, links)] == [*log.closed, log.live]


def test_nothing_stays_open(log: WrittenLog) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    lines(log.live)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with Links() as links, pytest.raises(FileNotFoundError):
        hold(tmp_path / "doorlog.jsonl", links)


def test_without_links_to_descriptors_there_are_links_to_names(
    log: WrittenLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_DESCRIPTORS", tmp_path / "none")

    assert lines(log.live) == log.written


def test_as_many_files_are_open_as_are_needed(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 5_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    lines(log.live)

    assert asked[0] == (4 + 200, 5_000)


def test_too_many_open_files_are_told(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, *_: object, **__: object) -> int:
        raise OSError(24, "Too many open files", str(path))

    with Links() as links, monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        with pytest.raises(LogError, match="ulimit -n"):
            hold(log.live, links)


def test_too_many_files_are_told(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_MOST_FILES", 2)
    with Links() as links, pytest.raises(LogError, match="3 files are too many: name a shorter time"):
        hold(log.live, links)


def test_texts_of_duckdb_name_the_files(log: WrittenLog) -> None:
    with Links() as links:
        file = hold(log.live, links)[0]

        assert links.named(f"can not read '{file.link}'") == f"can not read '{file.path}'"
