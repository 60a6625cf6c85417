"""Records to an OpenTelemetry receiver, as OTLP over HTTP, by OpenTelemetry's own exporter."""

from __future__ import annotations

import logging
import ssl
import time
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult
from pydantic import Field, field_validator, model_validator

from doorlog.errors import SinkError
from doorlog.log.otlp_record import RESOURCE_FIELDS, log_record
from doorlog.log.otlp_session import OneTry, Refused, read_headers
from doorlog.log.sink import SinkOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from doorlog.log.sink import SinkContext

_EXAMPLE: Final = "http://127.0.0.1:4318/v1/logs"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_COMPRESSION: Final = {"none": Compression.NoCompression, "gzip": Compression.Gzip}
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "urllib3.connection",
    "urllib3.connectionpool",
)
_exporting: Final[ContextVar[bool]] = ContextVar("exporting", default=False)


class OtlpSettings(SinkOptions):
    """An OpenTelemetry receiver: a Collector, or a backend that speaks OTLP."""

    endpoint: str
    """The whole address for logs, as in ``http://127.0.0.1:4318/v1/logs`` or ``https://otel.example.com/v1/logs``."""
    cafile: Path | None = None
    """PEM file with the authorities that sign the receiver's certificate; without it, those of the operating system."""
    certfile: Path | None = None
    """PEM file with our certificate and its intermediates, for a receiver that asks for one."""
    keyfile: Path | None = None
    """PEM file with the unencrypted private key of ``certfile``."""
    headers_file: Path | None = None
    """File with headers, one ``Name: value`` a line, such as ``Authorization: Bearer TOKEN``; read for each request,
    never shown. Over ``http``, only for a receiver on this machine."""
    timeout: Annotated[float, Field(ge=0.1, le=60)] = 10.0
    """Seconds to connect, and without progress."""
    compression: Literal["none", "gzip"] = "none"
    """How requests are compressed."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            url = urlsplit(value)
            whole = url.scheme in ("http", "https") and url.hostname and url.port != 0 and url.path.strip("/")
        except ValueError:  # a port that is no number
            whole = False
        if not whole or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f"expected a whole address, as in {_EXAMPLE}")
        if url.username is not None or url.query or url.fragment:
            raise ValueError("an address without user, ? or #: what is secret belongs into headers_file")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> OtlpSettings:
        url = urlsplit(self.endpoint)
        if url.scheme == "http" and (self.cafile or self.certfile or self.keyfile):
            raise ValueError("cafile, certfile and keyfile are for https:// only")
        if url.scheme == "http" and self.headers_file and url.hostname not in _LOOPBACK:
            raise ValueError("headers_file: its secrets would cross the network in the clear: use https://")
        if (self.certfile is None) != (self.keyfile is None):
            raise ValueError("certfile and keyfile belong together")
        return self


class OtlpSink:
    """Exports records in batches, each with one try; what the receiver will never take is told apart from the rest.

    A record that was sent twice, since an answer got lost, has the same ``log.record.uid``.

    Args:
        settings: Its keys under ``log.sinks.NAME``.
        context: Who we are, for lines that do not say it.

    Raises:
        SinkError: A certificate, key or headers file can not be used.
    """

    Settings: ClassVar = OtlpSettings
    buffer: ClassVar[Literal["memory", "file"]] = "memory"

    def __init__(self, settings: OtlpSettings, context: SinkContext) -> None:
        self.name = f"otlp {settings.endpoint}"
        self._timeout = settings.timeout
        who = (context.service_name, context.version, context.instance_id)
        self._service = dict(zip(RESOURCE_FIELDS, who, strict=True))
        self._session = _session(settings)
        _quiet_loggers()
        with _quiet():
            self._exporter = OTLPLogExporter(
                endpoint=settings.endpoint,
                timeout=settings.timeout,
                compression=_COMPRESSION[settings.compression],
                session=self._session,
            )
        self._refused = 0
        """Records that the receiver refused for good, and no error has told of yet."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Export records.

        A batch that the receiver refuses for what is in it is halved, and halved again, until only what it refuses
        is left out.

        Raises:
            SinkError: The receiver can not be reached, is not whom we trust, is busy or wrongly set up; or it refuses
                some records for good, and they are not to be brought again.
        """
        observed = time.time_ns()
        waiting = deque([[log_record(line, self._service, observed) for line in lines]])
        deadline = time.monotonic() + self._timeout
        why = "it rejected records"
        while waiting:
            batch = waiting.popleft()
            try:
                self._refused += self._export(batch)
            except Refused as error:
                why = str(error)
                waiting.extendleft(reversed(self._halves(batch)))
            except SinkError as error:
                raise SinkError(str(error), lost=len(batch) + sum(map(len, waiting)), retry=error.retry) from error
            if waiting and time.monotonic() > deadline:
                raise SinkError(f"{why}, and takes too long to say which", lost=sum(map(len, waiting)))
        self._tell_refused(why, len(lines))

    def close(self) -> None:
        """Close the connection."""
        with _quiet():
            self._exporter.shutdown()  # type: ignore[no-untyped-call] # OpenTelemetry's gap

    def _export(self, batch: list[ReadableLogRecord]) -> int:
        """Export a batch; return how many of its records the receiver rejected."""
        self._session.failure = None
        with _quiet():
            result = self._exporter.export(batch)
        if result is LogRecordExportResult.SUCCESS:
            return min(self._session.rejected, len(batch))
        raise self._session.failure or Refused("records that can not be put into OTLP", retry=False)

    def _halves(self, batch: list[ReadableLogRecord]) -> list[list[ReadableLogRecord]]:
        """Return what is still to be tried of a batch that was refused; a single record is counted instead."""
        if len(batch) == 1:
            self._refused += 1
            return []
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]

    def _tell_refused(self, why: str, count: int) -> None:
        told = min(self._refused, count)  # those of a write before, that ended otherwise, are told in this one's place
        self._refused -= told
        if told:
            raise SinkError(why, lost=told, retry=False)


def _session(settings: OtlpSettings) -> OneTry:
    """Make the session, and read every file once, so that a wrong one is known at once."""
    if settings.headers_file is not None:
        read_headers(settings.headers_file)
    verify, cert = _system_authorities(), None
    if settings.cafile is not None:
        verify = str(settings.cafile)
        with _usable(f"cafile {settings.cafile}"):
            ssl.create_default_context(cafile=verify)
    if settings.certfile is not None and settings.keyfile is not None:
        cert = (str(settings.certfile), str(settings.keyfile))
        with _usable(f"certfile {settings.certfile}, keyfile {settings.keyfile}"):
            # An encrypted key would ask for its passphrase on the terminal; an empty answer fails instead.
            ssl.create_default_context().load_cert_chain(*cert, password=lambda: b"")
    return OneTry(verify=verify, cert=cert, headers_file=settings.headers_file, timeout=settings.timeout)


def _system_authorities() -> str | bool:
    """Return where the operating system keeps the authorities it trusts; True, for those of certifi, where nowhere."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


@contextmanager
def _usable(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        why = (error.reason or "no PEM that can be used").lower().replace("_", " ")
        raise SinkError(f"{files}: {why}") from error
    except OSError as error:
        raise SinkError(f"{files}: {error.strerror}") from error


# What the libraries say about our exports, every few seconds while a receiver is down, is in the SinkError already.
# Exports of others in the same process keep their words.


@contextmanager
def _quiet() -> Iterator[None]:
    token = _exporting.set(True)
    try:
        yield
    finally:
        _exporting.reset(token)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _exporting.get()


def _quiet_loggers() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_not_ours)  # the same filter is added once
