"""The guess to beat: a failure is the device that was last admitted from the same address, said to be likely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from doorlog.events.codes import Action, Outcome
from doorlog.events.records import ConnectEvent, Event
from doorlog.simulation.namer import Namer
from doorlog.simulation.scoring import Failure, is_failure


class Beside:
    """Lets somebody name devices, and guesses beside.

    Args:
        namer: Who is asked.
    """

    def __init__(self, namer: Namer) -> None:
        self._namer = namer
        self._last: dict[str | None, str] = {}
        self._guesses: dict[str | None, str] = {}

    def __call__(self, event: Event) -> Event:
        if isinstance(event, ConnectEvent) and event.event.action is Action.CONNECT:
            self._see(event)
        return self._namer(event)

    def afterwards(self) -> Sequence[Event]:
        return self._namer.afterwards()

    def settle(self) -> None:
        self._namer.settle()

    def restart(self) -> None:
        self._namer.restart()

    def close(self) -> None:
        self._namer.close()

    def guessed(self, failures: Iterable[Failure]) -> list[Failure]:
        """Return the same failures, named by guessing."""
        return [_with(failure, self._guesses.get(failure.connection_id)) for failure in failures]

    def _see(self, event: ConnectEvent) -> None:
        if is_failure(event):
            if event.source.ip in self._last:
                self._guesses[event.doorlog.connection_id] = self._last[event.source.ip]
        elif event.event.outcome is Outcome.SUCCESS and event.mqtt and event.mqtt.client_id:
            self._last[event.source.ip] = event.mqtt.client_id


def _with(failure: Failure, guess: str | None) -> Failure:
    if guess is None:
        return replace(failure, named=None, confidence="unknown", candidates=())
    return replace(failure, named=guess, confidence="likely", candidates=((guess, 1.0),))
