"""Which files of a log can hold records of a span of time: those that doorlog closed say so by their names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Named(Protocol):
    """A file, or its path."""

    @property
    def name(self) -> str:
        """What it is called, without its folder."""


File = TypeVar("File", bound=Named)

_BEGUN: Final = re.compile(r"-(\d{8}T\d{6}Z)-\d{19}\.jsonl")
_A_SECOND: Final = timedelta(seconds=1)
"""Names leave out what is less."""


def begun(name: str) -> datetime | None:
    """Return when the first record of a closed segment was written; None for a file whose name does not say."""
    found = _BEGUN.search(name)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def files_between(files: Sequence[File], since: datetime | None, until: datetime | None) -> Iterable[File]:
    """Leave out the files that can hold no record of a span.

    Args:
        files: Of a log, in order.
        since: Where it begins; None for the beginning.
        until: Where it ends; None for no end.
    """
    for file, following in pairwise(chain(files, (None,))):
        if file is None:
            continue
        first, after = begun(file.name), begun(following.name) if following is not None else None
        is_before = since is not None and after is not None and after + _A_SECOND < since
        is_after = until is not None and first is not None and first > until
        if not is_before and not is_after:
            yield file
