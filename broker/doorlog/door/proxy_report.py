"""From a load balancer's header to the part of a record that shows what it told of the device."""

from __future__ import annotations

from doorlog.door.proxy_header import ProxyHeader
from doorlog.events.parts import ProxyPart


def proxy_part(header: ProxyHeader, address: tuple[str, int]) -> ProxyPart:
    """Shape what a header told; its texts are safe to show.

    Args:
        header: The header; version 1, and one that names nobody, tell of no TLS.
        address: Of the load balancer: the peer of the TCP connection.
    """
    ssl = header.ssl
    if ssl is None:
        return ProxyPart(ip=address[0], port=address[1], server_name=header.authority)
    return ProxyPart(
        ip=address[0],
        port=address[1],
        server_name=header.authority,
        tls_version=ssl.version,
        client_name=ssl.common_name,
        client_verified=ssl.verified if ssl.certificate_presented else None,
    )
