"""What a sentence says of TLS: alerts with their direction, what was offered, and the certificates of both sides.

An alert that our side wrote is never put into the device's mouth: ``alert`` is empty for it, ``sent`` for the other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from doorlog.events.parts import X509Part
from doorlog.events.phrases import Phrase, address, findings, listener
from doorlog.events.records import Connection
from doorlog.events.words import bare, day, is_past, name_of, quoted, some, subject_of, tls_name

_INTERNAL_ERROR: Final = 80  # what mosquitto_pub sends for a host name that does not match
_MOST_VERSIONS: Final = 6
_REMEMBERED: Final = 256


def _ours(event: Connection) -> X509Part | None:
    return event.tls.server.x509 if event.tls and event.tls.server else None


def _theirs(event: Connection) -> X509Part | None:
    return event.tls.client.x509 if event.tls and event.tls.client else None


# Alerts and offers.


def _received(event: Connection) -> str | None:
    alert = event.tls.alert if event.tls else None
    return alert.description if alert and alert.direction == "received" else None


def _alert(event: Connection) -> str:
    alert = _received(event)
    return f" (alert {alert})" if alert else ""


def _with_alert(event: Connection) -> str:
    alert = _received(event)
    return " with alert " + alert if alert else ""


def _sent(event: Connection) -> str:
    alert = event.tls.alert if event.tls else None
    return f" (we sent alert {alert.description})" if alert and alert.direction == "sent" else ""


def _in_tls(event: Connection) -> str:
    return f" ({tls_name(event.tls.version)})" if event.tls and event.tls.version else ""


def _versions(event: Connection) -> str:
    client, server = (event.tls.client, event.tls.server) if event.tls else (None, None)
    offered = client.supported_versions if client else None
    allowed = server.supported_versions if server else None
    if not offered:
        return f"offers no TLS version that {listener(event)} allows"
    offers = "offers " + ", ".join(map(tls_name, offered[:_MOST_VERSIONS]))
    if not allowed:
        return f"{offers}; {listener(event)} allows none of them"
    return f"{offers}; {listener(event)} allows {', '.join(map(tls_name, allowed[:_MOST_VERSIONS]))}"


def _ciphers(event: Connection) -> str:
    client = event.tls.client if event.tls else None
    return f" (offered: {some(client.supported_ciphers, bare)})" if client and client.supported_ciphers else ""


def _protocols(event: Connection) -> str:
    client = event.tls.client if event.tls else None
    return f" (offered: {some(client.alpn, quoted)})" if client and client.alpn else ""


# The certificate that we served.


def _issuer(event: Connection) -> str:
    certificate = _ours(event)
    name = name_of(certificate.issuer) if certificate else None
    return " " + quoted(name) if name else ""


def _comma_issuer(event: Connection) -> str:
    issuer = _issuer(event)
    return "," + issuer if issuer else ""


def _issuer_and_version(event: Connection) -> str:
    issuer = _issuer(event)
    facts = ["issuer" + issuer] if issuer else []
    if event.tls and event.tls.version:
        facts.append(tls_name(event.tls.version))
    return f" ({', '.join(facts)})" if facts else ""


def _expiry(event: Connection) -> str:
    return _expired(event, "it")


def _expiry_named(event: Connection) -> str:
    return _expired(event, "our certificate")


def _expired(event: Connection, what: str) -> str:
    certificate = _ours(event)
    if certificate is None:
        return f"it takes {what} for expired"
    if is_past(certificate.not_after, event.timestamp):
        return f"{what} expired on {day(certificate.not_after)}"
    # The device's clock, or another certificate of our chain: nothing here tells which.
    return f"it takes {what} for expired, but by our clock it is valid until {day(certificate.not_after)}"


def _our_serial(event: Connection) -> str:
    certificate = _ours(event)
    return f" (serial {certificate.serial_number})" if certificate else ""


def _our_key(event: Connection) -> str:
    certificate = _ours(event)
    key = certificate.public_key_algorithm if certificate else None
    return f"; our key is {key}" if key else ""


def _names(event: Connection) -> str:
    """Put the name that the device asked for beside those in our certificate."""
    asked = event.tls.client.server_name if event.tls and event.tls.client else None
    certificate = _ours(event)
    if not asked or certificate is None:
        return ""
    return _compared(asked, certificate.alternative_names)


@lru_cache(maxsize=_REMEMBERED)
def _compared(asked: str, names: tuple[str, ...] | None) -> str:
    if not names:
        return f"; it asked for {quoted(asked)}, our certificate names no host"
    if any(_covers(name, asked) for name in names):
        return f"; it asked for {quoted(asked)}, which our certificate names"
    return f"; it asked for {quoted(asked)}, our certificate names {some(names, quoted)}"


def _what_is_bad(event: Connection) -> str:
    """Say what can be meant by bad_certificate: what is wrong with the name, if something is."""
    asked = event.tls.client.server_name if event.tls and event.tls.client else None
    certificate = _ours(event)
    named = certificate.alternative_names if certificate else None
    if asked and named and any(_covers(name, asked) for name in named):
        # GnuTLS and Go send this alert for every fault.
        return (
            f" and does not say why: the host name {quoted(asked)} is right,"
            f" but it may not trust the issuer{_issuer(event)}, or have a wrong clock"
        )
    return f": the host name does not match, or another check failed{_names(event)}"


def _names_in_doubt(event: Connection) -> str:
    alert = event.tls.alert if event.tls else None
    return _names(event) if alert and alert.code == _INTERNAL_ERROR and alert.direction == "received" else ""


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate stands for a host (RFC 9525, 6.3)."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and name[1:] == "." + host.partition(".")[2])


# The certificate that the device showed.


def _client_certificate(event: Connection) -> str:
    certificate = _theirs(event)
    if certificate is None:
        return f"client certificate from {address(event)}"
    name = subject_of(certificate)
    of = " of " + quoted(name) if name else ""
    return f"client certificate{of} (serial {certificate.serial_number}, from {address(event)})"


def _its_expiry(event: Connection) -> str:
    certificate = _theirs(event)
    return f"expired on {day(certificate.not_after)}" if certificate else "has expired"


def _its_beginning(event: Connection) -> str:
    certificate = _theirs(event)
    return f"is not valid before {day(certificate.not_before)}" if certificate else "is not valid yet"


def _its_issuer(event: Connection) -> str:
    certificate = _theirs(event)
    name = name_of(certificate.issuer) if certificate else None
    return f" (issuer {quoted(name)})" if name else ""


def _findings(event: Connection) -> str:
    return findings(event)


TLS_PHRASES: Final[dict[str, Phrase]] = {function.__name__.removeprefix("_"): function for function in (
    _alert, _with_alert, _sent, _in_tls, _versions, _ciphers, _protocols,
    _issuer, _comma_issuer, _issuer_and_version, _expiry, _expiry_named, _our_serial, _our_key, _names, _names_in_doubt,
    _what_is_bad,
    _client_certificate, _its_expiry, _its_beginning, _its_issuer, _findings,
)}  # fmt: skip
"""Placeholder of a template -> what stands there."""
