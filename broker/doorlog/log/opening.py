"""A log from simple arguments, opened and started."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from doorlog.events.parts import InstancePart, ServicePart
from doorlog.log.console import ConsoleSink
from doorlog.log.courier import Courier
from doorlog.log.faults import Faults
from doorlog.log.file_sink import FileSink
from doorlog.log.processors import record_processors
from doorlog.log.sink import release
from doorlog.log.stdout_sink import StdoutSink
from doorlog.log.writer import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TextIO

    from structlog.typing import Processor

    from doorlog.events.records import Event
    from doorlog.log.sink import Sink


def open_log(  # noqa: PLR0913 - each is a fact of its own
    *,
    instance_id: str,
    version: str,
    message_of: Callable[[Event], str],
    path: Path | None = None,
    stdout: bool = False,
    console: TextIO | None = None,
    processors: Sequence[Processor] = (),
    refine: Callable[[Event], Event] | None = None,
    service_name: str = "doorlog",
) -> Log:
    """Open the sinks and return a log that has started.

    Args:
        instance_id: ``service.instance.id``, unique among the brokers of an operator.
        version: ``service.version``.
        message_of: says an event in one sentence, for ``message``.
        path: the file of JSON lines, if any.
        stdout: whether JSON lines go to standard output.
        console: where readable lines go (``sys.stderr`` or ``sys.stdout``), if anywhere.
        processors: structlog processors that see the finished record, before it is rendered.
        refine: says more about an event than its room knew, on the writer thread.
        service_name: ``service.name``.

    Raises:
        SinkError: a sink can not be opened; none stays open.
    """
    faults = Faults()
    service = ServicePart(name=service_name, version=version, instance=InstancePart(id=instance_id))
    with ExitStack() as undo:
        sinks: list[Sink] = []

        def add(sink: Sink) -> None:
            sinks.append(sink)
            undo.callback(release, sink, faults)

        if path is not None:
            add(FileSink(path))
        if stdout:
            add(Courier(StdoutSink(), faults))
        if console is not None:
            add(Courier(ConsoleSink(console), faults))
        log = Log(record_processors(message_of, processors, refine), sinks, service=service, faults=faults)
        log.start()
        undo.pop_all()
    return log
