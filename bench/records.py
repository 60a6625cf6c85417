"""Reads what doorlog wrote while it writes, and counts."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

_PATIENCE = 15.0  # seconds


class RecordReader:
    """Follows a log file.

    Attributes:
        counts: Records by ``event.action`` and ``event.code``.
        last: The last record.
        gaps: Places where ``event.sequence`` did not go up by one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._sequence = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self.last: dict[str, Any] = {}
        self.gaps = 0

    def count(self, action: str, code: str | None = None) -> int:
        """Read on, and return how many records there are of an action, with a code if one is given."""
        self._read()
        if code is not None:
            return self.counts[action, code]
        return sum(number for (of, _), number in self.counts.items() if of == action)

    def wait_for(self, number: int, action: str, code: str | None = None) -> int:
        """Read on until there are so many, or patience is over; return how many there are."""
        end = time.monotonic() + _PATIENCE
        while (count := self.count(action, code)) < number and time.monotonic() < end:
            time.sleep(0.02)
        return count

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines, end, _ = file.read().rpartition(b"\n")
        self._offset += len(lines) + len(end)
        for line in lines.splitlines():
            self._take(json.loads(line))

    def _take(self, record: dict[str, Any]) -> None:
        event = record["event"]
        self.counts[event["action"], event.get("code", "")] += 1
        self.gaps += event["sequence"] != self._sequence + 1
        self._sequence = event["sequence"]
        self.last = record
