"""Questions to DuckDB, asked on a thread of their own: the one that waits for the answer hears signals meanwhile."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def asked(question: Callable[[], Result]) -> Result:
    """Return what a question yields.

    Raises:
        Exception: Whatever the question raises.
    """
    answer: Future[Result] = Future()
    Thread(target=_answer, args=(question, answer), name="doorlog-query", daemon=True).start()
    return answer.result()


def _answer(question: Callable[[], Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
        answer.set_exception(error)
