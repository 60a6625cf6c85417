"""What a sink is: somewhere that lines go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.log.faults import Faults


class Sink(Protocol):
    """Takes rendered records. Called from one thread at a time, never from the event loop."""

    @property
    def name(self) -> str:
        """How an operator knows it, for example ``file /var/log/doorlog.jsonl``."""

    def write(self, lines: Sequence[bytes]) -> None:
        r"""Take whole records in order, each one UTF-8 JSON with ``\n`` at its end.

        A sink that can block for long is to be wrapped in ``detached.Detached``.

        Raises:
            Exception: any; the log counts it, says it once, and carries on with the other sinks. A ``SinkError``
                tells how many of the lines are lost; with any other error all of them count as lost.
        """

    def close(self) -> None:
        """Write what is held back and let go. May raise like ``write``."""


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
