"""Long questions take turns, on a thread of their own: whoever asks for a few lines never waits behind them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    Asked = ParamSpec("Asked")
    Answer = TypeVar("Answer")

MOST_WAITING: Final = 8
"""Questions that wait while one is answered."""


class Turns:
    """Answers one question at a time, since each uses all cores; a few may wait. Used on the event loop only.

    Args:
        most_waiting: How many.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._thread = ThreadPoolExecutor(1, "doorlog-numbers")
        self._asked = 0

    @property
    def is_full(self) -> bool:
        """Whether no question more may wait."""
        return self._asked > self._most_waiting

    async def take(self, question: Callable[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        """Return the answer to a question, once it is its turn; ask ``is_full`` before."""
        self._asked += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(question, *args, **kwargs))
        finally:
            self._asked -= 1

    def close(self) -> None:
        """Leave what waits unanswered."""
        self._thread.shutdown(wait=False, cancel_futures=True)
