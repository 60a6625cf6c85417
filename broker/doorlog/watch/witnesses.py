"""Which devices failed of late, by cohort and by listener: who can be named when an alert is told."""

from __future__ import annotations

from collections import Counter, OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

WITNESS_SECONDS: Final = 900.0
"""How long a failure counts."""
MOST_WITNESSES: Final = 64
"""Devices that are kept for each key; more make nothing clearer."""
MOST_KEYS: Final = 500

Key = tuple[str, str]
"""``cohort`` or ``listener``, and its name."""


class Witnesses:
    """Remembers devices whose last attempt failed. Told on any thread, asked from any other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._devices: dict[Key, OrderedDict[str, float]] = {}
        self._unknown: Counter[Key] = Counter()

    def failed(self, keys: Iterable[Key], device: str | None, now: float) -> None:
        """Note a failure.

        Args:
            keys: What it counts for.
            device: A device that is known from before; None where nobody can tell which one it was.
            now: Seconds that only ever grow.
        """
        with self._lock:
            for key in keys:
                if key not in self._devices and len(self._devices) >= MOST_KEYS:
                    continue
                devices = self._devices.setdefault(key, OrderedDict())
                if device is None:
                    self._unknown[key] += 1
                    continue
                devices[device] = now
                devices.move_to_end(device)
                if len(devices) > MOST_WITNESSES:
                    devices.popitem(last=False)

    def admitted(self, keys: Iterable[Key], device: str) -> None:
        """Note that a device has come in after all."""
        with self._lock:
            for key in keys:
                if key in self._devices:
                    self._devices[key].pop(device, None)

    def devices(self, now: float) -> dict[Key, tuple[str, ...]]:
        """Return the devices that failed within a quarter of an hour, the latest first."""
        with self._lock:
            return {
                key: tuple(device for device, moment in reversed(devices.items()) if now - moment <= WITNESS_SECONDS)
                for key, devices in self._devices.items()
                if devices
            }

    def unknown(self) -> dict[Key, int]:
        """Return how many failures there were so far of devices that nobody could name."""
        with self._lock:
            return dict(self._unknown)
