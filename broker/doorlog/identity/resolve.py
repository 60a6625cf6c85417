"""Which device was that? What a record says of itself: its CONNECT, or the certificate that was shown.

Only what the connection itself proved or showed is used here; learning from earlier connections fits behind the
same function.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

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


def identify(event: Event, id_source: IdSource = "client_id", reason: str | None = None) -> Event:
    """Name the device of an event, as far as the event itself can.

    Args:
        event: Any event; only those about a connection are given a device.
        id_source: Where the operator takes a device's id from.
        reason: Becomes ``event.reason``, unless it is None: the event is copied once for both.

    Returns:
        The event with ``device.id`` (if certain or likely) and ``doorlog.device``.
    """
    changes: dict[str, Any] = {} if reason is None else {"event": changed(event.event, reason=reason)}
    if isinstance(event, Connection):
        changes |= _device(event, id_source)
    return changed(event, **changes) if changes else event


def _device(event: Connection, id_source: IdSource) -> dict[str, Any]:
    """Return what changes when the device is named, or when it has to be said that it is not known."""
    found = _named_by_setting(event, id_source) or _named_by_certificate(event)
    if found is None:
        if event.device is None and event.doorlog.device is UNKNOWN_DEVICE:
            return {}
        return {"device": None, "doorlog": changed(event.doorlog, device=UNKNOWN_DEVICE)}
    device_id, evidence = found
    return {"device": DevicePart(id=device_id), "doorlog": changed(event.doorlog, device=evidence)}


@cache
def _evidence(method: str, confidence: Literal["certain", "likely"], sentence: str) -> DeviceEvidencePart:
    """Say why: there are a dozen ways, and none depends on what a peer wrote."""
    return DeviceEvidencePart(method=method, confidence=confidence, evidence=(sentence,))


def _named_by_setting(event: Connection, id_source: IdSource) -> tuple[str, DeviceEvidencePart] | None:
    if id_source.startswith("certificate"):
        return _named_by_certificate(event, alternative_name=id_source == "certificate_alternative_name")
    client_id = event.mqtt.client_id if event.mqtt else None
    user_name = event.user.name if event.user else None
    name = client_id if id_source == "client_id" else user_name
    if not name:
        return None
    what = "client id" if id_source == "client_id" else "user name"
    if event.event.action is not Action.CONNECT or event.event.code == Code.ADMITTED:
        return name, _evidence(id_source, "certain", f"admitted with this {what}")
    # Anybody can write any client id into a CONNECT that is refused.
    return name, _evidence(id_source, "likely", f"CONNECT named this {what}, but was refused")


def _named_by_certificate(
    event: Connection, *, alternative_name: bool = False
) -> tuple[str, DeviceEvidencePart] | None:
    tls = event.tls
    x509 = tls.client.x509 if tls and tls.client else None
    names = x509 and (x509.alternative_names if alternative_name else x509.subject.common_name)
    if tls is None or not names:
        return None
    verified = tls.established or event.event.code in _ISSUER_VERIFIED
    what = _what_was_shown(event.event.code, verified=verified)
    return names[0], _evidence("certificate", "certain" if verified else "likely", what)


def _what_was_shown(code: str | None, *, verified: bool) -> str:
    if verified:
        return "showed its certificate, which was refused" if code in _CERTIFICATE_REFUSED else "showed its certificate"
    if code in _ISSUER_REFUSED:
        return "showed a certificate with this name that does not come from a trusted authority"
    if code == Code.CLIENT_CERTIFICATE_REVOKED:
        return "showed a certificate with this name and a revoked serial number"
    return "showed a certificate with this name, and left before it could be verified"
