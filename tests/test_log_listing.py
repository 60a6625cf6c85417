"""The files of a log at one moment, whoever renames and deletes them meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorlog.log import listing
from doorlog.log.listing import listed
from doorlog.log.segments import closed_segments
from support.log_files import WrittenLog, record_line


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    return WrittenLog(tmp_path)


def firsts(log: WrittenLog) -> list[int] | None:
    with listed(log.live) as files:
        return None if files is None else [file.first for file in files]


def test_files_stand_in_order_with_their_first_sequences(log: WrittenLog) -> None:
    log.append(3)
    log.logrotate(compress=True)
    log.append(2)
    log.rotate()
    log.compress()
    log.append(4)
    assert firsts(log) == [1, 4, 6]


def test_a_live_file_without_a_record_is_left_out(log: WrittenLog) -> None:
    assert firsts(log) == []
    log.append_raw(b"")
    assert firsts(log) == []
    log.append_raw(record_line(1)[:-1])
    assert firsts(log) == []


def test_there_is_nothing_where_there_is_no_folder(tmp_path: Path) -> None:
    with listed(tmp_path / "nowhere" / "doorlog.jsonl") as files:
        assert files == []


def test_the_live_file_is_open_while_it_is_listed_and_is_lent(log: WrittenLog) -> None:
    log.append(1)
    log.rotate()
    log.append(1)
    with listed(log.live) as files:
        assert files is not None
        closed, live = files
        for file, line in ((closed, log.written[0]), (live, log.written[1])):
            with file.lent() as reader:
                assert reader.take(9, 10_000) == [line]
        log.rotate()
        kept = live.open()
    kept.seek(0)
    assert kept.take(9, 10_000) == [log.written[1]]
    kept.close()


def test_a_folder_that_changes_while_it_is_listed_is_listed_again(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(1)
    rounds = [1, 1, 0]

    def changing(live: Path) -> list[Path]:
        found = closed_segments(live)
        if rounds.pop(0):
            log.rotate()
            log.append(1)
        return found

    monkeypatch.setattr(listing, "closed_segments", changing)
    assert firsts(log) == [1, 2, 3]
    assert rounds == []


def test_a_live_file_that_is_renamed_before_the_listing_is_not_listed_twice(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(1)
    plain = listing._closed

    def late(live: Path) -> list[listing.LogFile] | None:
        monkeypatch.undo()
        log.rotate()
        log.append(1)
        return plain(live)

    monkeypatch.setattr(listing, "_closed", late)
    assert firsts(log) == [1, 2]


@pytest.mark.parametrize("fault", [True, False])
def test_a_folder_that_never_stands_still_is_looked_at_later(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch, fault: bool
) -> None:
    log.append(1)

    def vanishing(live: Path) -> list[Path]:
        if fault:
            raise FileNotFoundError
        log.live.with_name(f"new-{len(list(live.parent.iterdir()))}").touch()
        return []

    monkeypatch.setattr(listing, "closed_segments", vanishing)
    assert firsts(log) is None
