"""What authentication plugins tell the door beyond yes and no, through the attributes of amqtt's session."""

from __future__ import annotations

import ssl
import warnings
from contextlib import suppress
from typing import Any, Literal

from amqtt.session import Session
from cryptography import x509

from doorlog.events.codes import Code

REFUSAL = "doorlog.refusal"
"""Session attribute: the ``Code`` by which a plugin that denies says why (see ``REFUSALS``)."""
REASON = "doorlog.refusal.reason"
"""Session attribute: the cause of a deny in plain words, without anything that the device sent."""
METHOD = "doorlog.auth.method"
"""Session attribute: how the device proved who it is, such as ``password`` or ``certificate``."""
PRINCIPAL = "doorlog.principal"
"""Session attribute: whom a plugin has vouched for; None once all were asked and nobody has."""

REFUSALS = frozenset({Code.BAD_PASSWORD, Code.UNKNOWN_USER, Code.NO_CREDENTIALS, Code.NOT_AUTHORIZED, Code.THROTTLED})
"""The codes by which a plugin may refine its deny."""


def vouch(session: Session, principal: str, method: str) -> None:
    """Let a plugin that allows say for whom (what stood there before is replaced)."""
    session.attributes[PRINCIPAL] = principal
    session.attributes[METHOD] = method


def withdraw(session: Session, method: str) -> None:
    """Take back what ``vouch`` said by this method, on an earlier connection of the same session."""
    if session.attributes.get(METHOD) == method:
        session.attributes.pop(METHOD)
        session.attributes.pop(PRINCIPAL, None)


def refuse(session: Session, code: Code, reason: str | None = None) -> Literal[False]:
    """Let a plugin that denies say why; it returns what this returns.

    Args:
        session: The session that the plugin was asked about.
        code: One of ``REFUSALS``.
        reason: What the code alone does not tell, in plain words, without anything that the device sent.
    """
    session.attributes[REFUSAL] = code
    if reason is not None:
        session.attributes[REASON] = reason
    return False


def verified_certificate(session: Session) -> dict[str, Any] | None:
    """Give the client certificate that the TLS layer verified, as ``ssl.SSLObject.getpeercert`` shapes it.

    Returns:
        None without TLS, without a client certificate, with one that can not be read, or where TLS did
        not ask for one and so verified none.
    """
    if session.ssl_object is None:
        return None
    with suppress(ValueError, ssl.SSLError):  # the handshake is not done, or a name is not in its encoding
        return session.ssl_object.getpeercert() or None
    return None


def certificate_subject(session: Session) -> str | None:
    """Give the subject of the verified client certificate whole and unaltered, for it names somebody (RFC 4514).

    Returns:
        None without a verified certificate, or if its subject is empty or not printable.
    """
    if session.ssl_object is None or verified_certificate(session) is None:
        return None
    der = session.ssl_object.getpeercert(binary_form=True) or b""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a country of three letters is nothing to tell standard error
        try:
            subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
        except Exception:  # noqa: BLE001 - OpenSSL admits what this library refuses, with no closed list of errors
            return None
    return subject if subject and subject.isprintable() else None
