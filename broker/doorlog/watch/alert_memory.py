"""What was told and is not over, kept across restarts: nobody is told twice, and all that was told is resolved."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from doorlog.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST: Final = 1_000
"""Alerts that are kept; there are as many as cohorts and listeners, as a rule a few."""
_LARGEST: Final = 1_048_576
_Text = Annotated[str, Field(max_length=10_000)]

_log = logging.getLogger(__name__)


class Told(BaseModel):
    """One alert that was told. Moments are seconds since 1970, UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: _Text
    severity: Literal["info", "warning", "critical"]
    summary: _Text
    labels: Annotated[tuple[tuple[_Text, _Text], ...], Field(max_length=8)]
    level: int
    since: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Since when it is so."""
    told: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """When that was said last."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    alerts: Annotated[tuple[Told, ...], Field(max_length=MOST)]


class AlertMemory:
    """Keeps them in a file. Never raises: what can not be kept is told anew after a restart.

    Args:
        path: The file, which needs not be there; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: tuple[Told, ...] | None = None
        self._said_fault = False

    def read(self) -> tuple[Told, ...]:
        """Return what was kept; nothing where there is no file, or one that is none of ours."""
        if self._path is None:
            return ()
        try:
            with self._path.open("rb") as file:
                self._kept = _Kept.model_validate_json(file.read(_LARGEST)).alerts
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            self._say("read", error)
            return ()
        return self._kept

    def keep(self, alerts: Sequence[Told]) -> None:
        """Write them down, unless they are what is there already."""
        kept = tuple(alerts[:MOST])
        if self._path is None or kept == (self._kept or ()):
            return
        try:
            replace_file(self._path, _Kept(alerts=kept).model_dump_json().encode() + b"\n")
        except OSError as error:
            self._say("written", error)
        else:
            self._kept = kept

    def _say(self, what: str, error: Exception) -> None:
        if not self._said_fault:
            why = error.strerror if isinstance(error, OSError) else "it is none of ours"
            _log.warning("alerts: %s can not be %s (%s): after a restart, alerts are told anew", self._path, what, why)
        self._said_fault = True
