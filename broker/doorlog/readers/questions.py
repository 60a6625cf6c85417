"""Questions to DuckDB that Ctrl-C ends: asked on a thread of their own, while the one that waits hears signals."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb import DuckDBPyConnection

_PATIENCE: Final = 0.02
"""Seconds between two tries to stop DuckDB, which looks for them only between two pieces of work."""
_TRIES: Final = 5

Result = TypeVar("Result")


class Questions:
    """Asks one question at a time.

    Args:
        connection: Whom; closed with it.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._is_interrupted = False

    def ask(self, question: Callable[[], Result]) -> Result:
        """Return what a question yields.

        Raises:
            KeyboardInterrupt: Ctrl-C came; DuckDB was told to stop.
            Exception: Whatever the question raises.
        """
        answer: Future[Result] = Future()
        try:
            Thread(target=_answer, args=(question, answer), name="doorlog-query", daemon=True).start()
            return answer.result()
        except KeyboardInterrupt:
            self._interrupt(answer)
            raise

    def _interrupt(self, answer: Future[Result]) -> None:
        self._is_interrupted = True
        for _ in range(_TRIES):  # DuckDB forgets one that comes just before it begins
            self._connection.interrupt()
            with suppress(TimeoutError):
                answer.exception(_PATIENCE)
                return

    def close(self) -> None:
        """Close the connection; after Ctrl-C it ends with the process, since it may be deep in work."""
        if not self._is_interrupted:
            self._connection.close()


def _answer(question: Callable[[], Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
        answer.set_exception(error)
