"""One attempt without any socket: bytes in, bytes out, and a code when it is decided.

The phases follow one another: PROXY header, TLS, WebSocket, CONNECT; each hands its plaintext to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from doorlog.addresses import is_within, source_key
from doorlog.door.classify import Ending, TlsEvidence, classify_connect, classify_tls
from doorlog.door.connect_packet import Connect, ConnectDecoder, ReturnCode, connack_for, connect_facts
from doorlog.door.layers import Layers
from doorlog.door.limits import AttemptLimits
from doorlog.door.proxy_header import ProxyHeader, ProxyHeaderDecoder
from doorlog.door.proxy_report import proxy_part
from doorlog.door.tls_engine import ChainPolicy, TlsEngine
from doorlog.door.tls_witness import TlsState
from doorlog.door.websocket_layer import WebSocketLayer
from doorlog.errors import ConnectError, ConnectFacts, ProxyHeaderError, ProxyHeaderMissing, WebSocketRejected
from doorlog.events.codes import STAGE_OF, Code, Stage
from doorlog.events.parts import ProxyPart
from doorlog.settings.models import LimitsSettings, ListenerSettings

_HELLO_MAX_BYTES = 65_536
_BESIDE_A_PACKET = 65_536
# MQTT 3.1.1, 3.2.2.3. Both wrong passwords and unknown users get 4, so that user names can not be found out.
CONNACK_OF = {
    Code.ADMITTED: 0,
    Code.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Code.CLIENT_ID_REJECTED: 2,
    Code.CLIENT_ID_TAKEN: 2,
    Code.AUTH_BACKEND_ERROR: 3,
    Code.AUTH_TIMEOUT: 3,
    Code.LOG_UNAVAILABLE: 3,
    Code.THROTTLED: 3,
    Code.BAD_PASSWORD: 4,
    Code.UNKNOWN_USER: 4,
    Code.NO_CREDENTIALS: 5,
    Code.NOT_AUTHORIZED: 5,
    Code.WILL_NOT_AUTHORIZED: 5,
}
_NOBODYS_FAULT = frozenset({Code.SERVER_SHUTDOWN, Code.INTERNAL_ERROR})


@dataclass(frozen=True, slots=True)
class ListenerRules:
    """What an attempt must know of its listener."""

    name: str
    settings: ListenerSettings
    limits: LimitsSettings
    counts: AttemptLimits
    chain_policy: ChainPolicy | None = None


class Attempt:
    """One accepted connection on its way to a verdict.

    Attributes:
        code: The verdict, None while there is none.
        reason: What the code alone does not say, in one plain sentence.
        connect: The CONNECT packet, once it is complete and valid.
        connect_facts: What could be read of a CONNECT that was refused, or came without TLS.
        output: Bytes that belong on the socket.
        proxy: The load balancer in front, and what it told, once its header was read.
    """

    __slots__ = (
        "_connect_decoder",
        "_counted_source",
        "_proxy_decoder",
        "_receive",
        "_rules",
        "bytes_received",
        "bytes_sent",
        "code",
        "connack",
        "connect",
        "connect_facts",
        "early",
        "layers",
        "output",
        "phase",
        "proxy",
        "reason",
        "source",
    )

    def __init__(self, rules: ListenerRules, source: tuple[str, int]) -> None:
        self._rules = rules
        self.source = source
        self.proxy: ProxyPart | None = None
        self.code: Code | None = None
        self.reason: str | None = None
        self.connect: Connect | None = None
        self.connect_facts: ConnectFacts | None = None
        self.connack: int | None = None
        self.layers: Layers | None = None
        self.early = bytearray()
        self.output = bytearray()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.phase = Stage.ACCEPT
        self._proxy_decoder: ProxyHeaderDecoder | None = None
        self._connect_decoder: ConnectDecoder | None = None
        self._counted_source: str | None = None
        self._receive: Callable[[bytes], None] = self._receive_protected
        self._accept()

    @property
    def tls(self) -> TlsEngine | None:
        """The TLS engine, on a TLS listener once it began."""
        return self.layers.tls if self.layers else None

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if self.code is None:
            self.bytes_received += len(data)
            self._receive(data)

    def end(self, ending: Ending) -> None:
        """Take note that the peer went away, or that the deadline passed."""
        if self.code is not None or self.phase is Stage.CREDENTIALS:
            return
        if self.phase is Stage.PROXY:
            self.conclude(Code.PROXY_HEADER_MISSING, "the connection ended before its PROXY header")
        elif self.phase in (Stage.HELLO, Stage.HANDSHAKE):
            self._conclude_tls(ending)
        else:
            timeout = ending is Ending.TIMEOUT
            self.conclude(Code.CONNECT_TIMEOUT if timeout else Code.CLOSED_BEFORE_CONNECT)

    def conclude(self, code: Code, reason: str | None = None) -> None:
        """Decide; the answer that the device gets, if any, is put into ``output``."""
        if self.code is not None:
            return
        self.code = code
        self.reason = reason
        self.phase = STAGE_OF.get(code, self.phase)
        answer = CONNACK_OF.get(code)
        if code in _NOBODYS_FAULT and self.connect is not None:
            answer = ReturnCode.SERVER_UNAVAILABLE
        if answer:  # CONNACK 0 is for the broker to send
            self.connack = answer
            self._answer(connack_for(self._protocol_level, answer))

    def say_goodbye(self) -> None:
        """Close what is open above TCP, after the answer."""
        if self.layers is not None:
            self.layers.close()
            self.output += self.layers.take_output()

    def take_output(self) -> bytes:
        """Hand over the bytes that belong on the socket."""
        taken = bytes(self.output)
        self.output.clear()
        self.bytes_sent += len(taken)
        return taken

    def release(self) -> None:
        """Stop counting for the source; the listener's count is its listener's."""
        if self._counted_source is not None:
            self._rules.counts.leave_source(self._counted_source)
            self._counted_source = None

    @property
    def _protocol_level(self) -> int:
        facts = self.connect_facts
        return (facts.protocol_level if facts else None) or 4

    def _accept(self) -> None:
        settings = self._rules.settings
        if settings.proxy_protocol == "required":
            self.phase = Stage.PROXY
            if not is_within(self.source[0], settings.proxy_networks):
                self.conclude(Code.PROXY_UNTRUSTED_SOURCE)
                return
            self._receive = self._receive_proxy
        else:
            self._admit_source()

    def _admit_source(self) -> None:
        if is_within(self.source[0], self._rules.settings.blocked_networks):
            self.conclude(Code.SOURCE_BLOCKED)
            return
        self._counted_source = source_key(self.source[0])
        if not self._rules.counts.enter_source(self._counted_source):
            bound = self._rules.limits.attempts_per_source
            self.conclude(Code.TOO_MANY_CONNECTIONS, f"more than {bound} connections of this source wait for a verdict")
            return
        self.phase = Stage.HELLO if self._rules.settings.tls else Stage.CONNECT

    def _receive_proxy(self, data: bytes) -> None:
        if self._proxy_decoder is None:
            self._proxy_decoder = ProxyHeaderDecoder()
        try:
            header = self._proxy_decoder.receive(data)
        except ProxyHeaderError as error:
            missing = isinstance(error, ProxyHeaderMissing)
            self.conclude(Code.PROXY_HEADER_MISSING if missing else Code.PROXY_HEADER_INVALID, str(error))
            return
        if header is None:
            return
        self._take_source_of(header)
        trailing, self._proxy_decoder = self._proxy_decoder.trailing, None
        self._receive = self._receive_protected
        self._admit_source()
        if trailing and self.code is None:
            self._receive(trailing)

    def _take_source_of(self, header: ProxyHeader) -> None:
        self.proxy = proxy_part(header, self.source)
        if not header.local and header.source_ip is not None:
            self.source = (header.source_ip, header.source_port or 0)

    def _receive_protected(self, data: bytes) -> None:
        if self.layers is None:
            self.layers = self._build_layers()
        try:
            plaintext = self.layers.receive(data)
        except WebSocketRejected as error:
            self.output += self.layers.take_output()
            self.conclude(Code.WEBSOCKET_REJECTED, str(error))
            return
        self.output += self.layers.take_output()
        self._follow_tls()
        if plaintext and self.code is None:
            self._receive_connect(plaintext)
        if self.code is None and self.phase is not Stage.CREDENTIALS:
            if self.layers.fault is not None:
                self.conclude(Code.WEBSOCKET_REJECTED, self.layers.fault)
            elif self.layers.closed:
                self.end(Ending.FIN)

    def _build_layers(self) -> Layers:
        settings, limits = self._rules.settings, self._rules.limits
        policy = self._rules.chain_policy
        websocket = None
        if settings.websocket:
            # A frame may hold more than one packet.
            sizes = limits.packet_max_bytes + _BESIDE_A_PACKET, limits.connect_max_bytes + _BESIDE_A_PACKET
            websocket = WebSocketLayer(settings.origins, *sizes)
        return Layers(tls=TlsEngine(policy) if policy else None, websocket=websocket)

    def _follow_tls(self) -> None:
        tls = self.tls
        if tls is None or self.phase is Stage.CREDENTIALS:
            return
        if tls.state is TlsState.FAILED:
            self._conclude_tls(None)
        elif self.phase in (Stage.HELLO, Stage.HANDSHAKE):
            if tls.state is TlsState.ESTABLISHED:
                self.phase = Stage.CONNECT
                self._check_resumed_certificate(tls)
            elif tls.client.client_hello is None and self.bytes_received > _HELLO_MAX_BYTES:
                self.conclude(Code.MALFORMED_HELLO, f"the ClientHello is larger than {_HELLO_MAX_BYTES} bytes")
            elif tls.state is TlsState.HANDSHAKE:
                self.phase = Stage.HANDSHAKE

    def _check_resumed_certificate(self, tls: TlsEngine) -> None:
        fault = tls.resumed_certificate_fault()
        if fault is not None:
            self.conclude(Code(f"client_certificate_{fault}"), "the certificate of the resumed TLS session is refused")

    def _conclude_tls(self, ending: Ending | None) -> None:
        tls = self.tls
        evidence = tls.evidence(ending) if tls else TlsEvidence(ending=ending)
        self.conclude(classify_tls(evidence))
        if tls and self.code is Code.PLAINTEXT_MQTT:  # who forgot TLS wrote its name all the same
            self.connect_facts = connect_facts(tls.opening, self._rules.limits.connect_max_bytes)

    def _receive_connect(self, data: bytes) -> None:
        if self.phase is Stage.CREDENTIALS:
            self.early += data
            return
        if self._connect_decoder is None:
            self._connect_decoder = ConnectDecoder(self._rules.limits.connect_max_bytes)
        try:
            connect = self._connect_decoder.receive(data)
        except ConnectError as error:
            self.connect_facts = error.connect
            self.conclude(classify_connect(error), str(error))
            return
        if connect is None:
            return
        self.connect = connect
        self.early += self._connect_decoder.trailing
        self._connect_decoder = None
        self.phase = Stage.CREDENTIALS

    def _answer(self, packet: bytes) -> None:
        if self.layers is not None:
            self.layers.send(packet)
            self.output += self.layers.take_output()
