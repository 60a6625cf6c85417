"""Closed segments are indexed in the background, whatever is wrong with one of them, or with the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorlog.web.keeper import Keeper
from support.log_files import WrittenLog


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    log = WrittenLog(tmp_path)
    for _ in range(2):
        log.append(2_000)
        log.rotate()
    log.compress()
    log.append(1)
    return log


def test_what_was_closed_is_kept(log: WrittenLog) -> None:
    keeper = Keeper(log.live)
    keeper.work()

    assert all(keeper.of(path) for path in log.closed)
    with Keeper(log.live) as again:
        assert again.index.missing() == []


def test_a_damaged_segment_is_tried_once_and_the_others_are_kept(
    log: WrittenLog, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = log.closed
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 0xFF
    second.write_bytes(data)
    keeper = Keeper(log.live)
    keeper.work()
    keeper.work()

    assert (keeper.of(first) is not None, keeper.of(second)) == (True, None)
    assert len([record for record in caplog.records if "can not be indexed" in record.message]) == 1


def test_where_nothing_can_be_written_it_is_kept_elsewhere_for_the_time(log: WrittenLog, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("no folder")
    with Keeper(log.live) as keeper:
        folder = keeper.index.folder
        assert folder.parent != tmp_path
        assert folder.exists()
    assert not folder.exists()


def test_a_log_that_is_gone_meanwhile_is_no_end(log: WrittenLog, caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper(log.live)
    keeper._stop.set()
    keeper.work()  # stops before the first
    assert not any(keeper.of(path) for path in log.closed)
