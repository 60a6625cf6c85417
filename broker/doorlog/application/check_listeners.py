"""What looks wrong with the ports of a configuration: addresses, certificates, keys, authorities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from ipaddress import ip_address
from itertools import combinations

from doorlog.certificates import Finding as CertificateFinding
from doorlog.certificates import Severity
from doorlog.certificates.chain import inspect_chain, inspect_client_ca
from doorlog.certificates.revocation import inspect_crl
from doorlog.door.tls_context import load_served_chain
from doorlog.errors import DoorlogError
from doorlog.settings.models import ListenerSettings, TlsSettings

Found = tuple[Severity, str, str]
"""Severity, place and sentence."""
_LOCALHOST = ("127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


def check_listeners(listeners: Mapping[str, ListenerSettings], now: datetime) -> Iterator[Found]:
    """Look at each port, and for two that want the same address.

    Args:
        listeners: By name.
        now: The time against which certificates are judged; aware.

    Returns:
        Severity, place and sentence of each finding.
    """
    for name, listener in listeners.items():
        place = f"listeners.{name}"
        if listener.tls is not None:
            yield from _check_tls(f"{place}.tls", listener.tls, now)
        elif not listener.is_loopback and listener.proxy_protocol == "refused":
            remedy = "add tls, or bind to 127.0.0.1"
            yield "warning", place, f"passwords travel unencrypted to a port that other machines can reach: {remedy}"
    for (one, first), (other, second) in combinations(listeners.items(), 2):
        if _collide(first, second):
            yield "error", f"listeners.{other}.bind", f"{second.bind} is taken by listeners.{one}: choose another port"


def _check_tls(place: str, tls: TlsSettings, now: datetime) -> Iterator[Found]:
    found = list(_inspected(place, tls, now))
    yield from found
    if not any(severity == "error" for severity, _place, _sentence in found):
        try:
            load_served_chain(tls)
        except DoorlogError as error:
            yield "error", place, str(error)


def _inspected(place: str, tls: TlsSettings, now: datetime) -> Iterator[Found]:
    # tls.cafile is not for inspect_chain: it signs the devices, and says nothing about whom they trust.
    for finding in inspect_chain(tls.certfile, tls.keyfile, now=now).findings:
        key = "keyfile" if finding.sentence.startswith(f"{tls.keyfile} ") else "certfile"
        yield finding.severity, f"{place}.{key}", finding.sentence
    if tls.cafile is None:
        return
    yield from _at(f"{place}.cafile", inspect_client_ca(tls.cafile, now=now))
    if tls.client_certificate == "none":
        yield "info", f"{place}.cafile", "has no effect without client_certificate: optional or required"
    if tls.crlfile is not None:
        yield from _at(f"{place}.crlfile", inspect_crl(tls.crlfile, tls.cafile, now=now))


def _at(place: str, findings: Iterable[CertificateFinding]) -> Iterator[Found]:
    for finding in findings:
        yield finding.severity, place, finding.sentence


def _collide(one: ListenerSettings, other: ListenerSettings) -> bool:
    (host, port), (other_host, other_port) = one.address, other.address
    if port != other_port or port == 0:
        return False
    return any(
        address == other_address or _covers(address, other_address) or _covers(other_address, address)
        for address in _addresses(host)
        for other_address in _addresses(other_host)
    )


def _addresses(host: str) -> tuple[str, ...]:
    if host == "":
        return _EVERYWHERE
    if host == "localhost":
        return _LOCALHOST
    try:
        return (str(ip_address(host)),)
    except ValueError:
        return (host,)


def _covers(everywhere: str, address: str) -> bool:
    return everywhere in _EVERYWHERE and (":" in everywhere) == (":" in address)
