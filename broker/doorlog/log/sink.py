"""What a sink is: somewhere that lines go.

A sink is one class with ``write`` and ``close``, and a ``Settings`` model for its keys under ``log.sinks.NAME``. It is
registered as an entry point of the group ``doorlog.sinks``, ours and third parties' alike::

    [project.entry-points."doorlog.sinks"]
    kafka = "my_package:KafkaSink"

What waits, what is tried again and what is counted is not its business: a courier carries lines to it, see ``courier``
(from memory) and ``file_courier`` (from the log file).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from doorlog.log.faults import Faults

    Publish = Callable[[str, bytes], Future[None]]


class Sink(Protocol):
    """Takes rendered records. Called from one thread at a time, never from the event loop."""

    @property
    def name(self) -> str:
        """How an operator knows it, for example ``file /var/log/doorlog.jsonl``."""

    def write(self, lines: Sequence[bytes]) -> None:
        r"""Take whole records in order, each one UTF-8 JSON with ``\n`` at its end.

        Behind a courier it may block for a bounded time (a network timeout): nothing else waits for it.

        Raises:
            Exception: any; the log counts it, says it once, and carries on with the other sinks. A courier brings
                the same lines again later. A ``SinkError`` tells how many of the lines, from the end, were not
                taken, and with ``retry=False`` that they are not to be brought again; with any other error none of
                them was taken.
        """

    def close(self) -> None:
        """Write what is held back and let go, within a few seconds. May raise like ``write``."""


class SinkOptions(BaseModel):
    """The keys of a type of sink, frozen; unknown ones are refused. Its attributes' docstrings are the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may know of its log.

    Attributes:
        name: Its name under ``log.sinks``.
        service_name: ``service.name``.
        instance_id: ``service.instance.id``.
        version: ``service.version``.
        publish: Publishes a payload under a topic of our own broker from any thread; None where there is no broker
            of ours. The future is done when the broker has taken it.
    """

    name: str
    service_name: str
    instance_id: str
    version: str
    publish: Publish | None = None


class RegisteredSink(Sink, Protocol):
    """A class that an entry point of ``doorlog.sinks`` names."""

    Settings: ClassVar[type[BaseModel]]
    buffer: ClassVar[Literal["memory", "file"]]
    """Where lines wait that it has not taken yet, unless ``log.sinks.NAME.buffer`` says otherwise."""

    def __init__(self, settings: Any, context: SinkContext) -> None:
        """Get ready; connecting is for the first ``write``.

        Raises:
            SinkError: It can never work, with the reason and the remedy.
        """


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink does.

    Attributes:
        name: As an operator knows it.
        sent: Records that it has taken.
        retried: How often a batch had to be brought again.
        dropped: Records that it will never get.
        waiting: Records that wait for it.
        fault: What was wrong the last time; None while all is well.
    """

    name: str
    sent: int = 0
    retried: int = 0
    dropped: int = 0
    waiting: int = 0
    fault: str | None = None


def deliver(sink: Sink, lines: Sequence[bytes], faults: Faults) -> None:
    """Write lines to a sink; its failure is counted and goes no further."""
    try:
        sink.write(lines)
    except BaseException as error:  # noqa: BLE001 - a sink is a plug-in: nothing it raises may stop the others
        faults.add(sink.name, error, lost=_lost(error, len(lines)))


def release(sink: Sink, faults: Faults) -> None:
    """Close a sink; its failure is counted and goes no further."""
    try:
        sink.close()
    except BaseException as error:  # noqa: BLE001 - as in deliver
        faults.add(sink.name, error, lost=_lost(error, 0))


def _lost(error: BaseException, otherwise: int) -> int:
    lost = getattr(error, "lost", None)
    return lost if isinstance(lost, int) else otherwise
