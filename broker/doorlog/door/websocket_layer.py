"""MQTT over WebSocket without any socket (RFC 6455; MQTT 3.1.1, 6), around the sans-IO core of ``websockets``."""

from __future__ import annotations

import http
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from doorlog.errors import WebSocketRejected
from doorlog.text import safe_text

_SUBPROTOCOL = Subprotocol("mqtt")  # MQTT 3.1.1, 6.0.0-3


class WebSocketLayer:
    """One WebSocket connection: ``receive`` gives MQTT bytes, ``take_output`` gives bytes for the layer below.

    Args:
        origins: Browser origins that are let in besides the listener's own host; ``*`` for any.
        max_bytes: Largest message, in bytes.
    """

    __slots__ = ("_max_bytes", "_origins", "_protocol")

    def __init__(self, origins: tuple[str, ...], max_bytes: int) -> None:
        self._origins = origins
        self._max_bytes = max_bytes
        self._protocol = ServerProtocol(subprotocols=[_SUBPROTOCOL], max_size=max_bytes)

    @property
    def opened(self) -> bool:
        """Whether the opening handshake succeeded."""
        return self._protocol.state is State.OPEN

    @property
    def closed(self) -> bool:
        """Whether the WebSocket is closing or closed."""
        return self._protocol.state in (State.CLOSING, State.CLOSED)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the layer below.

        Returns:
            MQTT bytes, if any.

        Raises:
            WebSocketRejected: If the opening handshake is refused; the answer waits in ``take_output``.
        """
        self._protocol.receive_data(data)
        pieces = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame):
                pieces.append(self._payload(event))
        if not pieces and self._protocol.handshake_exc is not None and not self.opened:
            raise WebSocketRejected("the connection does not begin with a WebSocket handshake (RFC 6455, 4.2)")
        return b"".join(pieces)

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
        own = len(hosts) == 1 and urlsplit(origins[0]).netloc == hosts[0]
        if len(origins) == 1 and (own or origins[0] in self._origins):
            return None
        text = "This origin may not use the broker: add it to the listener's origins.\n"
        return self._protocol.reject(http.HTTPStatus.FORBIDDEN, text)

    def _payload(self, frame: Frame) -> bytes:
        if frame.opcode in (Opcode.BINARY, Opcode.CONT):
            return bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT needs binary frames")
        return b""


def _why(error: Exception | None) -> str:
    if isinstance(error, InvalidHandshake):
        name = type(error).__name__
        hint = {
            "NegotiationError": 'the client does not offer the subprotocol "mqtt" (MQTT 3.1.1, 6.0.0-3)',
            "InvalidUpgrade": "the request is plain HTTP, not a WebSocket upgrade",
        }
        return hint.get(name, f"the WebSocket handshake breaks RFC 6455 ({name})")
    return "the WebSocket handshake was refused"
