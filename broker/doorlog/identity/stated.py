"""Which device was that? What a record says of itself: its CONNECT, or the certificate that was shown.

Only what the connection itself proved or showed is used here.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from doorlog.events.changes import changed
from doorlog.events.codes import Action, Code
from doorlog.events.parts import UNKNOWN_DEVICE, DeviceEvidencePart, DevicePart
from doorlog.events.records import Connection, Event

IdSource = Literal["client_id", "user_name", "certificate_common_name", "certificate_alternative_name"]

# Refusals behind which the issuer's signature was verified. Not so a revocation, which OpenSSL looks up before it
# verifies any signature: whoever knows a revoked serial number can write any name beside it.
_ISSUER_VERIFIED = frozenset({Code.CLIENT_CERTIFICATE_EXPIRED, Code.CLIENT_CERTIFICATE_NOT_YET_VALID})
_ISSUER_REFUSED = frozenset({Code.CLIENT_CERTIFICATE_UNTRUSTED, Code.CLIENT_CERTIFICATE_INVALID})
_CERTIFICATE_REFUSED = _ISSUER_VERIFIED | _ISSUER_REFUSED | {Code.CLIENT_CERTIFICATE_REVOKED}


class Statement(NamedTuple):
    """Who an event says that it is about, and what that is worth."""

    device: str
    evidence: DeviceEvidencePart


def stated(event: Connection, id_source: IdSource = "client_id") -> Statement | None:
    """Return the device that an event names itself; None where it names none.

    Args:
        event: Any event about a connection.
        id_source: Where the operator takes a device's id from.
    """
    return _named_by_setting(event, id_source) or _named_by_certificate(event) or _named_by_proxy(event)


def identify(event: Event, id_source: IdSource = "client_id") -> Event:
    """Name the device of an event, as far as the event itself can.

    Args:
        event: Any event; only those about a connection are given a device.
        id_source: Where the operator takes a device's id from.

    Returns:
        The event with ``device.id`` (if certain or likely) and ``doorlog.device``.
    """
    return named(event, stated(event, id_source)) if isinstance(event, Connection) else event


def named(event: Connection, found: Statement | None) -> Connection:
    """Return an event that says which device it is about, or that this is not known."""
    if found is None:
        if event.device is None and event.doorlog.device is UNKNOWN_DEVICE:
            return event
        return changed(event, device=None, doorlog=changed(event.doorlog, device=UNKNOWN_DEVICE))
    device_id, evidence = found
    return changed(event, device=DevicePart(id=device_id), doorlog=changed(event.doorlog, device=evidence))


@cache
def _evidence(method: str, confidence: Literal["certain", "likely"], sentence: str) -> DeviceEvidencePart:
    """Say why: there are a dozen ways, and none depends on what a peer wrote."""
    return DeviceEvidencePart(method=method, confidence=confidence, evidence=(sentence,))


def _named_by_setting(event: Connection, id_source: IdSource) -> Statement | None:
    if id_source.startswith("certificate"):
        return _named_by_certificate(event, alternative_name=id_source == "certificate_alternative_name")
    client_id = event.mqtt.client_id if event.mqtt else None
    user_name = event.user.name if event.user else None
    name = client_id if id_source == "client_id" else user_name
    if not name:
        return None
    what = "client id" if id_source == "client_id" else "user name"
    if _is_of_a_session(event):
        return Statement(name, _evidence(id_source, "certain", f"admitted with this {what}"))
    # Anybody can write any client id into a CONNECT that is refused.
    return Statement(name, _evidence(id_source, "likely", f"CONNECT named this {what}, but was refused"))


def _is_of_a_session(event: Connection) -> bool:
    """Whether what CONNECT said has been admitted; a flood is about failures, of which each could be one or not."""
    flood = event.doorlog.flood
    action = flood.action if flood is not None else event.event.action
    return action != Action.CONNECT or event.event.code == Code.ADMITTED


def _named_by_certificate(event: Connection, *, alternative_name: bool = False) -> Statement | None:
    tls = event.tls
    x509 = tls.client.x509 if tls and tls.client else None
    names = x509 and (x509.alternative_names if alternative_name else x509.subject.common_name)
    if tls is None or not names:
        return None
    verified = tls.established or event.event.code in _ISSUER_VERIFIED
    what = _what_was_shown(event.event.code, verified=verified)
    return Statement(names[0], _evidence("certificate", "certain" if verified else "likely", what))


def _named_by_proxy(event: Connection) -> Statement | None:
    """Take the word of a load balancer that ended TLS: PROXY headers are believed from configured networks only."""
    proxy = event.doorlog.proxy
    if proxy is None or not proxy.client_name:
        return None
    if proxy.client_verified:
        what = "the load balancer verified a certificate with this name"
        return Statement(proxy.client_name, _evidence("proxy_certificate", "certain", what))
    what = "the load balancer was shown a certificate with this name, and did not verify it"
    return Statement(proxy.client_name, _evidence("proxy_certificate", "likely", what))


def _what_was_shown(code: str | None, *, verified: bool) -> str:
    if verified:
        return "showed its certificate, which was refused" if code in _CERTIFICATE_REFUSED else "showed its certificate"
    if code in _ISSUER_REFUSED:
        return "showed a certificate with this name that does not come from a trusted authority"
    if code == Code.CLIENT_CERTIFICATE_REVOKED:
        return "showed a certificate with this name and a revoked serial number"
    return "showed a certificate with this name, and left before it could be verified"
