"""Repeats of one failure are counted: a storm neither fills the disk nor hides its first records."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from doorlog.addresses import source_key
from doorlog.events.audit_parts import FloodPart
from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import DestinationPart, DoorlogPart, EventPart, MqttPart, SourcePart, TlsClientPart, TlsPart
from doorlog.events.records import AuthorizeEvent, ConnectEvent, FloodEvent

if TYPE_CHECKING:
    from datetime import datetime

    from doorlog.events.records import Event

MAX_WINDOWS: Final = 10_000
"""Windows that are open at the same time."""
MAX_DEVICES: Final = 100
"""Devices of one source and failure with a window of their own; a client id is only a claim, and costs nothing."""

_PORTS_IN_A_SET: Final = 64
_PORTS: Final = 65_536

_Foldable = ConnectEvent | AuthorizeEvent
_Group = tuple[str | None, str, str, str | None]
_Key = tuple[str | None, str, str, str | None, str | None]
"""Listener, source, action, code; and the claimed device, None for all others of the source."""


class Floodgate:
    """Lets the first failures of a device or source through, and counts the rest.

    Only failed ``connect`` and ``authorize`` events are ever counted instead of recorded. A window begins with the
    first failure of one device (its client id, else its certificate's common name) from one source (an IPv4 address,
    an IPv6 /64) at one listener with one code. Whoever invents devices gets ``devices`` windows, and one more for all
    others. No count is ever lost: what passes and what the ``flood`` events count are all that was offered.

    For one thread at a time. Time is monotonic, in seconds.

    Args:
        after: So many of each window pass.
        window: Its length in seconds, from its first failure.
        windows: How many may be open; for one more, the oldest is closed early. At most 8 KiB each.
        devices: How many claimed devices of one source have windows of their own at the same time.

    Attributes:
        folded: ``connect`` events that were counted so far, those of open windows too.
    """

    def __init__(self, after: int, window: float, *, windows: int = MAX_WINDOWS, devices: int = MAX_DEVICES) -> None:
        self.folded = 0
        self._after = after
        self._length = window
        self._most_windows = windows
        self._most_devices = devices
        self._windows: dict[_Key, _Window] = {}  # in the order in which they began
        self._devices: Counter[_Group] = Counter()
        self._closed: list[FloodEvent] = []
        self._closed_at = 0.0

    def passes(self, event: Event, now: float) -> bool:
        """Whether an event is to be recorded; False if it was counted instead."""
        if not isinstance(event, ConnectEvent | AuthorizeEvent) or event.event.outcome is not Outcome.FAILURE:
            return True
        key = self._key(event)
        window = self._windows.get(key)
        if window is None or now >= window.ends:
            window = self._begin(key, event, now)
        if window.passed < self._after:
            window.passed += 1
            return True
        window.fold(event)
        self.folded += event.event.action is Action.CONNECT
        return False

    def due(self, now: float) -> list[FloodEvent]:
        """Return the events of windows that have ended, oldest first; none for a window in which all passed."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends > now:
                break
            self._close(key, now, on_time=True)
        closed, self._closed = self._closed, []
        return closed

    def close(self) -> list[FloodEvent]:
        """End all windows and return what ``due`` would, oldest first."""
        for key in tuple(self._windows):
            self._close(key, 0.0, on_time=False)
        closed, self._closed = self._closed, []
        return closed

    def next_due(self) -> float | None:
        """Return when ``due`` has to be called next; a moment that has gone by for at once, None for never."""
        if self._closed:
            return self._closed_at
        first = next(iter(self._windows.values()), None)
        return first.ends if first is not None else None

    def _key(self, event: _Foldable) -> _Key:
        what, ip = event.event, event.source.ip
        group = (event.doorlog.listener, source_key(ip) if ip else "", what.action, what.code)
        device = _claimed(event)
        if device is not None and (key := (*group, device)) in self._windows:
            return key
        return (*group, device if self._devices.get(group, 0) < self._most_devices else None)

    def _begin(self, key: _Key, event: _Foldable, now: float) -> _Window:
        if key in self._windows:
            self._close(key, now, on_time=True)
        elif len(self._windows) >= self._most_windows:
            self._close(next(iter(self._windows)), now, on_time=False)
        if key[-1] is not None:
            self._devices[key[:-1]] += 1
        window = self._windows[key] = _Window(now + self._length, event.timestamp)
        return window

    def _close(self, key: _Key, now: float, *, on_time: bool) -> None:
        window = self._windows.pop(key)
        if key[-1] is not None:
            self._devices[key[:-1]] -= 1
            if not self._devices[key[:-1]]:
                del self._devices[key[:-1]]
        if window.sample is not None:
            self._closed_at = self._closed_at if self._closed else now
            end = window.began + timedelta(seconds=self._length) if on_time else window.last
            self._closed.append(window.event(key, end))


