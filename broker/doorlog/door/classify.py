"""From the evidence of an attempt that came to nothing to the code that says why: tables, no I/O.

Reasons are OpenSSL's mnemonics (``SSLError.reason``) and X.509 verification results (``verify_code``), never
texts. Alerts are those of RFC 8446, 6, with their direction: received means that the device refused us.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from doorlog.door.client_hello import ClientHello
from doorlog.errors import (
    ClientIdRejected,
    ConnectError,
    ConnectTooLarge,
    MalformedConnect,
    NotMqtt,
    UnsupportedProtocolVersion,
)
from doorlog.events.codes import Code


class Ending(Enum):
    """How a connection ended that reached no verdict of its own."""

    FIN = "fin"
    RESET = "reset"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class TlsEvidence:
    """What is known of a TLS connection when it ends.

    Attributes:
        first_bytes: The first bytes (up to 16) that the peer sent.
        not_tls: Whether they are no TLS record.
        hello: The ClientHello, if it was complete and well formed.
        hello_malformed: Whether it was complete and broken.
        server_hello_sent: Whether we answered with a ServerHello (no HelloRetryRequest).
        certificate_sent: Whether our certificate went out.
        received_alert: The alert with which the device refused us.
        error_reason: OpenSSL's mnemonic for our own refusal.
        verify_code: The X.509 verification result behind it.
        alpn_mismatch: Whether no application protocol was shared.
        ending: How the peer went away, None if we ended it.
        server_key: The type of our key, ``ECDSA`` or ``RSA``.
    """

    first_bytes: bytes = b""
    not_tls: bool = False
    hello: ClientHello | None = None
    hello_malformed: bool = False
    server_hello_sent: bool = False
    certificate_sent: bool = False
    received_alert: int | None = None
    error_reason: str | None = None
    verify_code: int | None = None
    alpn_mismatch: bool = False
    ending: Ending | None = None
    server_key: str = "ECDSA"


_HTTP = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT|PRI) ")
_MQTT_CONNECT = re.compile(rb"\x10[\x80-\xff]{0,3}[\x00-\x7f](?:\x00\x04MQTT|\x00\x06MQIsdp)")
_CUT_SHORT = re.compile(rb"\x10.{0,11}|[A-Z]{1,7}", re.DOTALL)  # may still become one of these two

_CODE_OF_ALERT = {
    42: Code.SERVER_CERTIFICATE_BAD,
    43: Code.SERVER_CERTIFICATE_UNSUPPORTED,
    44: Code.SERVER_CERTIFICATE_REVOKED,
    45: Code.SERVER_CERTIFICATE_EXPIRED,
    46: Code.SERVER_CERTIFICATE_UNKNOWN,
    48: Code.SERVER_CERTIFICATE_UNKNOWN_CA,
}
_CLOSE_NOTIFY = 0

_CODE_OF_VERIFICATION = {
    2: Code.CLIENT_CERTIFICATE_UNTRUSTED,  # issuer's certificate not found
    9: Code.CLIENT_CERTIFICATE_NOT_YET_VALID,
    10: Code.CLIENT_CERTIFICATE_EXPIRED,
    18: Code.CLIENT_CERTIFICATE_UNTRUSTED,  # self-signed
    19: Code.CLIENT_CERTIFICATE_UNTRUSTED,  # self-signed in its chain
    20: Code.CLIENT_CERTIFICATE_UNTRUSTED,  # issuer not known here
    21: Code.CLIENT_CERTIFICATE_UNTRUSTED,  # first certificate can not be verified
    23: Code.CLIENT_CERTIFICATE_REVOKED,
}

_CODE_OF_REASON = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Code.CLIENT_CERTIFICATE_MISSING,
    "CERTIFICATE_VERIFY_FAILED": Code.CLIENT_CERTIFICATE_INVALID,
    "BAD_SIGNATURE": Code.CLIENT_CERTIFICATE_INVALID,
    "EE_KEY_TOO_SMALL": Code.CLIENT_CERTIFICATE_INVALID,
    "CA_KEY_TOO_SMALL": Code.CLIENT_CERTIFICATE_INVALID,
    "CA_MD_TOO_WEAK": Code.CLIENT_CERTIFICATE_INVALID,
    "UNSUPPORTED_PROTOCOL": Code.NO_SHARED_VERSION,
    "VERSION_TOO_LOW": Code.NO_SHARED_VERSION,
    "NO_PROTOCOLS_AVAILABLE": Code.NO_SHARED_VERSION,
    "UNKNOWN_PROTOCOL": Code.NO_SHARED_VERSION,
    "WRONG_SSL_VERSION": Code.NO_SHARED_VERSION,
    "INAPPROPRIATE_FALLBACK": Code.NO_SHARED_VERSION,
    "NO_SHARED_CIPHER": Code.NO_SHARED_CIPHER,
    "NO_CIPHERS_PASSED": Code.NO_SHARED_CIPHER,
    "NO_CIPHERS_SPECIFIED": Code.NO_SHARED_CIPHER,
    "NO_SUITABLE_KEY_SHARE": Code.NO_SHARED_GROUP,
    "NO_SUITABLE_GROUPS": Code.NO_SHARED_GROUP,
    "NO_SHARED_GROUPS": Code.NO_SHARED_GROUP,
    "UNSUPPORTED_ELLIPTIC_CURVE": Code.NO_SHARED_GROUP,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Code.NO_SHARED_SIGNATURE_ALGORITHM,
    "NO_SHARED_SIGNATURE_ALGORITHMS": Code.NO_SHARED_SIGNATURE_ALGORITHM,
    "MISSING_SIGALGS_EXTENSION": Code.NO_SHARED_SIGNATURE_ALGORITHM,
    "WRONG_VERSION_NUMBER": Code.NOT_TLS,
    "HTTP_REQUEST": Code.PLAINTEXT_HTTP,
}

# What a TLS 1.2 ClientHello must share with us beyond cipher suites; OpenSSL says NO_SHARED_CIPHER for all three.
_OUR_GROUPS = frozenset({23, 24, 25, 29, 30})  # secp256r1, secp384r1, secp521r1, x25519, x448
_SIGNATURES_OF_KEY = {
    "ECDSA": frozenset({0x0203, 0x0403, 0x0503, 0x0603}),
    "RSA": frozenset({0x0201, 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806}),
}
_ENDINGS_AFTER_CERTIFICATE = {
    Ending.FIN: Code.CLOSED_AFTER_SERVER_CERTIFICATE,
    Ending.RESET: Code.RESET_AFTER_SERVER_CERTIFICATE,
    Ending.TIMEOUT: Code.TIMEOUT_AFTER_SERVER_CERTIFICATE,
}
_CODE_OF_CONNECT_ERROR: dict[type[ConnectError], Code] = {
    NotMqtt: Code.NOT_MQTT,
    MalformedConnect: Code.MALFORMED_CONNECT,
    ConnectTooLarge: Code.CONNECT_TOO_LARGE,
    UnsupportedProtocolVersion: Code.UNSUPPORTED_PROTOCOL_VERSION,
    ClientIdRejected: Code.CLIENT_ID_REJECTED,
}


def classify_tls(evidence: TlsEvidence) -> Code:
    """Say why a TLS connection came to nothing.

    Args:
        evidence: What is known when it ends.

    Returns:
        A code of the hello or handshake stage.
    """
    for rule in _RULES:
        code = rule(evidence)
        if code is not None:
            return code
    return Code.HANDSHAKE_FAILED


def classify_connect(error: ConnectError) -> Code:
    """Say why a first packet can not be served."""
    return _CODE_OF_CONNECT_ERROR[type(error)]


def classify_plaintext(first_bytes: bytes) -> Code:
    """Say what a peer speaks that does not speak TLS on a TLS port."""
    if _MQTT_CONNECT.match(first_bytes):
        return Code.PLAINTEXT_MQTT
    if _HTTP.match(first_bytes):
        return Code.PLAINTEXT_HTTP
    return Code.NOT_TLS


def is_cut_short(first_bytes: bytes) -> bool:
    """Whether the next bytes may tell what is spoken: some devices send the first byte of a CONNECT on its own."""
    return _CUT_SHORT.fullmatch(first_bytes) is not None and classify_plaintext(first_bytes) is Code.NOT_TLS


def _speaks_no_tls(evidence: TlsEvidence) -> Code | None:
    return classify_plaintext(evidence.first_bytes) if evidence.not_tls else None


def _no_hello(evidence: TlsEvidence) -> Code | None:
    if evidence.hello is not None or evidence.hello_malformed or evidence.received_alert is not None:
        return None
    if evidence.ending is Ending.TIMEOUT:
        return Code.HELLO_TIMEOUT
    return Code.CLOSED_BEFORE_HELLO if evidence.ending else None


def _device_refuses_us(evidence: TlsEvidence) -> Code | None:
    alert = evidence.received_alert
    if alert is None:
        return None
    if alert == _CLOSE_NOTIFY and evidence.certificate_sent:
        return Code.CLOSED_AFTER_SERVER_CERTIFICATE
    return _CODE_OF_ALERT.get(alert, Code.CLIENT_ALERT) if evidence.certificate_sent else Code.CLIENT_ALERT


def _we_refuse_the_device(evidence: TlsEvidence) -> Code | None:
    if evidence.alpn_mismatch:
        return Code.ALPN_MISMATCH
    if evidence.verify_code:
        return _CODE_OF_VERIFICATION.get(evidence.verify_code, Code.CLIENT_CERTIFICATE_INVALID)
    code = _CODE_OF_REASON.get(evidence.error_reason or "")
    return _missing_part(evidence.hello, evidence.server_key) if code is Code.NO_SHARED_CIPHER else code


def _missing_part(hello: ClientHello | None, server_key: str) -> Code:
    if hello is None:
        return Code.NO_SHARED_CIPHER
    if hello.groups and not _OUR_GROUPS & set(hello.groups):
        return Code.NO_SHARED_GROUP
    usable = _SIGNATURES_OF_KEY.get(server_key)
    if usable and hello.signature_algorithms and not usable & set(hello.signature_algorithms):
        return Code.NO_SHARED_SIGNATURE_ALGORITHM
    return Code.NO_SHARED_CIPHER


def _hello_is_broken(evidence: TlsEvidence) -> Code | None:
    broken = evidence.hello_malformed or (evidence.error_reason is not None and not evidence.server_hello_sent)
    return Code.MALFORMED_HELLO if broken else None


def _went_away(evidence: TlsEvidence) -> Code | None:
    if evidence.ending is None or not evidence.certificate_sent:
        return None
    return _ENDINGS_AFTER_CERTIFICATE[evidence.ending]


_RULES: tuple[Callable[[TlsEvidence], Code | None], ...] = (
    _speaks_no_tls,
    _no_hello,
    _device_refuses_us,
    _we_refuse_the_device,
    _hello_is_broken,
    _went_away,
)
