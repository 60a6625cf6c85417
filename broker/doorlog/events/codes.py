"""The closed lists: what happened, how it ended, where it stopped and why (the record's enumerations)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """``event.action``: what the record is about."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    AUTHORIZE = "authorize"
    CERTIFICATE_SERVED = "certificate_served"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    AUDIT_STARTED = "audit_started"
    AUDIT_STOPPED = "audit_stopped"
    AUDIT_GAP = "audit_gap"
    AUDIT_CHECKPOINT = "audit_checkpoint"
    FLOOD = "flood"
    DEVICE_CONFIRMED = "device_confirmed"


class Outcome(StrEnum):
    """``event.outcome`` with ECS's three allowed values."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """``doorlog.stage``: how far an attempt got, in the order in which an attempt passes through."""

    ACCEPT = "accept"
    PROXY = "proxy"
    HELLO = "hello"
    HANDSHAKE = "handshake"
    CONNECT = "connect"
    CREDENTIALS = "credentials"
    SESSION = "session"


class Code(StrEnum):
    """``event.code`` of a ``connect`` record: why an attempt failed, or ``admitted``."""

    ADMITTED = "admitted"
    # accept
    TOO_MANY_CONNECTIONS = "too_many_connections"
    SOURCE_BLOCKED = "source_blocked"
    # proxy
    PROXY_HEADER_MISSING = "proxy_header_missing"
    PROXY_HEADER_INVALID = "proxy_header_invalid"
    PROXY_UNTRUSTED_SOURCE = "proxy_untrusted_source"
    # hello
    CLOSED_BEFORE_HELLO = "closed_before_hello"
    HELLO_TIMEOUT = "hello_timeout"
    PLAINTEXT_MQTT = "plaintext_mqtt"
    PLAINTEXT_HTTP = "plaintext_http"
    NOT_TLS = "not_tls"
    MALFORMED_HELLO = "malformed_hello"
    # handshake: the device refuses us
    SERVER_CERTIFICATE_UNKNOWN_CA = "server_certificate_unknown_ca"
    SERVER_CERTIFICATE_EXPIRED = "server_certificate_expired"
    SERVER_CERTIFICATE_BAD = "server_certificate_bad"
    SERVER_CERTIFICATE_REVOKED = "server_certificate_revoked"
    SERVER_CERTIFICATE_UNSUPPORTED = "server_certificate_unsupported"
    SERVER_CERTIFICATE_UNKNOWN = "server_certificate_unknown"
    CLOSED_AFTER_SERVER_CERTIFICATE = "closed_after_server_certificate"
    RESET_AFTER_SERVER_CERTIFICATE = "reset_after_server_certificate"
    TIMEOUT_AFTER_SERVER_CERTIFICATE = "timeout_after_server_certificate"
    CLIENT_ALERT = "client_alert"
    # handshake: we refuse the device
    CLIENT_CERTIFICATE_MISSING = "client_certificate_missing"
    CLIENT_CERTIFICATE_EXPIRED = "client_certificate_expired"
    CLIENT_CERTIFICATE_NOT_YET_VALID = "client_certificate_not_yet_valid"
    CLIENT_CERTIFICATE_UNTRUSTED = "client_certificate_untrusted"
    CLIENT_CERTIFICATE_REVOKED = "client_certificate_revoked"
    CLIENT_CERTIFICATE_INVALID = "client_certificate_invalid"
    # handshake: no agreement
    NO_SHARED_VERSION = "no_shared_version"
    NO_SHARED_CIPHER = "no_shared_cipher"
    NO_SHARED_GROUP = "no_shared_group"
    NO_SHARED_SIGNATURE_ALGORITHM = "no_shared_signature_algorithm"
    ALPN_MISMATCH = "alpn_mismatch"
    HANDSHAKE_FAILED = "handshake_failed"
    # connect
    CLOSED_BEFORE_CONNECT = "closed_before_connect"
    CONNECT_TIMEOUT = "connect_timeout"
    NOT_MQTT = "not_mqtt"
    MALFORMED_CONNECT = "malformed_connect"
    CONNECT_TOO_LARGE = "connect_too_large"
    UNSUPPORTED_PROTOCOL_VERSION = "unsupported_protocol_version"
    CLIENT_ID_REJECTED = "client_id_rejected"
    WEBSOCKET_REJECTED = "websocket_rejected"
    # credentials
    BAD_PASSWORD = "bad_password"  # noqa: S105 - the name of a reason, not a password
    UNKNOWN_USER = "unknown_user"
    NO_CREDENTIALS = "no_credentials"
    NOT_AUTHORIZED = "not_authorized"
    CLIENT_ID_TAKEN = "client_id_taken"
    WILL_NOT_AUTHORIZED = "will_not_authorized"
    AUTH_BACKEND_ERROR = "auth_backend_error"
    AUTH_TIMEOUT = "auth_timeout"
    THROTTLED = "throttled"
    LOG_UNAVAILABLE = "log_unavailable"
    # any stage: the broker itself ended the attempt
    SERVER_SHUTDOWN = "server_shutdown"
    INTERNAL_ERROR = "internal_error"


class DisconnectCause(StrEnum):
    """``event.code`` of a ``disconnect`` record: how an admitted session's connection ended."""

    NORMAL = "normal"  # the device sent DISCONNECT
    CLOSED = "closed"  # FIN without DISCONNECT
    RESET = "reset"  # RST
    KEEP_ALIVE_TIMEOUT = "keep_alive_timeout"  # 1.5 x keep-alive of silence (MQTT 3.1.1, 3.1.2-24)
    TAKEN_OVER = "taken_over"  # the same client id connected again (3.1.4-2)
    PROTOCOL_ERROR = "protocol_error"
    PACKET_TOO_LARGE = "packet_too_large"
    TLS_ERROR = "tls_error"
    CLOSED_BY_BROKER = "closed_by_broker"
    LOG_UNAVAILABLE = "log_unavailable"  # strict: the record of its admission could not be written
    SERVER_SHUTDOWN = "server_shutdown"


