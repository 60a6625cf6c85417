"""A log from its settings, opened and started."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from doorlog.events.parts import InstancePart, ServicePart
from doorlog.log.console import ConsoleSink
from doorlog.log.courier import Courier
from doorlog.log.faults import Faults
from doorlog.log.log_file import LogFile
from doorlog.log.privacy import Concealment
from doorlog.log.processors import record_processors
from doorlog.log.sink import release
from doorlog.log.stdout_sink import StdoutSink
from doorlog.log.writer import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from structlog.typing import Processor

    from doorlog.events.records import Event
    from doorlog.log.sink import Sink
    from doorlog.settings.log_models import LogSettings


def open_log(
    settings: LogSettings,
    *,
    service: ServicePart,
    message_of: Callable[[Event], str],
    console: TextIO | None = None,
    processors: Sequence[Processor] = (),
    refine: Callable[[Event], Event] | None = None,
    reason_of: Callable[[Event], str] | None = None,
) -> Log:
    """Open the file and the sinks, and return a log that has started.

    Args:
        settings: ``log`` of the configuration; its console is for the caller to find.
        service: which broker, for every record.
        message_of: says an event in one sentence, for ``message``.
        console: where readable lines go (``sys.stderr`` or ``sys.stdout``), if anywhere.
        processors: structlog processors that see the finished record, before it is rendered.
        reason_of: says why it happened, for ``event.reason``, where the event does not.
        refine: says more about an event than its room knew, on the writer thread.

    Raises:
        SinkError: a sink can not be opened; none stays open.
        SettingsError: a key can not be used.
    """
    concealment = Concealment(settings.privacy)
    faults = Faults(discreet=concealment.is_active)
    with ExitStack() as undo:
        sinks: list[Sink] = []

        def add(sink: Sink) -> None:
            sinks.append(sink)
            undo.callback(release, sink, faults)

        file = None
        if settings.file is not None:
            file = LogFile(settings.file, syncs=settings.mode != "best_effort", faults=faults)
            undo.callback(file.close)
        if settings.stdout:
            add(Courier(StdoutSink(), faults))
        if console is not None:
            add(Courier(ConsoleSink(console), faults))
        log = Log(
            record_processors(message_of, processors, refine, reason_of),
            sinks,
            service=service,
            faults=faults,
            settings=settings,
            file=file,
            conceal=concealment,
            reloads=(concealment.reload,),
        )
        log.start()
        undo.pop_all()
    return log


def service_part(name: str, version: str, instance_id: str) -> ServicePart:
    """Say which broker it is, for every record."""
    return ServicePart(name=name, version=version, instance=InstancePart(id=instance_id))
