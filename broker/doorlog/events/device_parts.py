"""The parts of a record that say which device it was."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from doorlog.events.base import Count, Part, Text


class CandidatePart(Part):
    """A device that this attempt could have been."""

    id: Text
    score: Annotated[float, Field(ge=0, le=1)]


class DeviceEvidencePart(Part):
    """``doorlog.device``: why we think that it was this device."""

    method: str | None = None
    confidence: Literal["certain", "likely", "ambiguous", "unknown"]
    evidence: tuple[str, ...] = ()
    candidates: tuple[CandidatePart, ...] | None = None


UNKNOWN_DEVICE = DeviceEvidencePart(confidence="unknown")
"""What every event says of its device until identity knows better: an event that stays so need not be copied."""


class ConfirmedPart(Part):
    """Earlier attempts that an admitted device explains (``device_confirmed`` only)."""

    connection_ids: tuple[str, ...]
    """The latest 32 of them."""
    attempts: Count
    """How many there were."""
    corrected: Count
    """How many of them were recorded as another device's."""
    first: datetime
    last: datetime


class DevicePart(Part):
    """ECS ``device.*``: only when the device is certain or likely."""

    id: Text
