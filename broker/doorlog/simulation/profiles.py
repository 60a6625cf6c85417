"""TLS clients as they differ on the wire: each profile is a ClientHello of its own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NO_TICKET: Final = int(ssl.OP_NO_TICKET)
_NO_ENCRYPT_THEN_MAC: Final = 1 << 19  # SSL_OP_NO_ENCRYPT_THEN_MAC of OpenSSL, which Python has no name for


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What a TLS client offers.

    Attributes:
        name: Of the stack that it stands for.
        ciphers: TLS 1.2 suites, in OpenSSL's notation.
        versions: The oldest and the newest version.
        alpn: Application protocols, none for no extension.
        server_name: Whether it sends SNI (RFC 6066, 3).
        options: OpenSSL's, which drop an extension or another.
    """

    name: str
    ciphers: str
    versions: tuple[Literal["1.2", "1.3"], Literal["1.2", "1.3"]] = ("1.2", "1.3")
    alpn: tuple[str, ...] = ()
    server_name: bool = True
    options: int = 0


_GCM: Final = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
_RSA_GCM: Final = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
_CBC: Final = "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:AES256-SHA256:AES128-SHA"
_CHACHA: Final = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
_CCM: Final = "ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES128-CCM8"

PROFILES: Final = {
    profile.name: profile
    for profile in (
        # Microcontrollers: TLS 1.2, few suites; the newer ones speak 1.3.
        TlsProfile("mbedtls-2", f"{_GCM}:{_RSA_GCM}:{_CCM}:{_CBC}", ("1.2", "1.2"), options=_NO_TICKET),
        TlsProfile("mbedtls-3", f"{_GCM}:{_RSA_GCM}:{_CHACHA}:{_CCM}", ("1.2", "1.3"), options=_NO_TICKET),
        TlsProfile("bearssl", f"{_CHACHA}:{_GCM}:{_RSA_GCM}:{_CBC}", ("1.2", "1.2"), options=_NO_TICKET),
        TlsProfile("wolfssl-4", f"{_GCM}:{_CCM}", ("1.2", "1.2"), server_name=False, options=_NO_TICKET),
        TlsProfile("wolfssl-5", f"{_GCM}:{_CHACHA}", ("1.2", "1.3"), options=_NO_ENCRYPT_THEN_MAC),
        TlsProfile("modem-old", f"{_RSA_GCM}:{_GCM}:AES128-SHA", ("1.2", "1.2"), server_name=False),
        TlsProfile("modem-new", f"{_GCM}:{_RSA_GCM}:AES128-SHA", ("1.2", "1.2"), options=_NO_ENCRYPT_THEN_MAC),
        TlsProfile("rtos-1.3", _GCM, ("1.3", "1.3"), options=_NO_TICKET),
        # Linux gateways and servers: what OpenSSL, Java, Go and Node offer, in several ages.
        TlsProfile("openssl-1.1", "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AESGCM:RSA+AES"),
        TlsProfile("openssl-3", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES"),
        TlsProfile("openssl-3-mqtt", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES", alpn=("mqtt",)),
        TlsProfile("jsse-8", f"{_GCM}:{_RSA_GCM}:{_CBC}:DHE-RSA-AES256-GCM-SHA384", ("1.2", "1.2")),
        TlsProfile("jsse-17", f"{_GCM}:{_RSA_GCM}:{_CHACHA}:DHE-RSA-AES256-GCM-SHA384"),
        TlsProfile("go", f"{_GCM}:{_RSA_GCM}:{_CHACHA}:ECDHE-RSA-AES128-SHA:AES128-SHA", alpn=("x-amzn-mqtt-ca",)),
        TlsProfile("node-18", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AES", ("1.2", "1.2")),
        TlsProfile("rustls", f"{_GCM}:{_RSA_GCM}:{_CHACHA}", options=_NO_ENCRYPT_THEN_MAC),
        # Not devices: a scanner, and what a technician has on a laptop.
        TlsProfile("scanner", "ALL:@SECLEVEL=1", server_name=False),
        TlsProfile("laptop", "DEFAULT"),
    )
}
"""All of them, by name."""


def client_context(
    profile: TlsProfile, trusted: Path | None, certificate: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """Make the client.

    Args:
        profile: What it offers.
        trusted: PEM file with what it trusts: a root, or an intermediate or leaf that it has pinned; None to take
            whatever it is served.
        certificate: Its own certificate chain and key, as PEM files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version, context.maximum_version = (_VERSIONS[version] for version in profile.versions)
    context.set_ciphers(profile.ciphers)
    context.options |= profile.options
    if profile.alpn:
        context.set_alpn_protocols(list(profile.alpn))
    context.check_hostname = profile.server_name and trusted is not None
    if trusted is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trusted)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is pinned need not be a root
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
