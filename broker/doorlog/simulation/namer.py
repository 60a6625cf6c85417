"""Who names the devices of a simulation: what doorlog does in life, or, to compare with, what a record says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from doorlog.identity.directory import Directory
from doorlog.identity.naming import Naming
from doorlog.settings.models import DeviceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from doorlog.events.records import Event

_FILE: Final = "devices.db"  # beside the log, as in life


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

    def restart(self) -> None:
        """Begin anew with what was written down, as when the broker starts again."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Forgetful:
    """Learns nothing: a device is named if its own record does."""

    def __init__(self) -> None:
        self._naming = Naming(DeviceSettings())

    def __call__(self, event: Event) -> Event:
        """Return the event with its device."""
        return self._naming(event)

    def afterwards(self) -> Sequence[Event]:
        """Return nothing."""
        return self._naming.afterwards()

    def settle(self) -> None:
        """Wait for nothing."""

    def restart(self) -> None:
        """Forget nothing either."""

    def close(self) -> None:
        """Close nothing."""


class Learned:
    """Names devices as a running broker does, from a directory of its own.

    Args:
        folder: Where the directory is kept; it exists.

    Raises:
        DirectoryError: It can not be used.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._directory = Directory(self._path)
        self._naming = Naming(DeviceSettings(), self._directory)

    def __call__(self, event: Event) -> Event:
        """Return the event with its device."""
        return self._naming(event)

    def afterwards(self) -> Sequence[Event]:
        """Return the devices that were confirmed by now."""
        return self._naming.afterwards()

    def settle(self) -> None:
        """Wait until all that was learned can be found."""
        self._directory.flush()

    def restart(self) -> None:
        """Keep only what is in the file."""
        self._directory.close()
        self._directory = Directory(self._path)
        self._naming = Naming(DeviceSettings(), self._directory)

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()