class GapCause(StrEnum):
    """``event.code`` of an ``audit_gap`` record: why records are missing, or may be."""

    OVERFLOW = "overflow"  # more events than the memory for them holds
    WRITE_FAILED = "write_failed"  # the file could not be written for a while
    INTERRUPTED = "interrupted"  # the broker before ended without closing the log
    TRUNCATED = "truncated"  # another program cut or removed the file while we wrote it


_FIRST_CODE_OF_STAGE = {
    Stage.ACCEPT: Code.TOO_MANY_CONNECTIONS,
    Stage.PROXY: Code.PROXY_HEADER_MISSING,
    Stage.HELLO: Code.CLOSED_BEFORE_HELLO,
    Stage.HANDSHAKE: Code.SERVER_CERTIFICATE_UNKNOWN_CA,
    Stage.CONNECT: Code.CLOSED_BEFORE_CONNECT,
    Stage.CREDENTIALS: Code.BAD_PASSWORD,
}


def _stages() -> dict[Code, Stage]:
    first_codes = {code: stage for stage, code in _FIRST_CODE_OF_STAGE.items()}
    stages, stage = {Code.ADMITTED: Stage.SESSION}, Stage.ACCEPT
    for code in Code:
        if code in (Code.ADMITTED, Code.SERVER_SHUTDOWN, Code.INTERNAL_ERROR):
            continue
        stage = first_codes.get(code, stage)
        stages[code] = stage
    return stages


STAGE_OF: dict[Code, Stage] = _stages()
"""Where an attempt with this code stopped; ``server_shutdown`` and ``internal_error`` can happen at any stage."""

LOOKS_LATE = frozenset({Code.CLOSED_BEFORE_CONNECT, Code.CLIENT_ALERT})
"""How a device may go that looks at our certificate only once the handshake is over."""


def refuses_our_certificate(code: str | None) -> bool:
    """Whether the device said that it does not accept our certificate."""
    return (code or "").startswith("server_certificate_")


def leaves_at_our_certificate(code: str | None) -> bool:
    """Whether the device left at the sight of our certificate, without a word."""
    return (code or "").endswith("_after_server_certificate")


def lacks_good_certificate(code: str | None) -> bool:
    """Whether it was we who did not accept the device's certificate, or there was none."""
    return (code or "").startswith("client_certificate_")


NEVER_ADMITTED: Final = "no device of this name was ever admitted"
NEVER_HERE: Final = "this device was never admitted from this address"
"""Evidence that speaks against a name which a refused CONNECT wrote."""
