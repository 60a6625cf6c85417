"""One HTTP request with one try, for OpenTelemetry's exporter, whose own way is to try again for a while.

The exporter takes a ``requests.Session``. Ours raises for whatever is no plain success, with an error that the exporter
does not know: it gives up at once, and the courier does the waiting.
"""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # ships no types
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from requests.exceptions import ConnectTimeout, RequestException, Timeout

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADERS_LIMIT: Final = 16_384
"""Bytes of a file of headers."""
ANSWER_LIMIT: Final = 16_384
"""Bytes of an answer that are read; a longer one tells us nothing."""
EXPORTER_HEADERS: Final = frozenset({"content-type", "content-encoding", "content-length", "user-agent"})
RESERVED_HEADERS: Final = (EXPORTER_HEADERS - {"user-agent"}) | {
    "accept-encoding", "connection", "host", "transfer-encoding",
}  # fmt: skip
"""What describes the request itself, and is not for others to set."""

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[ \t\x21-\x7e]*[\x21-\x7e])?)[ \t]*")
_ITS_CONTENT: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_CREDENTIALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Refused(SinkError):
    """The receiver refuses what it was sent, today and tomorrow (HTTP 400, 413, 422)."""


class OneTry(requests.Session):
    """Sends with one try, trusts and shows what the settings say, and nothing that the environment says.

    ``OTEL_EXPORTER_*``, ``HTTPS_PROXY``, ``.netrc`` and the like are for other programs on the machine: their tokens
    are not for our receiver.

    Args:
        verify: The authorities to trust: a PEM file or a folder of them; True for those of the library certifi.
        cert: Our certificate and key as PEM files, if any.
        headers_file: Headers to send, read for each request, so that a token can be replaced.
        timeout: Seconds to connect, and without progress.

    Attributes:
        failure: Why the last request failed; None if it did not.
        rejected: How many log records of the last request the receiver took note of and threw away.
    """

    def __init__(
        self, *, verify: str | bool, cert: tuple[str, str] | None, headers_file: Path | None, timeout: float
    ) -> None:
        super().__init__()
        self.trust_env = False
        self._trust = {"verify": verify, "cert": cert}
        self._headers_file = headers_file
        self._timeout = timeout
        self.failure: SinkError | None = None
        self.rejected = 0

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        """Send a request.

        Raises:
            SinkError: It was not taken.
        """
        self.failure, self.rejected = None, 0
        try:
            return self._send(request)
        except SinkError as error:
            self.failure = error
            raise
        except RequestException as error:
            self.failure = SinkError(self._sentence(error))
            raise self.failure from error

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        for name in [name for name in request.headers if name.lower() not in EXPORTER_HEADERS]:
            del request.headers[name]
        request.headers["Accept-Encoding"] = "identity"  # so that an answer is no larger than it looks
        if self._headers_file is not None:
            request.headers.update(read_headers(self._headers_file))
        response = super().send(request, stream=True, timeout=self._timeout, allow_redirects=False, **self._trust)
        with response:  # a body that was read to its end leaves the connection open for the next request
            body = _short_body(response)
        if response.status_code // 100 != 2:
            raise _error(response.status_code)
        self.rejected = _rejected(body)
        return response

    def _sentence(self, error: RequestException) -> str:
        if isinstance(error, Timeout):
            what = "no connection" if isinstance(error, ConnectTimeout) else "no answer"
            return f"{what} within {self._timeout:g} s"
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return f"its certificate is not trusted: {cause.verify_message}"
            if isinstance(cause, ssl.SSLError):
                return f"TLS: {(getattr(cause, 'reason', None) or 'failed').lower().replace('_', ' ')}"
            if isinstance(cause, OSError) and cause.strerror:
                return cause.strerror
        return "the connection was closed without an answer"


def read_headers(path: Path) -> dict[str, str]:
    """Read a file of headers: ``Name: value`` on each line; empty lines and those that begin with ``#`` do not count.

    Raises:
        SinkError: It can not be read, or a line is no header. What stands in the file is never shown.
    """
    try:
        with path.open("rb") as file:
            content = file.read(HEADERS_LIMIT + 1)
    except OSError as error:
        raise SinkError(f"headers_file {path}: {error.strerror}") from error
    if len(content) > HEADERS_LIMIT:
        raise SinkError(f"headers_file {path}: it has more than {HEADERS_LIMIT} bytes")
    headers: dict[str, str] = {}
    for number, line in enumerate(content.decode("latin-1").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if (header := _HEADER.fullmatch(line.rstrip("\r"))) is None:
            raise SinkError(f'headers_file {path}: line {number} is no header, as in "Authorization: Bearer TOKEN"')
        if header[1].lower() in RESERVED_HEADERS:
            raise SinkError(f"headers_file {path}: line {number}: this header is set by doorlog itself")
        headers[header[1]] = header[2]
    return headers


def _short_body(response: requests.Response) -> bytes:
    """Return the body of an answer; nothing of one that is long, or does not say how long it is."""
    length = response.headers.get("Content-Length", "")
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > ANSWER_LIMIT:
        return b""
    return b"".join(response.iter_content(ANSWER_LIMIT))


def _error(status: int) -> SinkError:
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    if status in _ITS_CONTENT:
        return Refused(f"it refused records for good: HTTP {phrase}", retry=False)
    hint = "; see headers_file" if status in _CREDENTIALS else ""
    return SinkError(f"it answered HTTP {phrase}{hint}")


def _rejected(body: bytes) -> int:
    """Return how many log records an answer rejects (OTLP 1.0, partial success); what can not be read rejects none."""
    try:
        return max(0, int(ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records))
    except DecodeError:
        return 0


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what is behind an error of requests: urllib3 keeps it as ``reason``, Python as context, each in its way."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        this = waiting.pop(0)
        if isinstance(this, BaseException) and this not in seen:
            seen.append(this)
            yield this
            waiting += [*this.args, getattr(this, "reason", None), this.__cause__, this.__context__]
