"""Who comes to the door in ``doorlog demo``: the devices of a small fleet, strangers, and what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from doorlog.simulation.models import Pin, Refusal

Way = Literal[
    "password",
    "wrong_password",
    "no_password",
    "forbidden_will",
    "mqtt_5",
    "certificate",
    "expired_certificate",
    "retired_certificate",
    "no_certificate",
    "old_version",
    "old_cipher",
    "plain_mqtt",
    "http",
    "junk",
    "half_hello",
    "hang_up",
]
"""What somebody does at the door."""
CERTIFIED: Final = frozenset({"certificate", "expired_certificate", "retired_certificate", "no_certificate"})
"""Ways that lead to the port that asks for a client certificate."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who comes to the door.

    Attributes:
        name: Its client id, where it gets as far as to say one.
        address: Where it comes from.
        way: What it does once the certificate has been rotated.
        code: What comes of that: ``event.code`` of its record.
        why: What is wrong with it, in words.
        before: What it did before the rotation, with success; None for one that was never there.
        profile: Its TLS client.
        pin: What it has pinned of the old chain, if anything.
        refusal: How it turns a chain down.
        knows_us: Whether it has a user name and a password here.
    """

    name: str
    address: str
    way: Way
    code: str
    why: str
    before: Way | None = None
    profile: str = "mbedtls-3"
    pin: Pin | None = None
    refusal: Refusal = "alert"
    knows_us: bool = True

    @property
    def is_admitted(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.code == "admitted"


def _pinned(name: str, address: str, profile: str, pin: Pin, refusal: Refusal, code: str, why: str) -> Visitor:
    return Visitor(name, address, "password", code, why, before="password", profile=profile, pin=pin, refusal=refusal)


_WELL: Final = "trusts the root: it notices nothing"
_ISSUER: Final = "had pinned the old intermediate: it says so with an alert"
_UNKNOWN_CA: Final = "server_certificate_unknown_ca"

CAST: Final = (
    # They trust the root, as they should.
    Visitor("gateway-01", "127.10.1.1", "password", "admitted", _WELL, before="password", profile="openssl-3"),
    Visitor("sensor-02", "127.10.1.2", "password", "admitted", _WELL, before="password"),
    Visitor("lock-03", "127.10.1.3", "certificate", "admitted", _WELL, before="certificate", profile="wolfssl-5"),
    Visitor("thermostat-04", "127.10.1.4", "password", "admitted", _WELL, before="password", profile="rtos-1.3"),
    # They had pinned the old intermediate or the old leaf, and each stack has its own way to say no.
    _pinned("pump-11", "127.10.2.11", "mbedtls-2", "intermediate", "alert", _UNKNOWN_CA, _ISSUER),
    _pinned("pump-12", "127.10.2.12", "mbedtls-2", "intermediate", "alert", _UNKNOWN_CA, _ISSUER),
    _pinned("plug-13", "127.10.2.99", "bearssl", "leaf", "alert", _UNKNOWN_CA,
            "had pinned the old leaf; plug-14 behind the same address looks just like it"),
    _pinned("plug-14", "127.10.2.99", "bearssl", "leaf", "alert", _UNKNOWN_CA,
            "had pinned the old leaf; plug-13 behind the same address looks just like it"),
    _pinned("valve-15", "127.10.2.15", "modem-old", "leaf", "close", "closed_after_server_certificate",
            "had pinned the old leaf: it hangs up without a word"),
    _pinned("meter-16", "127.10.2.16", "wolfssl-4", "intermediate", "reset", "reset_after_server_certificate",
            "had pinned the old intermediate: it resets the connection"),
    _pinned("hub-17", "127.10.2.17", "node-18", "leaf", "late", "closed_before_connect",
            "had pinned the old leaf: it finishes the handshake, looks, and leaves"),
    # Other things went wrong at the same time, as they do.
    Visitor("press-21", "127.10.3.21", "wrong_password", "bad_password", "has an old password", before="password",
            profile="jsse-17"),
    Visitor("lock-22", "127.10.3.22", "expired_certificate", "client_certificate_expired",
            "has a certificate that expired", before="certificate", profile="wolfssl-5"),
    Visitor("lock-23", "127.10.3.23", "retired_certificate", "client_certificate_untrusted",
            "has a certificate of an authority that was retired", before="certificate", profile="wolfssl-5"),
    Visitor("boiler-24", "127.10.3.24", "no_certificate", "client_certificate_missing",
            "lost its certificate with an update", before="certificate", profile="rustls"),
    Visitor("tablet-25", "127.10.3.25", "mqtt_5", "unsupported_protocol_version", "speaks MQTT 5.0 since its update",
            before="password", profile="openssl-3"),
    # They were never there before.
    Visitor("lamp-31", "127.10.4.31", "password", "unknown_user", "nobody made it a user", knows_us=False),
    Visitor("lamp-32", "127.10.4.32", "no_password", "no_credentials", "says no user name", knows_us=False),
    Visitor("sign-33", "127.10.4.33", "forbidden_will", "will_not_authorized",
            "leaves a will on a topic that is not its own"),
    Visitor("recorder-34", "127.10.4.34", "old_version", "no_shared_version", "knows TLS 1.1 at most"),
    Visitor("recorder-35", "127.10.4.35", "old_cipher", "no_shared_cipher", "knows one old cipher suite"),
    Visitor("logger-36", "127.10.4.36", "plain_mqtt", "plaintext_mqtt", "forgot TLS"),
    Visitor("modem-37", "127.10.4.37", "half_hello", "hello_timeout", "loses its network in its ClientHello"),
    Visitor("a browser", "127.10.5.1", "http", "plaintext_http", "looks for a web page"),
    Visitor("a scanner", "127.10.5.2", "junk", "not_tls", "tries a protocol of its own"),
    Visitor("a load balancer", "127.10.5.3", "hang_up", "closed_before_hello", "checks whether the port is open"),
)  # fmt: skip
"""All of them, in the order in which they come."""
