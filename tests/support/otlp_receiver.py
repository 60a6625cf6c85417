"""A real OTLP/HTTP receiver: an HTTP server that parses what it is sent with OpenTelemetry's own definitions."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from support.pki_certificates import CertificateFiles

PATH = "/v1/logs"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver says to a request."""

    status: int = 200
    body: bytes = ExportLogsServiceResponse().SerializeToString()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Got:
    """A request as it came."""

    headers: dict[str, str]
    """By lower-case name."""
    path: str
    request: ExportLogsServiceRequest

    @property
    def logs(self) -> list[LogRecord]:
        return [
            log for resource in self.request.resource_logs for scope in resource.scope_logs for log in scope.log_records
        ]


@dataclass(slots=True)
class OtlpReceiver:
    """What it got, what it will answer, and where it is."""

    endpoint: str
    got: list[Got] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    """The next ones; 200 when there are none."""
    poison: str | None = None
    """A request with a log record of this body is answered 400."""
    go: Event = field(default_factory=Event)
    """While it is not set, no request is answered."""
    taken: list[LogRecord] = field(default_factory=list)
    """The log records of requests that were answered 200."""

    @property
    def bodies(self) -> list[str]:
        return [log.body.string_value for log in self.taken]

    def answer(self, got: Got) -> Answer:
        self.got.append(got)
        self.go.wait()
        answer = self.answers.popleft() if self.answers else Answer()
        if self.poison is not None and self.poison in [log.body.string_value for log in got.logs]:
            answer = Answer(400, b"poison")
        if answer.status == 200:
            self.taken += got.logs
        return answer


@contextmanager
def otlp_receiver(
    certificate: CertificateFiles | None = None, *, clients: Path | None = None, port: int = 0
) -> Iterator[OtlpReceiver]:
    """Run a receiver on 127.0.0.1, over TLS with a certificate; `clients` is whose certificates it asks for.

    At the end, open connections are cut, as when its process ends.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    scheme = "http"
    if certificate is not None:
        scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        server.context = context
    server.receiver = OtlpReceiver(f"{scheme}://127.0.0.1:{server.server_port}{PATH}")
    server.receiver.go.set()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.receiver
    finally:
        server.receiver.go.set()
        server.shutdown()
        thread.join()
        for connection in list(server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()


class _Server(ThreadingHTTPServer):
    receiver: OtlpReceiver
    context: ssl.SSLContext | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: set[socket.socket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands on the thread of the connection."""
        try:
            if self.context is not None:
                request.settimeout(5)
                request = self.context.wrap_socket(request, server_side=True)
            self.connections.add(request)
            super().finish_request(request, client_address)
        except OSError:  # a sink that does not trust us, or does not wait
            pass
        finally:
            self.connections.discard(request)
            request.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        answer = self.server.receiver.answer(Got(headers, self.path, ExportLogsServiceRequest.FromString(body)))
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def rejecting(count: int) -> bytes:
    """Return a partial success: so many log records are thrown away."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = count
    response.partial_success.error_message = "too old"
    return bytes(response.SerializeToString())


def plain(value: AnyValue) -> Any:
    """Return a value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes by name; each name stands there once."""
    items: list[KeyValue] = list(pairs)
    result = {item.key: plain(item.value) for item in items}
    assert len(result) == len(items)
    return result
