"""What comes to the log, told to everybody who watches (Server-Sent Events, HTML standard 9.2).

One thread follows the log for all, as long as anybody watches. Whoever reads too slowly is told how many records were
left out: what waits for one reader is bounded, and so is the number of readers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
from zstandard import ZstdError

from doorlog.log.follow import Follower
from doorlog.readers.tail import wanted
from doorlog.web.rows import plain, row_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from doorlog.readers.filters import Filters
    from doorlog.web.rows import Row

MOST_WATCHERS: Final = 50
_MOST_ROWS: Final = 200
"""Rows that wait for one watcher: as many as the page keeps."""
_LOOK_SECONDS: Final = 0.1
_BEAT_SECONDS: Final = 15.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watcher:
    """Somebody who watches; only ever touched on the event loop."""

    filters: Filters
    rows: list[Row] = field(default_factory=list)
    left_out: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, rows: Sequence[Row]) -> None:
        """Take what came; of too much, the latest."""
        self.rows += rows
        self.left_out += max(0, len(self.rows) - _MOST_ROWS)
        del self.rows[:-_MOST_ROWS]
        if rows:
            self.news.set()


class Live:
    """Follows a log for its watchers.

    Args:
        log: The live file.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._watchers: list[Watcher] = []
        self._stop: threading.Event | None = None

    @property
    def is_full(self) -> bool:
        """Whether nobody more can watch."""
        return len(self._watchers) >= MOST_WATCHERS

    async def watch(self, filters: Filters) -> AsyncGenerator[bytes, None]:
        """Yield events, and a comment now and then so that the connection is known to be open."""
        watcher = Watcher(filters)
        self._watchers.append(watcher)
        if self._stop is None:
            self._begin()
        try:
            yield b"retry: 2000\n\n"
            while True:
                try:
                    async with asyncio.timeout(_BEAT_SECONDS):
                        await watcher.news.wait()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                yield _event(watcher)
                await asyncio.sleep(_LOOK_SECONDS)  # what comes in a storm is told at once
        finally:
            self._watchers.remove(watcher)
            if not self._watchers:
                self.close()

    def close(self) -> None:
        """Stop following."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _begin(self) -> None:
        self._stop = threading.Event()
        arguments = (self._stop, asyncio.get_running_loop())
        threading.Thread(target=self._follow, args=arguments, name="doorlog-live", daemon=True).start()

    def _follow(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        follower = Follower(self._log, "end")
        try:
            while not stop.is_set():
                lines = self._read(follower)
                if lines:
                    loop.call_soon_threadsafe(self._tell, lines)
                else:
                    stop.wait(_LOOK_SECONDS)
        except RuntimeError:  # the loop has been closed
            pass
        finally:
            follower.close()

    def _read(self, follower: Follower) -> Sequence[bytes]:
        try:
            return follower.read().lines
        except (OSError, EOFError, ZstdError, zlib.error) as error:
            _log.warning("%s: can not be followed just now: %s", self._log, error)
            return ()

    def _tell(self, lines: Sequence[bytes]) -> None:
        for watcher in self._watchers:
            found = (wanted(line.rstrip(b"\n"), watcher.filters) for line in lines)
            watcher.take([row_of(one) for one in found if one is not None])


def _event(watcher: Watcher) -> bytes:
    data = {"rows": [plain(row) for row in watcher.rows], "left_out": watcher.left_out}
    last = watcher.rows[-1].sequence if watcher.rows else 0
    watcher.rows, watcher.left_out = [], 0
    watcher.news.clear()
    return b"id: %d\ndata: %b\n\n" % (last, orjson.dumps(data))
