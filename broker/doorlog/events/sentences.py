"""Why it happened, and the line that a person reads: one plain sentence each, for every kind of event.

Pure and fast (a few microseconds): the templates of ``templates`` filled with the phrases of ``phrases`` and
``tls_phrases``. An event holds no secret, so no sentence can tell one.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter
from typing import Final, NamedTuple

from doorlog.events.audit_phrases import audit_message, audit_reason, flood_message
from doorlog.events.codes import Action
from doorlog.events.parts import X509Part
from doorlog.events.phrases import PHRASES, Phrase, address, findings, listener
from doorlog.events.records import (
    AuthorizeEvent,
    CertificateEvent,
    ConnectEvent,
    Connection,
    DeviceConfirmedEvent,
    DisconnectEvent,
    Event,
    FloodEvent,
)
from doorlog.events.templates import AUTHORIZE, CONNECT, DISCONNECT, NO_WORDS, Words
from doorlog.events.tls_phrases import TLS_PHRASES
from doorlog.events.words import (
    bare,
    clip,
    counted,
    day,
    days_until,
    is_past,
    name_of,
    quoted,
    seconds_between,
    span,
    subject_of,
)

LINE_LIMIT: Final = 400
"""Characters of a sentence."""
_DETAIL_LIMIT: Final = 200


def reason_of(event: Event) -> str:
    """Say why it happened, for ``event.reason``.

    Args:
        event: Any event. A reason that it already has (a parser's own sentence, say) stands.

    Returns:
        One sentence on one line, at most 400 characters, without a period at its end.
    """
    return _given(event) or _general_reason(event)


def message_of(event: Event) -> str:
    """Say what happened to whom, for ``message``.

    Args:
        event: Any event, with ``device`` and ``doorlog.device`` set if identity has looked at it.

    Returns:
        One sentence on one line, at most 400 characters, without a period at its end. A device is named alone if
        that is certain, with "likely" if it is likely; else the address stands for it.
    """
    if isinstance(event, FloodEvent):
        return clip(flood_message(event), LINE_LIMIT)
    if isinstance(event, DeviceConfirmedEvent):
        return clip(_confirmed_message(event), LINE_LIMIT)
    if isinstance(event, Connection):
        return _filled(_sentences(event).message, event)
    if isinstance(event, CertificateEvent):
        return clip(_certificate_message(event), LINE_LIMIT)
    return clip(audit_message(event, _given(event)), LINE_LIMIT)


def _given(event: Event) -> str:
    reason = event.event.reason
    return clip(reason, LINE_LIMIT).rstrip(". ") if reason else ""


def _general_reason(event: Event) -> str:
    if isinstance(event, DeviceConfirmedEvent):
        return "admitted from the address of attempts that had failed, with the same ClientHello"
    if isinstance(event, Connection):
        return _filled(_sentences(event).reason, event)
    if isinstance(event, CertificateEvent):
        return clip(_certificate_reason(event), LINE_LIMIT)
    return audit_reason(event) or NO_WORDS.reason


# Connections: templates, taken apart once.

_Parts = tuple[tuple[str, Phrase], ...]  # a literal and what follows it


class _Sentences(NamedTuple):
    reason: _Parts
    message: _Parts


def _why(event: Connection) -> str:
    return ": " + clip(reason_of(event), _DETAIL_LIMIT)


def _detail(event: Connection) -> str:
    given = _given(event)
    return ": " + clip(given, _DETAIL_LIMIT) if given and given != _general_reason(event) else ""


def _denial(event: Connection) -> str:
    return _detail(event) or PHRASES["denied_by"](event)


def _failure(event: Connection) -> str:
    return _detail(event) or f": {PHRASES['failed_plugin'](event)} failed"


def _lateness(event: Connection) -> str:
    return _detail(event) or f": {PHRASES['failed_plugin'](event)} gave no answer in time"


_PHRASES: Final[dict[str, Phrase]] = {
    **PHRASES,
    **TLS_PHRASES,
    "why": _why,
    "detail": _detail,
    "denial": _denial,
    "failure": _failure,
    "lateness": _lateness,
}


def _nothing(_event: Connection) -> str:
    return ""


def _taken_apart(words: Words) -> _Sentences:
    return _Sentences(*(tuple(_parts(template)) for template in words))


def _parts(template: str) -> Iterator[tuple[str, Phrase]]:
    for literal, placeholder, _, _ in Formatter().parse(template):
        yield literal, _PHRASES[placeholder] if placeholder else _nothing


_UNKNOWN = _taken_apart(NO_WORDS)
_BY_CODE: Final = {
    ConnectEvent: ({code: _taken_apart(words) for code, words in CONNECT.items()}, _UNKNOWN),
    DisconnectEvent: ({code: _taken_apart(words) for code, words in DISCONNECT.items()}, _UNKNOWN),
    AuthorizeEvent: ({}, _taken_apart(AUTHORIZE)),
}
_NO_CODES: Final[tuple[dict[str, _Sentences], _Sentences]] = ({}, _UNKNOWN)
_KINDS: Final[dict[str, type[Connection]]] = {"connect": ConnectEvent, "authorize": AuthorizeEvent}
"""What the events behind a flood would have been, by their action."""


def _sentences(event: Connection) -> _Sentences:
    flood = event.doorlog.flood
    kind = _KINDS[flood.action] if flood else type(event)
    by_code, otherwise = _BY_CODE.get(kind, _NO_CODES)
    return by_code.get(event.event.code or "", otherwise)


def _filled(parts: _Parts, event: Connection) -> str:
    return clip("".join([literal + phrase(event) for literal, phrase in parts]), LINE_LIMIT)


# Devices.


def _confirmed_message(event: DeviceConfirmedEvent) -> str:
    device = bare(event.device.id) if event.device else "a device"
    confirmed = event.doorlog.confirmed
    if confirmed is None:
        return f"{device} ({address(event)}) explains earlier attempts"
    within = span(round(seconds_between(confirmed.first, event.timestamp) * 1e9))
    failed = f"{counted(confirmed.attempts, 'attempt')} that failed within the last {within}"
    other = f", {confirmed.corrected} of them taken for another device's" if confirmed.corrected else ""
    return f"{device} ({address(event)}) is admitted: it likely was the device of {failed}{other}"


# Certificates.


def _certificate_message(event: CertificateEvent) -> str:
    leaf = event.tls.server.x509 if event.tls.server else None
    if event.event.action is Action.CERTIFICATE_EXPIRING:
        return f"certificate{_subject(leaf)} of {listener(event)} {_expiry(event, leaf)}{findings(event)}"
    return f"{listener(event)} serves {_served(event, leaf)}{findings(event)}"


def _certificate_reason(event: CertificateEvent) -> str:
    if event.event.action is Action.CERTIFICATE_EXPIRING:
        return f"our certificate {_expiry(event, event.tls.server.x509 if event.tls.server else None)}"
    return findings(event).removeprefix("; ") or "it is served from now on"


def _subject(leaf: X509Part | None) -> str:
    name = subject_of(leaf) if leaf else None
    return " " + quoted(name) if name else ""


def _served(event: CertificateEvent, leaf: X509Part | None) -> str:
    number = event.tls.server.generation if event.tls.server else None
    generation = f" (generation {number})" if number is not None else ""
    if leaf is None:
        return "another certificate" + generation
    issuer = name_of(leaf.issuer)
    by = " from " + quoted(issuer) if issuer else ""
    until = "expired on" if is_past(leaf.not_after, event.timestamp) else "valid until"
    return f"certificate{_subject(leaf)}{by}, {until} {day(leaf.not_after)}{generation}"


def _expiry(event: CertificateEvent, leaf: X509Part | None) -> str:
    if leaf is None:
        return "is about to expire"
    if is_past(leaf.not_after, event.timestamp):
        return f"expired on {day(leaf.not_after)}"
    days = days_until(leaf.not_after, event.timestamp)
    return f"expires on {day(leaf.not_after)}, in {counted(days, 'day')}" if days else "expires within 24 hours"
