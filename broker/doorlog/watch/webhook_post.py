"""One HTTP POST with one try and one deadline; what it says of a failure holds nothing of the address.

Nothing of the environment is used: a proxy or a ``.netrc`` are for other programs of the machine. Redirects are not
followed: an address that was moved is for the operator to correct.
"""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue
from threading import Thread, Timer
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from doorlog import __version__
from doorlog.errors import WebhookFault
from doorlog.settings.alert_models import NO_URL, parse_url

if TYPE_CHECKING:
    from pathlib import Path
    from urllib.parse import SplitResult

    from doorlog.settings.alert_models import WebhookSettings

_PORTS: Final = {"http": 80, "https": 443}
_OTHER_NAME: Final = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_FOR_GOOD: Final = frozenset({400, 413, 422})
_URL_LIMIT: Final = 8192


class Answer(NamedTuple):
    """What became of a message.

    Attributes:
        taken: Whether the receiver took it: HTTP 200 to 299.
        sentence: What it answered, or what went wrong.
        seconds: How long that took.
        status: The HTTP status; None without an answer.
        is_final: Whether it would be refused again.
    """

    taken: bool
    sentence: str
    seconds: float
    status: int | None = None
    is_final: bool = False


def post(webhook: WebhookSettings, body: bytes) -> Answer:
    """Send a message; never raises for what the network or the receiver does.

    Args:
        webhook: Where to.
        body: JSON.
    """
    began = time.monotonic()
    status = None
    try:
        status = _exchange(webhook, body, began + webhook.timeout)
        sentence = _phrase(status)
    except WebhookFault as fault:
        sentence = str(fault)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a host that no name system could know
        late = isinstance(error, TimeoutError) or time.monotonic() - began >= webhook.timeout
        sentence = f"no answer within {webhook.timeout:g} s" if late else _sentence(error)
    seconds = time.monotonic() - began
    taken = status is not None and 200 <= status < 300
    return Answer(taken, sentence, seconds, status, is_final=status in _FOR_GOOD)


def _exchange(webhook: WebhookSettings, body: bytes, deadline: float) -> int:
    """Return the HTTP status."""
    url = url_of(webhook)
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    context = trusting(webhook.cafile) if url.scheme == "https" else None
    connected = _connected(host, port, deadline)
    # The deadline is for all of it: a receiver that says a byte now and then must not hold us for ever. What is cut is
    # the connection itself, so that whoever waits for it wakes up.
    twin = connected.dup()
    cut = Timer(_left(deadline), _cut, [twin])
    cut.daemon = True
    cut.start()
    connection = HTTPConnection(host, port)
    try:
        connection.sock = connected
        if context is not None:
            connection.sock = context.wrap_socket(connected, server_hostname=host)
        connection.request("POST", _target(url), body, _headers(url))
        with connection.getresponse() as response:
            if time.monotonic() >= deadline:  # it was cut, which reads like the end of the headers
                raise TimeoutError
            return response.status
    finally:
        cut.cancel()
        connection.close()
        connected.close()
        twin.close()


def url_of(webhook: WebhookSettings) -> SplitResult:
    """Return the address of a webhook.

    Raises:
        WebhookFault: Its file can not be read, or holds no address. Nothing of it is shown.
    """
    if webhook.url is not None:
        return parse_url(webhook.url.get_secret_value())
    assert webhook.url_file is not None  # noqa: S101 - one of them is there
    return _read_url(webhook.url_file)


def _read_url(path: Path) -> SplitResult:
    try:
        with path.open("rb") as file:
            text = file.read(_URL_LIMIT).decode("latin-1").strip()
    except OSError as error:
        raise WebhookFault(f"url_file {path}: {error.strerror}") from error
    try:
        return parse_url(text)
    except ValueError:
        raise WebhookFault(f"url_file {path}: {NO_URL}") from None


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first of its addresses that answers in time."""
    last: OSError = TimeoutError()
    for family, kind, protocol, _, address in _looked_up(host, port, deadline):
        found = socket.socket(family, kind, protocol)
        try:
            found.settimeout(_left(deadline))
            found.connect(address)
        except OSError as error:
            found.close()
            last = error
        else:
            return found
    raise last


def _looked_up(host: str, port: int, deadline: float) -> list[Any]:
    """Look up a name; the system's own way can not be interrupted, and is left behind when it takes too long."""
    answers: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def look() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answers.put(error)

    Thread(target=look, name="doorlog-lookup", daemon=True).start()
    try:
        found = answers.get(timeout=_left(deadline))
    except Empty:
        raise TimeoutError from None
    if isinstance(found, Exception):
        raise found
    return found


def trusting(cafile: Path | None) -> ssl.SSLContext:
    """Return what verifies the receiver's certificate.

    Raises:
        WebhookFault: The file of authorities can not be used.
    """
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise WebhookFault(f"cafile {cafile}: {reason}") from error


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _cut(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _headers(url: SplitResult) -> dict[str, str]:
    headers = {
        "Host": url.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": f"doorlog/{__version__}",
        "Connection": "close",
        "Accept-Encoding": "identity",
    }
    if url.username is not None:
        user = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
        headers["Authorization"] = f"Basic {b64encode(user).decode()}"
    return headers


def _phrase(status: int) -> str:
    """Say a status in our words: what the receiver wrote beside it is not shown."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):  # a ValueError, too
        other = error.verify_code in _OTHER_NAME
        return f"its certificate is {'for another name' if other else f'not trusted: {error.verify_message}'}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError):
        return "its host is none that could be looked up"
    return "the connection was closed without an answer"
