"""Who names the devices of a simulation: what doorlog does in life, or, to compare with, what a record says itself."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from doorlog.identity.resolve import identify
from doorlog.settings.models import DeviceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from doorlog.events.records import Event

_DIRECTORY, _NAMING = "doorlog.identity.directory", "doorlog.identity.naming"


class Namer(Protocol):
    """Names the device of any event, and learns from those that were admitted."""

    def __call__(self, event: Event) -> Event:
        """Return the event with its device."""
        ...

    def afterwards(self) -> Sequence[Event]:
        """Return events that are due by now: devices that explain earlier attempts."""
        ...

    def settle(self) -> None:
        """Wait until all that was learned counts."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Forgetful:
    """Learns nothing: a device is named if its own record does."""

    def __call__(self, event: Event) -> Event:
        """Return the event with its device."""
        return identify(event)

    def afterwards(self) -> Sequence[Event]:
        """Return nothing."""
        return ()

    def settle(self) -> None:
        """Wait for nothing."""

    def close(self) -> None:
        """Close nothing."""


class Learned:
    """Names devices as a running broker does, from a directory of its own.

    Args:
        folder: Where the directory is kept; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._directory: Any = import_module(_DIRECTORY).Directory(folder / "devices.sqlite")
        self._naming: Any = import_module(_NAMING).Naming(DeviceSettings(), self._directory)

    def __call__(self, event: Event) -> Event:
        """Return the event with its device."""
        named: Event = self._naming(event)
        return named

    def afterwards(self) -> Sequence[Event]:
        """Return events that are due by now."""
        events: Sequence[Event] = self._naming.afterwards()
        return events

    def settle(self) -> None:
        """Wait until all that was learned can be found."""
        self._directory.flush()

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()


def open_namer(folder: Path) -> Namer:
    """Return who names devices in life.

    Args:
        folder: Where what is learned is kept; it exists.
    """
    if find_spec(_DIRECTORY) is None or find_spec(_NAMING) is None:
        return Forgetful()
    return Learned(folder)