class _Window:
    """What happened since the first failure of a key."""

    __slots__ = ("_count", "_first", "_ports", "_several", "began", "ends", "last", "passed", "sample")

    def __init__(self, ends: float, began: datetime) -> None:
        self.ends = ends
        self.began = self.last = self._first = began
        self.passed = self._count = 0
        self.sample: _Foldable | None = None
        self._several = False
        self._ports: _Ports | None = None

    def fold(self, event: _Foldable) -> None:
        """Count an event that has no record of its own."""
        if self.sample is None:
            self.sample, self._first, self._ports = event, event.timestamp, _Ports()
        self._several = self._several or event.source.ip != self.sample.source.ip
        self._count += 1
        self.last = event.timestamp
        if self._ports is not None and event.source.port is not None:
            self._ports.add(event.source.port)

    def event(self, key: _Key, end: datetime) -> FloodEvent:
        """Say what was counted, and of whom."""
        listener, source, action, code, device = key
        sample = self.sample
        assert sample is not None  # noqa: S101 - nobody asks before something was counted
        what: Literal["connect", "authorize"] = "connect" if action == Action.CONNECT else "authorize"
        ports = self._ports.count if self._ports is not None else 0
        flood = FloodPart(action=what, count=self._count, first=self._first, last=self.last, ports=ports)
        several = SourcePart(ip=source.partition("/")[0], address=source)
        return FloodEvent(
            timestamp=end,
            event=EventPart(
                category=sample.event.category,
                type=sample.event.type,
                action=Action.FLOOD,
                outcome=Outcome.FAILURE,
                code=code,
            ),
            source=several if self._several else SourcePart(ip=sample.source.ip),
            destination=DestinationPart(port=sample.destination.port),
            tls=_certificate_of(sample) if device is not None else None,
            mqtt=MqttPart(client_id=device) if device is not None and device == _client_id(sample) else None,
            doorlog=DoorlogPart(
                stage=sample.doorlog.stage, listener=listener, authorize=sample.doorlog.authorize, flood=flood
            ),
        )


class _Ports:
    """Counts distinct ports: a small set, from 65 on a bitmap of 8 KiB."""

    __slots__ = ("_bits", "_few", "_many")

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._bits: bytearray | None = None
        self._many = 0

    @property
    def count(self) -> int:
        """How many there were."""
        return self._many if self._bits is not None else len(self._few)

    def add(self, port: int) -> None:
        """Count a port, 0 to 65,535, once."""
        if self._bits is not None:
            byte, bit = port >> 3, 1 << (port & 7)
            self._many += not self._bits[byte] & bit
            self._bits[byte] |= bit
            return
        self._few.add(port)
        if len(self._few) > _PORTS_IN_A_SET:
            self._bits = bytearray(_PORTS // 8)
            few, self._few = self._few, set()
            for known in few:
                self.add(known)


def _client_id(event: _Foldable) -> str | None:
    return event.mqtt.client_id if event.mqtt is not None else None


def _claimed(event: _Foldable) -> str | None:
    """Name the device as it names itself; nothing of it is proven."""
    if client_id := _client_id(event):
        return client_id
    certificate = event.tls.client.x509 if event.tls is not None and event.tls.client is not None else None
    names = certificate.subject.common_name if certificate is not None else None
    return names[0] if names else None


def _certificate_of(event: _Foldable) -> TlsPart | None:
    """Return the device's certificate, without the rest of what its connections had to say."""
    tls = event.tls
    if tls is None or tls.client is None or tls.client.x509 is None:
        return None
    return TlsPart(established=tls.established, client=TlsClientPart(x509=tls.client.x509, hash=tls.client.hash))
