"""Rotation while records come: nothing is lost, segments are compressed, old ones go, and another start goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doorlog.events.sentences import message_of
from doorlog.log.archive import Archive
from doorlog.log.faults import Faults
from doorlog.log.opening import open_log
from doorlog.log.writer import Log
from doorlog.settings.log_models import LogSettings
from support.events import SERVICE, failed_connect, stopped_audit
from support.whole_log import of_action, read_log

RECORDS = 5_000


def opened(path: Path, **file: Any) -> Log:
    settings = LogSettings.model_validate({"file": {"path": path, **file}, "flood": {"enabled": False}})
    return open_log(settings, service=SERVICE, message_of=message_of)


def test_rotation_while_records_come_as_fast_as_they_can_loses_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path / "doorlog.jsonl", rotate_bytes=500_000)
    for number in range(RECORDS):
        log.record(failed_connect())
        if number == RECORDS // 2:
            log.reload()
    log.record(stopped_audit())
    log.close()

    records = read_log(tmp_path / "doorlog.jsonl")
    assert len(of_action(records, "connect")) == RECORDS
    closed = sorted(tmp_path.glob("doorlog-*"))
    assert len(closed) >= 5
    assert len(of_action(records, "audit_checkpoint")) >= len(closed) + 1, "one at the end of each segment"


def test_closed_segments_are_compressed_and_the_oldest_deleted(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    for _ in range(2):
        log = opened(path, rotate_bytes=65_536, keep_bytes=65_536)
        for _ in range(600):
            log.record(failed_connect())
        log.record(stopped_audit())
        log.close()
    archive = Archive(path, compress=True, keep_bytes=65_536, keep_days=None, faults=Faults())
    archive.tidy()  # as at the next start

    closed = sorted(tmp_path.glob("doorlog-*"))
    assert closed
    assert all(name.suffix == ".zst" for name in closed)
    assert sum(name.stat().st_size for name in closed) <= 65_536
