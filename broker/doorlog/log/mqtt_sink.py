"""Records as messages of our own broker, each under a topic that says what it is about, for readers by name."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import orjson
from pydantic import Field, field_validator

from doorlog.errors import SinkError
from doorlog.log.faults import describe
from doorlog.log.sink import SinkOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from doorlog.log.sink import SinkContext

_TOPIC: Final = re.compile(
    r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+){0,3}"
)  # short: with each level, twice as many filters match
_TOPIC_LENGTH: Final = 128
_LEVEL_LENGTH: Final = 128
_LEVEL_KEPT: Final = 96
_NOTHING: Final = "_"
_PUBLISH_REFUSED: Final = "publish_refused"
_WINDOW: Final = 100  # records that are on their way to the broker at a time
_WRITE_SECONDS: Final = 10.0


class MqttOptions(SinkOptions):
    """A topic of this broker: each record is a message there (QoS 0, not retained) for the users in ``readers``."""

    topic: str = "doorlog"
    """Records are published as ``TOPIC/INSTANCE/ACTION/DEVICE``; clients can publish nothing below it."""
    readers: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Users that may subscribe there, by the name that an authentication plugin has verified; without it, nobody."""

    @field_validator("topic")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        if len(value) > _TOPIC_LENGTH or _TOPIC.fullmatch(value) is None:
            raise ValueError(
                "expected one to four levels of letters, digits, '.', '_' and '-', with '/' between them "
                f'and at most {_TOPIC_LENGTH} characters in all, as in "doorlog"'
            )
        return value


class MqttSink:
    """Publishes on the broker that stands behind the same door.

    Raises:
        SinkError: there is no such broker.
    """

    Settings: ClassVar[type[MqttOptions]] = MqttOptions
    buffer: ClassVar[Literal["memory", "file"]] = "memory"

    def __init__(self, settings: MqttOptions, context: SinkContext) -> None:
        if context.publish is None:
            raise SinkError("can not publish records on an MQTT topic: behind this door is no broker of doorlog's own")
        self.name = f"mqtt {settings.topic}"
        self._publish = context.publish
        self._topic_of = Topics(settings.topic, context.instance_id)
        self._readers = frozenset(settings.readers)
        self._beginning = f"{settings.topic}/"

    def write(self, lines: Sequence[bytes]) -> None:
        """Publish records in their order, each as it stands in the file but for the end of its line.

        Waits at most 10 s for the broker to take all of them.

        Raises:
            SinkError: it did not take some of them; a few of these may have been published all the same.
        """
        delivery = _Delivery(self._publish, len(lines), monotonic() + _WRITE_SECONDS)
        for line in lines:
            record = _record(line)
            if self._is_echo(record):
                delivery.skip()
            else:
                delivery.add(self._topic_of(record), line.removesuffix(b"\n"))
        delivery.finish()

    def close(self) -> None:
        """Do nothing: there is nothing that is held back."""

    def _is_echo(self, record: dict[str, Any]) -> bool:
        """Whether a reader was refused to publish here: one that repeats what it reads would never come to an end."""
        return (
            _text(record, "event", "code") == _PUBLISH_REFUSED
            and _text(record, "user", "name") in self._readers
            and f"{_text(record, 'mqtt', 'topic')}/".startswith(self._beginning)
        )


class Topics:
    """The topic of each record of one instance.

    Args:
        prefix: What all of them begin with.
        instance_id: ``service.instance.id``.
    """

    def __init__(self, prefix: str, instance_id: str) -> None:
        self._beginning = f"{prefix}/{topic_level(instance_id)}"

    def __call__(self, record: dict[str, Any]) -> str:
        """Return the topic: instance, ``event.action`` and ``device.id``, with ``_`` for what the record lacks."""
        action, device = _text(record, "event", "action"), _text(record, "device", "id")
        return f"{self._beginning}/{topic_level(action)}/{topic_level(device)}"


def topic_level(text: str) -> str:
    """Return one level of a topic (MQTT 3.1.1, 4.7) that no other text has, of at most 128 characters.

    Letters, digits, ``.``, ``_`` and ``-`` stay, all else is percent-encoded (RFC 3986, 2.1), so that nothing that
    a client chose is a separator, a wildcard or a control character. A level that would be longer is cut, and ends in
    ``~`` and the first 16 digits of the text's SHA-256; an empty text is ``_``.
    """
    if text in {"", _NOTHING}:
        return "%5F" if text else _NOTHING
    level = quote(text, safe="", errors="backslashreplace").replace("~", "%7E")
    if len(level) <= _LEVEL_LENGTH:
        return level
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{level[:_LEVEL_KEPT]}~{digest[:16]}"


class _Delivery:
    """Some records on their way: a bounded number at a time, up to one deadline.

    Args:
        publish: as ``SinkContext.publish``.
        count: how many records there are.
        deadline: of the monotonic clock.
    """

    def __init__(self, publish: Callable[[str, bytes], Future[None]], count: int, deadline: float) -> None:
        self._publish = publish
        self._left = count
        self._deadline = deadline
        self._under_way: deque[Future[None] | None] = deque()

    def add(self, topic: str, payload: bytes) -> None:
        """Publish a record, after waiting for an earlier one if too many are under way."""
        self._under_way.append(self._publish(topic, payload))
        while len(self._under_way) >= _WINDOW:
            self._wait()

    def skip(self) -> None:
        """Count a record as published."""
        self._under_way.append(None)

    def finish(self) -> None:
        """Wait for those that are under way."""
        while self._under_way:
            self._wait()

    def _wait(self) -> None:
        first = self._under_way[0]
        try:
            if first is not None:
                first.result(max(0.0, self._deadline - monotonic()))
        except TimeoutError as error:
            raise self._failed(f"our own broker did not take a record within {_WRITE_SECONDS:g} s") from error
        except Exception as error:
            raise self._failed(describe(error)) from error
        self._under_way.popleft()
        self._left -= 1

    def _failed(self, sentence: str) -> SinkError:
        for future in self._under_way:
            if future is not None:
                future.cancel()  # the courier brings these records again
        return SinkError(sentence, lost=self._left)


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _text(record: dict[str, Any], group: str, field: str) -> str:
    part = record.get(group)
    value = part.get(field) if isinstance(part, dict) else None
    return value if isinstance(value, str) else ""
