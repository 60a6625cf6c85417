"""Who does what when: a discrete-event simulation of a fleet, from chance alone, without a socket.

The same seed gives the same steps. What a device does depends on what came of its attempts; that is known beforehand,
since it is known who has pinned what.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Final

from doorlog.simulation.models import DAY, Firmware, Pin
from doorlog.simulation.plan import Plan
from doorlog.simulation.steps import Attempt, End, Expected, Restart, Step, Visit
from doorlog.simulation.strangers import Neighbourhood, visits

if TYPE_CHECKING:
    from doorlog.simulation.fleet import Device, Fleet, Line

Action = Callable[[float], Iterable[Step]]

_BOOT: Final = 60.0  # seconds within which those that have always been there come up
_BACK: Final = 30.0  # seconds within which those that were cut off together come back
_REBOOT: Final = (45.0, 90.0)  # seconds that an update takes
_REPAIRED: Final = 0.05  # of the broken devices, for each day: somebody goes there
_OUTAGE_MEDIAN: Final = 300.0
_LOSSES: Final = (("keep_alive", 60), ("reset", 25), ("close", 15))
"""How sessions are lost: mostly in silence, since a radio or a router says no goodbye."""


@dataclass(slots=True)
class _State:
    """A device as it is now; what was planned in an earlier turn is off."""

    firmware: Firmware
    pin: Pin | None
    online: bool = False
    session: int = 0
    turn: int = 0
    failures: int = 0
    wakes: float = 0.0
    gone: bool = False


@dataclass(slots=True)
class Calendar:
    """All that happens, step by step.

    Attributes:
        fleet: Who there is.
        plan: How long.
        random: Where chance comes from.
    """

    fleet: Fleet
    plan: Plan
    random: Random
    _states: list[_State] = field(init=False)
    _down: dict[int, float] = field(init=False, default_factory=dict)
    _behind: dict[int, list[int]] = field(init=False, default_factory=dict)
    _heap: list[tuple[float, int, Action]] = field(init=False, default_factory=list)
    _planned: int = field(init=False, default=0)
    _chain: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        self._states = [_State(device.firmware, device.pin) for device in self.fleet.devices]
        for index, device in enumerate(self.fleet.devices):
            self._behind.setdefault(device.line, []).append(index)
            self._plan_life(index, device)
        for line in self.fleet.lines:
            self._again(line.moves, 0.0, partial(self._move, line))
            self._again(line.outages, 0.0, partial(self._outage, line))
        self._at(self.random.uniform(0.3, 0.7) * self.plan.rotation, partial(self._restart, 1))  # an upgrade of ours
        self._at(self.plan.rotation, partial(self._restart, 2))
        if self.plan.rollback is not None:
            self._at(self.plan.rollback, partial(self._restart, 1))
        self._next_visit(visits(0.0, self.plan.end, self.plan.rotation, self._neighbourhood(), self.random))

    def steps(self) -> Iterator[Step]:
        """Yield every step, in the order of time."""
        while self._heap:
            time, _, action = heappop(self._heap)
            if time > self.plan.end:
                return
            yield from action(time)

    # plans

    def _at(self, time: float, action: Action) -> None:
        self._planned += 1
        heappush(self._heap, (time, self._planned, action))

    def _again(self, rate: float, now: float, action: Action) -> None:
        """Plan what happens so many times a day at any time."""
        if rate > 0:
            self._at(now + self.random.expovariate(rate / DAY), action)

    def _plan_life(self, index: int, device: Device) -> None:
        period = device.model.rhythm.period
        begins = device.begins or self.random.uniform(0, min(period or _BOOT, DAY))
        self._states[index].wakes = begins
        self._at(begins, partial(self._connect, index, 0))
        if device.ends is not None:
            self._at(device.ends, partial(self._retire, index))
        if device.updated is not None:
            self._at(device.updated, partial(self._update, index))
        if self.random.random() < _REPAIRED * self.plan.after:
            self._at(self.plan.rotation + self.random.random() * self.plan.after * DAY, partial(self._repair, index))

    def _come(self, index: int, time: float) -> None:
        """Plan the next attempt; whatever was planned before is off."""
        state = self._states[index]
        state.turn += 1
        self._at(time, partial(self._connect, index, state.turn))

    def _neighbourhood(self) -> Neighbourhood:
        devices, address = self.fleet.devices, self.fleet.network.address
        peopled = [n for n, line in enumerate(self.fleet.lines) if n in self._behind and _is_shared(line)]
        return Neighbourhood(
            known=lambda: address(self.random.choice(devices).line),
            shared=lambda: address(self.random.choice(peopled)) if peopled else None,
        )

    # devices

    def _connect(self, index: int, turn: int, now: float) -> Iterator[Step]:
        state, device = self._states[index], self.fleet.devices[index]
        if state.turn != turn or state.gone or state.online:
            return
        if now < self._down.get(device.line, 0.0):
            self._come(index, self._down[device.line] + self.random.uniform(1, _BACK))
            return
        expired = device.certificate == "expires" and now >= self.plan.rotation
        expected = self._expected(device, state, expired=expired)
        address = self.fleet.network.address(device.line)
        yield Attempt(now, index, address, state.firmware.profile, state.pin, expected, expired)
        if expected == "admitted":
            self._begin_session(index, now)
        else:
            state.failures += 1
            self._come(index, self._next_try(device, state, now))

    def _expected(self, device: Device, state: _State, *, expired: bool) -> Expected:
        if self._chain == 2 and state.pin is not None:
            return "refuses"
        is_distrusted = device.certificate == "distrusted" and self._chain == 2
        return "refused" if expired or is_distrusted else "admitted"

    def _begin_session(self, index: int, now: float) -> None:
        state, rhythm = self._states[index], self.fleet.devices[index].model.rhythm
        state.online, state.failures = True, 0
        state.session += 1
        if rhythm.period is None:
            self._again(rhythm.drops, now, partial(self._lose, index, state.session))
        else:
            stays = rhythm.awake * self.random.uniform(0.5, 1.5)
            self._at(now + stays, partial(self._sleep, index, state.session))

    def _next_try(self, device: Device, state: _State, now: float) -> float:
        """Back off exponentially, with jitter."""
        rhythm = device.model.rhythm
        if rhythm.period is not None and state.failures > rhythm.retries:
            state.failures = 0
            return self._next_wake(device, state, now)
        doubled = rhythm.first_retry * 2.0 ** min(state.failures - 1, 20)
        return now + min(doubled, rhythm.longest_retry) * self.random.uniform(0.7, 1.3)

    def _next_wake(self, device: Device, state: _State, now: float) -> float:
        period = device.model.rhythm.period or DAY
        while state.wakes <= now:
            state.wakes += period * device.crystal
        return max(now + 1, state.wakes + self.random.gauss(0, 2))

    def _sleep(self, index: int, session: int, now: float) -> Iterator[Step]:
        state = self._states[index]
        if state.online and state.session == session:
            state.online = False
            self._come(index, self._next_wake(self.fleet.devices[index], state, now))
            yield End(now, index, "disconnect")

    def _lose(self, index: int, session: int, now: float) -> Iterator[Step]:
        """Lose the network for a moment."""
        state, device = self._states[index], self.fleet.devices[index]
        if not state.online or state.session != session:
            return
        how = self.random.choices([how for how, _ in _LOSSES], [weight for _, weight in _LOSSES])[0]
        if how == "keep_alive":
            self._vanish(index, now, now + self.random.uniform(5, device.model.keep_alive + 10))
            return
        state.online = False
        self._come(index, now + device.model.rhythm.first_retry * self.random.uniform(0.5, 1.5))
        yield End(now, index, "reset" if how == "reset" else "close")

    def _vanish(self, index: int, now: float, back: float) -> None:
        """Go without a word: we notice when the keep-alive is over, or when the device is back."""
        state, device = self._states[index], self.fleet.devices[index]
        state.online = False
        silent = device.model.keep_alive * (1.5 - self.random.random())
        self._at(now + silent, partial(self._expire, index, state.session))
        self._come(index, back)

    def _expire(self, index: int, session: int, now: float) -> Iterator[Step]:
        state = self._states[index]
        if not state.online and state.session == session:
            yield End(now, index, "keep_alive")

    def _retire(self, index: int, now: float) -> Iterator[Step]:
        state, line = self._states[index], self.fleet.lines[self.fleet.devices[index].line]
        state.gone = True
        if line.access != "static" and all(self._is_absent(other, now) for other in self._behind[line.number]):
            self.fleet.network.release(line.number)
        if state.online:
            state.online = False
            yield End(now, index, "close")

    def _is_absent(self, index: int, now: float) -> bool:
        return self._states[index].gone or self.fleet.devices[index].begins > now

    def _update(self, index: int, now: float) -> Iterator[Step]:
        state, device = self._states[index], self.fleet.devices[index]
        state.firmware, state.pin = device.model.releases[-1], device.next_pin
        self._come(index, now + self.random.uniform(*_REBOOT))
        if state.online:
            state.online = False
            yield End(now, index, "close")

    def _repair(self, index: int, now: float) -> Iterator[Step]:
        """Somebody puts the root into the device."""
        state = self._states[index]
        if state.pin is not None and not state.online and not state.gone:
            state.pin = None
            self._come(index, now + self.random.uniform(*_REBOOT))
        return iter(())

    # lines, the broker, strangers

    def _move(self, line: Line, now: float) -> Iterator[Step]:
        """Give a line another address: whatever was connected through it is cut."""
        self.fleet.network.move(line.number)
        self._again(line.moves, now, partial(self._move, line))
        self._cut(line, now, now + self.random.uniform(2, _BACK))
        return iter(())

    def _outage(self, line: Line, now: float) -> Iterator[Step]:
        over = now + _OUTAGE_MEDIAN * math.exp(self.random.gauss(0, 1))
        self._down[line.number] = over
        self._again(line.outages, over, partial(self._outage, line))
        self._cut(line, now, over)
        return iter(())

    def _cut(self, line: Line, now: float, back: float) -> None:
        for index in self._behind.get(line.number, ()):
            if self._states[index].online:
                self._vanish(index, now, back + self.random.uniform(1, _BACK))

    def _restart(self, chain: int, now: float) -> Iterator[Step]:
        self._chain = chain
        for index, state in enumerate(self._states):
            state.session += 1  # none is left to end
            if state.online:
                state.online = False
                first = self.fleet.devices[index].model.rhythm.first_retry
                self._come(index, now + self.random.uniform(1, _BACK) + first * self.random.uniform(0.5, 1.5))
        yield Restart(now, chain)

    def _next_visit(self, strangers: Iterator[Visit]) -> None:
        visit = next(strangers, None)
        if visit is not None:
            self._at(visit.time, partial(self._visit, visit, strangers))

    def _visit(self, visit: Visit, strangers: Iterator[Visit], _now: float) -> Iterator[Step]:
        yield visit
        self._next_visit(strangers)


def _is_shared(line: Line) -> bool:
    return line.shared or line.access == "cgnat"
