"""What stands between the socket and MQTT: TLS, WebSocket, both or neither."""

from __future__ import annotations

from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_witness import TlsState
from doorlog.door.websocket_layer import WebSocketLayer


class Layers:
    """The layers of one connection; ``receive`` goes up through them, ``send`` goes down.

    Args:
        tls: The TLS engine of a TLS listener.
        websocket: The WebSocket of a WebSocket listener.
    """

    __slots__ = ("_output", "tls", "websocket")

    def __init__(self, tls: TlsEngine | None, websocket: WebSocketLayer | None) -> None:
        self.tls = tls
        self.websocket = websocket
        self._output = bytearray()

    @property
    def closed(self) -> bool:
        """Whether the peer closed one of the layers in an orderly way."""
        return bool((self.tls and self.tls.closed) or (self.websocket and self.websocket.closed))

    @property
    def failed(self) -> bool:
        """Whether TLS broke."""
        return self.tls is not None and self.tls.state is TlsState.FAILED

    @property
    def fault(self) -> str | None:
        """What broke the WebSocket, one plain sentence."""
        return self.websocket.fault if self.websocket else None

    def trust(self) -> None:
        """Take messages of the full size from now on: the device is admitted."""
        if self.websocket is not None:
            self.websocket.trust()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the socket.

        Returns:
            MQTT bytes, if any.

        Raises:
            WebSocketRejected: If the WebSocket handshake is refused.
        """
        if self.tls is not None:
            data = self.tls.receive(data)
        if self.websocket is not None and data:
            try:
                data = self.websocket.receive(data)
            finally:
                self._send_down(self.websocket.take_output())
        return data

    def send(self, data: bytes) -> None:
        """Send MQTT bytes; they wait in ``take_output``."""
        if self.websocket is not None:
            self.websocket.send(data)
            data = self.websocket.take_output()
        self._send_down(data)

    def close(self) -> None:
        """Say goodbye on each layer, the uppermost first."""
        if self.websocket is not None:
            self.websocket.close()
            self._send_down(self.websocket.take_output())
        if self.tls is not None:
            self.tls.close()

    def take_output(self) -> bytes:
        """Hand over the bytes that belong on the socket."""
        if self.tls is not None:
            return self.tls.take_output()
        taken = bytes(self._output)
        self._output.clear()
        return taken

    def _send_down(self, data: bytes) -> None:
        if not data:
            return
        if self.tls is not None:
            self.tls.send(data)
        else:
            self._output += data
