"""Questions to DuckDB that Ctrl-C ends: asked on a thread of their own, while the one that waits hears signals."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb import DuckDBPyConnection

_PATIENCE: Final = 0.15
"""Seconds that DuckDB has to stop. It looks for an interruption between two pieces of work, which may be long."""

Result = TypeVar("Result")


class Questions:
    """Asks one question at a time.

    Args:
        connection: Whom; closed with it.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._thread: Thread | None = None

    def ask(self, question: Callable[[], Result]) -> Result:
        """Return what a question yields.

        Raises:
            KeyboardInterrupt: Ctrl-C came; DuckDB was told to stop.
            Exception: Whatever the question raises.
        """
        answer: Future[Result] = Future()
        self._thread = Thread(target=_answer, args=(question, answer), name="doorlog-query", daemon=True)
        self._thread.start()
        try:
            return answer.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            self._thread.join(_PATIENCE)
            raise

    def close(self) -> None:
        """Close the connection, unless it is deep in work that can not be interrupted: that ends with the process."""
        if self._thread is None or not self._thread.is_alive():
            self._connection.close()


def _answer(question: Callable[[], Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
        answer.set_exception(error)
