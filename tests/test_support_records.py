"""Does a test that follows a log see each record once, also when the log is rotated meanwhile?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.log_lines import closed_log
from support.records import following, sequences

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_was_written_before_and_after_a_rotation_is_read_once(tmp_path: Path) -> None:
    log, lines = tmp_path / "doorlog.jsonl", closed_log()
    with following(log) as records:
        log.write_bytes(lines[0] + lines[1][:20])
        await records.nth(1)
        with log.open("ab") as file:
            file.write(lines[1][20:])
        log.rename(tmp_path / "doorlog-closed.jsonl")
        log.write_bytes(b"".join(lines[2:]))
        await records.nth(len(lines))
        assert sequences(records.records) == list(range(1, len(lines) + 1))
