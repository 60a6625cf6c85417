"""A real HTTP receiver of alerts: it keeps what it got, and answers what a test wants."""

from __future__ import annotations

import json
import ssl
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.pki_certificates import CertificateFiles

PATIENCE = 20.0


@dataclass(slots=True)
class Receiver:
    """What it got, what it will answer, and where it is.

    Attributes:
        url: Its address, with a secret in it.
        got: Path, headers by lower-case name, and the JSON, of each request.
        statuses: What it answers next; 200 when there is none left.
        headers: What it says beside that.
    """

    url: str
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    statuses: deque[int] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    _news: Condition = field(default_factory=Condition)

    @property
    def messages(self) -> list[Any]:
        """What was sent, in the order in which it came."""
        return [message for _, _, message in self.got]

    def wait_for(self, number: int) -> list[Any]:
        """Wait for so many messages."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.got) >= number, PATIENCE), self.got
            return self.messages


@contextmanager
def receiving(certificate: CertificateFiles | None = None) -> Iterator[Receiver]:
    """Run a receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with receiver._news:
                status = receiver.statuses.popleft() if receiver.statuses else 200
                receiver.got.append((self.path, {name.lower(): v for name, v in self.headers.items()}, message))
                receiver._news.notify_all()
            self.send_response(status, "whatever it says")
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certfile, certificate.keyfile)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https" if certificate is not None else "http"
        receiver = Receiver(f"{scheme}://localhost:{server.server_address[1]}/hook/s3cret?token=t0ken")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
