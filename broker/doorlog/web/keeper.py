"""Keeps the index of closed segments, one after the other, in a thread that nobody waits for."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from doorlog.errors import LogError
from doorlog.readers.log_index import LogIndex

if TYPE_CHECKING:
    from typing import Self

_LOOK_SECONDS: Final = 20.0
_log = logging.getLogger(__name__)


class Keeper:
    """A context manager: as long as it is open, closed segments are indexed soon after they were closed.

    Args:
        log: The live file, or a folder that holds one log.

    Raises:
        LogError: There is no log.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="doorlog-index", daemon=True)
        self._known_bad: set[Path] = set()
        self.index = LogIndex(log)

    def __enter__(self) -> Self:
        """Begin; where nothing can be written beside the log, in a folder of its own that is deleted at the end."""
        try:
            self.index.folder.mkdir(mode=0o750, exist_ok=True)
            with TemporaryDirectory(dir=self.index.folder, prefix=".making-"):
                pass
        except OSError:
            folder = self._stack.enter_context(TemporaryDirectory(prefix="doorlog-index-"))
            self.index = LogIndex(self._log, Path(folder))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, once the segment that is worked on is done."""
        self._stop.set()
        self._thread.join()
        self._stack.close()

    def of(self, segment: Path) -> Path | None:
        """Return what is kept of a closed segment, if anything is."""
        return self.index.of(segment)

    def work(self) -> None:
        """Index what is missing, and forget what is gone."""
        for segment in self.index.missing():
            if self._stop.is_set():
                return
            if segment not in self._known_bad:
                self._add(segment)
        self.index.forget()

    def _add(self, segment: Path) -> None:
        try:
            self.index.add(segment)
        except LogError as error:
            self._known_bad.add(segment)
            _log.warning("%s: it is read each time", error)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self.work()
            except LogError as error:
                _log.warning("the index is not kept just now: %s", error)
            self._stop.wait(_LOOK_SECONDS)
