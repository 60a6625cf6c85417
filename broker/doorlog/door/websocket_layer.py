"""MQTT over WebSocket without any socket (RFC 6455; MQTT 3.1.1, 6), around the sans-IO core of ``websockets``."""

from __future__ import annotations

import http
import logging

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from doorlog.errors import WebSocketRejected
from doorlog.text import safe_text

_SUBPROTOCOL = Subprotocol("mqtt")  # MQTT 3.1.1, 6.0.0-3
_REQUEST_MAX_BYTES = 16_384  # as most HTTP servers have it; the library alone would hold a megabyte
_END_OF_REQUEST = b"\r\n\r\n"
_METHOD = b"GET "  # RFC 6455, 4.1: the only one of an opening handshake
# The library would log headers and frames, with passwords in them.
_SILENT = logging.getLogger("doorlog.silent")
_SILENT.disabled = True
_NO_HANDSHAKE = "the connection does not begin with a WebSocket handshake (RFC 6455, 4.2)"


class WebSocketLayer:
    """One WebSocket connection: ``receive`` gives MQTT bytes, ``take_output`` gives bytes for the layer below.

    Args:
        origins: Browser origins that are let in besides the listener's own host; ``*`` for any.
        max_bytes: Largest message, in bytes.
        max_strange_bytes: What is held of a message before ``trust``, in bytes.

    Attributes:
        fault: What the peer did wrong after the opening handshake, one plain sentence; None if nothing.
    """

    __slots__ = ("_asked", "_held", "_max_held", "_origins", "_protocol", "_tail", "fault")

    def __init__(self, origins: tuple[str, ...], max_bytes: int, max_strange_bytes: int | None = None) -> None:
        self.fault: str | None = None
        self._origins = origins
        self._max_held = max_strange_bytes
        self._held = 0  # bytes since the last complete request or frame
        self._asked = False
        self._tail = b""
        self._protocol = ServerProtocol(subprotocols=[_SUBPROTOCOL], max_size=max_bytes, logger=_SILENT)

    @property
    def opened(self) -> bool:
        """Whether the opening handshake succeeded, and nobody has closed since."""
        return self._protocol.state is State.OPEN

    @property
    def closed(self) -> bool:
        """Whether the WebSocket is closing or closed."""
        return self._protocol.state in (State.CLOSING, State.CLOSED)

    def trust(self) -> None:
        """Take messages up to the full size from now on."""
        self._max_held = None

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the layer below.

        Returns:
            MQTT bytes, if any.

        Raises:
            WebSocketRejected: If the opening handshake is refused; the answer waits in ``take_output``.
        """
        if not self._asked:
            data = self._receive_request(data)
        if not self._asked or not data or self.fault is not None:
            return b""
        return self._receive_frames(data)

    def send(self, data: bytes) -> None:
        """Wrap MQTT bytes in a binary frame (MQTT 3.1.1, 6.0.0-4)."""
        if self.opened:
            self._protocol.send_binary(data)

    def close(self) -> None:
        """Say that we are done."""
        if self.opened:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)

    def take_output(self) -> bytes:
        """Hand over the bytes that belong on the layer below."""
        return b"".join(self._protocol.data_to_send())

    def _receive_request(self, data: bytes) -> bytes:
        """Feed the request alone, so that it is answered before any frame behind it; return what is behind it."""
        if self._held < len(_METHOD) and not _METHOD.startswith(data[: len(_METHOD) - self._held], self._held):
            raise WebSocketRejected(_what_it_is(data) if self._held == 0 else _NO_HANDSHAKE)
        seen = self._tail + data
        end = seen.find(_END_OF_REQUEST)
        request = data if end < 0 else data[: end + len(_END_OF_REQUEST) - len(self._tail)]
        self._tail = seen[1 - len(_END_OF_REQUEST) :]
        self._held += len(request)
        if self._held > _REQUEST_MAX_BYTES:
            self._protocol.send_response(self._protocol.reject(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, ""))
            raise WebSocketRejected(f"the request is longer than {_REQUEST_MAX_BYTES} bytes")
        self._protocol.receive_data(request)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._asked, self._held, self._tail = True, 0, b""
                self._open(event)
        if self._protocol.handshake_exc is not None:
            raise WebSocketRejected(_NO_HANDSHAKE)
        return data[len(request) :]

    def _receive_frames(self, data: bytes) -> bytes:
        self._held += len(data)
        self._protocol.receive_data(data)
        pieces = []
        for event in self._protocol.events_received():
            self._held = 0
            if isinstance(event, Frame) and self.fault is None:
                pieces.append(self._payload(event))
        if self._protocol.parser_exc is not None and self.fault is None:
            self.fault = f"a WebSocket frame breaks RFC 6455 ({type(self._protocol.parser_exc).__name__})"
        elif self._max_held is not None and self._held > self._max_held:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a WebSocket frame is larger than {self._max_held} bytes")
        return b"".join(pieces)

    def _open(self, request: Request) -> None:
        refusal = self._refusal(request)
        response = refusal or self._protocol.accept(request)
        self._protocol.send_response(response)
        if response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
            return
        if refusal is not None:
            origin = safe_text(request.headers.get_all("Origin")[0], 128)
            raise WebSocketRejected(f'the origin "{origin}" is not among the origins of this listener')
        raise WebSocketRejected(_why(self._protocol.handshake_exc))

    def _refusal(self, request: Request) -> Response | None:
        origins = request.headers.get_all("Origin")
        if not origins or "*" in self._origins:
            return None
        hosts = request.headers.get_all("Host")
        own = [f"{scheme}://{hosts[0]}" for scheme in ("http", "https")] if len(hosts) == 1 else []
        if len(origins) == 1 and (origins[0] in own or origins[0] in self._origins):
            return None
        text = "This origin may not use the broker: add it to the listener's origins.\n"
        return self._protocol.reject(http.HTTPStatus.FORBIDDEN, text)

    def _payload(self, frame: Frame) -> bytes:
        if frame.opcode in (Opcode.BINARY, Opcode.CONT):
            return bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            self._fail(CloseCode.UNSUPPORTED_DATA, "MQTT came in a text frame, not in a binary one (MQTT 3.1.1, 6)")
        return b""

    def _fail(self, code: CloseCode, fault: str) -> None:
        self.fault = fault
        if not self._protocol.eof_sent:
            self._protocol.fail(code, fault)


def _what_it_is(first_bytes: bytes) -> str:
    if first_bytes[:1] == b"\x16":
        return "the device speaks TLS, and this port speaks plain WebSocket"
    if first_bytes[:1] == b"\x10":
        return "the device speaks MQTT without WebSocket, and this port wants it inside WebSocket"
    return _NO_HANDSHAKE


def _why(error: Exception | None) -> str:
    if isinstance(error, InvalidHandshake):
        name = type(error).__name__
        hint = {
            "NegotiationError": 'the client does not offer the subprotocol "mqtt" (MQTT 3.1.1, 6.0.0-3)',
            "InvalidUpgrade": "the request is plain HTTP, not a WebSocket upgrade",
        }
        header = getattr(error, "name", None)  # of the library's choosing, not the client's
        return hint.get(name, f"the WebSocket handshake breaks RFC 6455 ({f'header {header}' if header else name})")
    return "the WebSocket handshake was refused"
