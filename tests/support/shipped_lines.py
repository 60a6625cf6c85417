"""Lines of a log for shippers: of every kind, long, and full of what strangers put into them."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

from doorlog.events.codes import Action, Outcome
from doorlog.events.parts import EventPart, MqttPart, TlsClientPart, UserPart
from doorlog.events.sentences import message_of
from doorlog.log.faults import Faults
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from support.events import SERVICE, failed_connect, one_of_each, refused_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorlog.events.records import ConnectEvent, Event

VICTIM: Final = "192.0.2.66"
_SOURCE: Final = f'"source":{{"ip":"{VICTIM}"'
_EVENT: Final = (
    '"event":{"kind":"event","category":["network"],"type":["denied"],"action":"connect","outcome":"failure",'
    '"code":"bad_password"}'
)
_HEAD: Final = '{"@timestamp":"2026-03-01T15:02:11.250000Z","message":"","ecs":{"version":"8.17.0"}'
FORGED: Final = (
    f"{_SOURCE}}}",
    f'",{_SOURCE},"port":1}}}}',
    f'\\",{_SOURCE}}},"x":"',
    f'\\\\",{_SOURCE}}},"x":"',
    f'"}},{_EVENT},{_SOURCE}}}',
    f"\n{_HEAD},{_EVENT},{_SOURCE}}}}}\n",
    "\\",
    '"',
    '\\"\\\\"' * 100,
    f"from {VICTIM}: wrong password for user root",
    "\u2028\x1b[2J\x00\x85{}%n%s$(id)",
)
"""What a stranger may write who wants somebody else, VICTIM, to be banned."""


class Lines:
    """Makes lines with their sequence, as the broker does."""

    def __init__(self) -> None:
        self._pipeline = Pipeline(record_processors(message_of), SERVICE, Faults(lambda _: None))
        self._events = self._mixture()

    def of(self, *events: Event) -> list[bytes]:
        return [self._pipeline.line(event) for event in events]

    def next(self, count: int) -> list[bytes]:
        """Return so many lines of every kind."""
        return self.of(*islice(self._events, count))

    def _mixture(self) -> Iterator[Event]:
        return cycle([*one_of_each(), *(from_stranger(text) for text in FORGED), very_long()])


def from_stranger(text: str, **event: str) -> ConnectEvent:
    """Return a wrong password from 10.0.0.9 by someone who writes this text wherever they can."""
    refused = refused_password()
    return refused_password(
        event=refused.event.model_copy(update={"reason": text, **event}),
        mqtt=MqttPart(client_id=text),
        user=UserPart(name=text),
        tls=refused.tls and refused.tls.model_copy(update={"client": TlsClientPart(server_name=text)}),
    )


def very_long() -> ConnectEvent:
    """Return a failure whose line has 100,000 bytes, more than any that the door writes."""
    event = failed_connect()
    assert event.tls is not None
    ciphers = TlsClientPart(supported_ciphers=("TLS_AES_256_GCM_SHA384",) * 4_000)
    return failed_connect(tls=event.tls.model_copy(update={"client": ciphers}))


def failure(action: Action, code: str) -> EventPart:
    return EventPart(
        category=("network", "authentication"),
        type=("connection", "denied"),
        action=action,
        outcome=Outcome.FAILURE,
        code=code,
    )
