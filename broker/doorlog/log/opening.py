"""A log from its settings, opened and started."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from doorlog.errors import SettingsError
from doorlog.events.parts import InstancePart, ServicePart
from doorlog.log.console import ConsoleSink
from doorlog.log.courier import Courier
from doorlog.log.cursor import cursor_path
from doorlog.log.faults import Faults
from doorlog.log.file_courier import FileCourier
from doorlog.log.log_file import LogFile
from doorlog.log.privacy import Concealment
from doorlog.log.processors import record_processors
from doorlog.log.registry import build_sink, sink_class, sink_settings
from doorlog.log.sink import SinkContext, release
from doorlog.log.stdout_sink import StdoutSink
from doorlog.log.writer import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    from structlog.typing import Processor

    from doorlog.events.records import Event
    from doorlog.log.sink import Publish, Sink
    from doorlog.settings.log_models import LogSettings


def open_log(  # noqa: PLR0913 - each is a fact of its own
    settings: LogSettings,
    *,
    service: ServicePart,
    message_of: Callable[[Event], str],
    console: TextIO | None = None,
    processors: Sequence[Processor] = (),
    refine: Callable[[Event], Event] | None = None,
    reason_of: Callable[[Event], str] | None = None,
    afterwards: Callable[[], Iterable[Event]] = lambda: (),
    publish: Publish | None = None,
) -> Log:
    """Open the file and the sinks, and return a log that has started.

    Args:
        settings: ``log`` of the configuration; its console is for the caller to find.
        service: which broker, for every record.
        message_of: says an event in one sentence, for ``message``.
        console: where readable lines go (``sys.stderr`` or ``sys.stdout``), if anywhere.
        processors: structlog processors that see the finished record, before it is rendered.
        refine: says more about an event than its room knew, on the writer thread.
        reason_of: says why it happened, for ``event.reason``, where the event does not.
        afterwards: gives events that ``refine`` has to add, on the writer thread.
        publish: publishes under a topic of our own broker, see ``SinkContext``.

    Raises:
        SinkError: a sink can not be opened; none stays open.
        SettingsError: a key, or a sink, can not be used as it is configured.
    """
    concealment = Concealment(settings.privacy)
    faults = Faults(discreet=concealment.is_active)
    for finding in concealment.findings:
        faults.say(finding.sentence)
    with ExitStack() as undo:
        file = None
        if settings.file is not None:
            file = LogFile(settings.file, syncs=settings.mode != "best_effort", faults=faults)
            undo.callback(file.close)
        sinks: list[Sink] = []
        for sink in _sinks(settings, service, console, faults, publish):
            sinks.append(sink)
            undo.callback(release, sink, faults)
        log = Log(
            record_processors(message_of, processors, refine, reason_of),
            sinks,
            service=service,
            faults=faults,
            settings=settings,
            file=file,
            afterwards=afterwards,
            conceal=concealment,
            reloads=(concealment.reload,),
        )
        log.start()
        undo.pop_all()
    return log


def _sinks(
    settings: LogSettings, service: ServicePart, console: TextIO | None, faults: Faults, publish: Publish | None
) -> Iterator[Sink]:
    """Open all sinks beside the file, each behind a courier of its own."""
    if settings.stdout:
        yield Courier(StdoutSink(), faults)
    if console is not None:
        yield Courier(ConsoleSink(console), faults)
    for name, wanted in settings.sinks.items():
        context = SinkContext(name, service.name, service.instance.id, service.version, publish)
        sink = build_sink(f"log.sinks.{name}", wanted.type, wanted.options, context)
        if _is_in_memory(name, settings, sink.buffer):
            yield Courier(sink, faults, queue_bytes=wanted.queue_bytes)
        elif settings.file is not None:
            yield FileCourier(sink, settings.file.path, cursor_path(settings.file.path, name), faults)


def check_sink(name: str, settings: LogSettings) -> None:
    """Look whether a sink is configured as its type wants it, without opening it.

    Raises:
        SettingsError: It is not; with the place and the remedy.
    """
    wanted = settings.sinks[name]
    sink_settings(f"log.sinks.{name}", wanted.type, wanted.options)
    _is_in_memory(name, settings, sink_class(f"log.sinks.{name}", wanted.type).buffer)


def _is_in_memory(name: str, settings: LogSettings, usual: str) -> bool:
    """Tell where lines wait for a sink."""
    if (settings.sinks[name].buffer or usual) == "memory":
        return True
    if settings.file is None:
        place = f"log.sinks.{name}.buffer"
        fault = "file needs log.file: set it, or buffer: memory, where an outage may cost records"
        raise SettingsError(f"{place}: {fault}", ((place, fault),))
    return False


def service_part(name: str, version: str, instance_id: str) -> ServicePart:
    """Say which broker it is, for every record."""
    return ServicePart(name=name, version=version, instance=InstancePart(id=instance_id))
