"""The log in numbers, for the overview and the page of a device: not counted twice within seconds."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from doorlog.errors import DirectoryError
from doorlog.identity.overview import addresses, admissions, last_there, own_failures, states, summaries
from doorlog.identity.store import open_to_read
from doorlog.readers.changes import MOST_ATTEMPTS, attempts_of, break_of
from doorlog.readers.files import open_log
from doorlog.readers.history import ambiguous_of
from doorlog.readers.summary import summary_of
from doorlog.readers.table import open_table
from doorlog.readers.timeline import marks_of, timeline_of
from doorlog.readers.troubles import Remembered, judged
from doorlog.web.chart import chart_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    from doorlog.identity.overview import DeviceSummary
    from doorlog.readers.changes import Attempt
    from doorlog.readers.timeline import Mark

    Answer = TypeVar("Answer")

_FRESH_SECONDS: Final = 4.0
_MOST_SLOTS: Final = 72
_MOST_DEVICES: Final = 25
_MOST_SHOWN: Final = 200
_MOST_LISTED: Final = 500
_MEMORY: Final = "1GB"


class Numbers:
    """Asks the log and the directory of devices: one question at a time.

    Args:
        log: The live file.
        directory: What is known of the devices.
        index: Returns what is kept of a closed segment.
    """

    def __init__(self, log: Path, directory: Path | None, index: Callable[[Path], Path | None]) -> None:
        self._log = log
        self._directory = directory
        self._index = index
        self._answers: dict[float, tuple[float, dict[str, Any]]] = {}

    def overview(self, since: datetime, until: datetime) -> dict[str, Any]:
        """Return what the overview shows of a span; an answer of a few seconds ago will do.

        Raises:
            LogError: The log can not be read.
        """
        length = (until - since).total_seconds()
        asked, answer = self._answers.get(length, (0.0, {}))
        if not answer or time.monotonic() - asked > _FRESH_SECONDS:
            answer = self._overview(since, until)
            self._answers[length] = (time.monotonic(), answer)
        return answer

    def _overview(self, since: datetime, until: datetime) -> dict[str, Any]:
        begun = time.perf_counter()
        before = since - (until - since)
        with open_table(self._log, since=before, until=until, index=self._index, memory=_MEMORY) as table:
            summary = summary_of(table, since, until)
            timeline = timeline_of(table, since, until, _MOST_SLOTS)
        now = time.time()
        remembered = self._known(
            lambda known: Remembered(
                admissions(known, summary.names),
                own_failures(known, summary.names),
                last_there(known, summary.sources),
            )
        )
        summary, headline = judged(summary, remembered)
        return {
            "headline": headline,
            "summary": summary,
            "timeline": timeline,
            "chart": chart_of(timeline),
            "states": self._known(lambda known: states(known, now)),
            "failing": summary.devices[:_MOST_DEVICES],
            "new": [code for code in summary.codes if code.new and summary.is_comparable],
            "took": time.perf_counter() - begun,
        }

    def devices(self, state: str | None, text: str) -> dict[str, Any]:
        """Return the devices that the directory knows, failing ones first.

        Args:
            state: Only those of this state; None for all.
            text: What stands in their id, or in what was imported of them; empty for all.
        """
        now, wanted = time.time(), text.casefold()
        known = self._known(lambda known: summaries(known, now)) or []
        found = [one for one in known if state in (None, one.state) and wanted in _names(one)]
        return {
            "devices": found[:_MOST_LISTED],
            "number": len(found),
            "states": Counter(one.state for one in known),
            "known": len(known),
        }

    def device(self, name: str, since: datetime, until: datetime) -> dict[str, Any]:
        """Return what the page of a device shows.

        Raises:
            LogError: The log can not be read.
        """
        begun = time.perf_counter()
        with open_table(self._log, since=since, until=until, index=self._index, memory=_MEMORY) as table:
            attempts = attempts_of(table, name, since, until)
            broken = break_of(table, name, attempts, since, until)
            marks = marks_of(table, since, until)
        with open_log(self._log) as opened:
            ambiguous = ambiguous_of(opened, name, since)
        now = time.time()
        found = self._known(lambda known: summaries(known, now, name))
        return {
            "happened": with_marks(attempts[:_MOST_SHOWN], marks),
            "number": len(attempts),
            "is_cut": len(attempts) == MOST_ATTEMPTS,
            "ambiguous": ambiguous,
            "broken": broken,
            "summary": found[0] if found else None,
            "addresses": self._known(lambda known: addresses(known, name)),
            "marks": [(_place(mark.time, since, until), mark) for mark in marks],
            "lanes": lanes_of(attempts, since, until),
            "took": time.perf_counter() - begun,
        }

    def _known(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Ask the directory; None where it is not there, or can not be read: the log tells enough."""
        if self._directory is None or not self._directory.exists():
            return None
        try:
            with closing(open_to_read(self._directory)) as connection:
                return question(connection)
        except (DirectoryError, sqlite3.Error):
            return None


def _names(device: DeviceSummary) -> str:
    names = (device.id, device.name, device.site, device.model, device.serial, device.user_name, *device.tags)
    return "\n".join(filter(None, names)).casefold()


def with_marks(attempts: Sequence[Attempt], marks: Sequence[Mark]) -> list[Attempt | Mark]:
    """Return attempts, and what happened at the broker since the first of them, the latest first."""
    since = attempts[-1].time if attempts else None
    meanwhile = [mark for mark in marks if since is not None and mark.time >= since]
    return sorted([*attempts, *meanwhile], key=lambda one: one.time, reverse=True)


def lanes_of(
    attempts: Sequence[Attempt], since: datetime, until: datetime
) -> list[tuple[str, list[tuple[float, str]]]]:
    """Return dots over time for a picture of a device: admissions, and a lane for each code, the first one on top.

    Returns:
        For each lane its name, and for each attempt where it is (0 to 960) and what it was.
    """
    lanes: dict[str, list[tuple[float, str]]] = {}
    for attempt in reversed(attempts):
        name = "admitted" if attempt.is_admitted else attempt.code or "unknown"
        x = _place(attempt.time, since, until)
        lanes.setdefault(name, []).append((x, f"{attempt.time:%Y-%m-%d %H:%M:%S} UTC: {name}"))
    return sorted(lanes.items(), key=lambda lane: lane[0] != "admitted")


def _place(moment: datetime, since: datetime, until: datetime) -> float:
    return round((moment - since) / (until - since) * 960, 1)
