"""What a sentence says of the peer, its way to us and its credentials: one small function for each fact.

A phrase begins with its own space or punctuation, and is empty where the event lacks the fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from doorlog.events.records import Connection, Event
from doorlog.events.words import bare, clip, quoted, span, subject_of, tls_name

Phrase = Callable[[Connection], str]
_SEVERITIES: Final = ("error", "warning", "info")
_FINDING_LIMIT: Final = 200


def listener(event: Event) -> str:
    """Name the listener."""
    name = event.doorlog.listener
    return "listener " + bare(name) if name else "the listener"


def findings(event: Event) -> str:
    """Say the worst that the self-check of the served chain found, and count the rest."""
    found = event.doorlog.findings
    if not found:
        return ""
    worst = min(found, key=lambda finding: _SEVERITIES.index(finding.severity))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"; {worst.severity}: {clip(worst.sentence, _FINDING_LIMIT).rstrip('. ')}{more}"


# Who it was.


def address(event: Connection) -> str:
    """Name the address that the attempt came from, or what stands for it."""
    return event.source.address or event.source.ip or "an unknown address"


def _who(event: Connection) -> str:
    return _named(event, ())


def _guest(event: Connection) -> str:
    if event.user:
        return _named(event, ("user " + bare(event.user.name),))
    name = _certificate(event)
    if name and (event.device is None or event.device.id != name):
        return _named(event, ("certificate " + bare(name),))
    return _named(event, ())


def _certificate(event: Connection) -> str | None:
    certificate = event.tls.client.x509 if event.tls and event.tls.client else None
    return subject_of(certificate) if certificate else None


def _named(event: Connection, more: tuple[str, ...]) -> str:
    device = _device(event)
    if device:
        return f"{device} ({', '.join((address(event), *more))})" if more else f"{device} ({address(event)})"
    if event.mqtt and event.mqtt.client_id:
        more = ("client id " + bare(event.mqtt.client_id), *more)
    return f"{address(event)} ({', '.join(more)})" if more else address(event)


def _device(event: Connection) -> str:
    """Name the device with the right word of confidence, if it is certain or likely; never guess."""
    if event.device is None:
        return ""
    evidence = event.doorlog.device
    confidence = evidence.confidence if evidence else "likely"
    if confidence == "certain":
        return bare(event.device.id)
    return "device likely " + bare(event.device.id) if confidence == "likely" else ""


def _claimed(event: Connection) -> str:
    client_id = event.mqtt.client_id if event.mqtt else None
    facts = ["client id " + bare(client_id)] if client_id else [_device(event)]
    certificate = _certificate(event)
    if certificate and certificate != client_id:
        facts.append("certificate " + bare(certificate))
    said = ", ".join(filter(None, facts))
    return f" ({said})" if said else ""


def _client_id(event: Connection) -> str:
    return " " + quoted(event.mqtt.client_id) if event.mqtt and event.mqtt.client_id else ""


def _user(event: Connection) -> str:
    return " " + quoted(event.user.name) if event.user else ""


def _for_user(event: Connection) -> str:
    return f" for user {quoted(event.user.name)}" if event.user else ""


def _of_user(event: Connection) -> str:
    return f" of user {quoted(event.user.name)}" if event.user else ""


def _claimant(event: Connection) -> str:
    return f"user {quoted(event.user.name)} ({address(event)})" if event.user else address(event)


# How far it got.


def _listener(event: Connection) -> str:
    return listener(event)


def _port(event: Connection) -> str:
    port = event.destination.port
    return f" (port {port})" if port else ""


def _within(event: Connection) -> str:
    return " within " + span(event.event.duration) if event.event.duration else ""


def _after(event: Connection) -> str:
    return " after " + span(event.event.duration) if event.event.duration else ""


def _bytes(event: Connection) -> str:
    return "1 byte" if event.source.bytes == 1 else f"{event.source.bytes} bytes"


def _closed_early(event: Connection) -> str:
    if not event.source.bytes:
        return "without a byte (health check or port scan)"
    return f"after {_bytes(event)}, before its ClientHello was complete"


def _sent_late(event: Connection) -> str:
    if event.source.bytes == 0:
        return f"sent nothing to {listener(event)}{_within(event)}"
    return f"sent no complete ClientHello to {listener(event)}{_within(event)}"


def _left_before_connect(event: Connection) -> str:
    if event.tls and event.tls.established:
        secured = tls_name(event.tls.version) if event.tls.version else "TLS"
        # Suspicion only: a health check looks the same as a client that verifies after the handshake.
        return f"completed {secured} and left without a CONNECT (health check, or a silent refusal of our certificate)"
    if event.source.bytes:
        return f"left {listener(event)} after {_bytes(event)}, before its CONNECT was complete"
    return f"opened a connection to {listener(event)} and closed it without a byte (health check or port scan)"


def _over(event: Connection) -> str:
    if event.tls is None:
        return "without TLS"
    return "over " + tls_name(event.tls.version) if event.tls.version else "over TLS"


def _keep_alive(event: Connection) -> str:
    seconds = event.mqtt.keep_alive if event.mqtt else None
    return f" of {seconds} s" if seconds else ""


def _spoken(event: Connection) -> str:
    version = event.mqtt.protocol_version if event.mqtt else None
    if not version:
        return "another version of MQTT"
    return f"MQTT {bare(version)}" if "." in version else f"MQTT protocol level {bare(version)}"


# Credentials and access rules.


def _denied_by(event: Connection) -> str:
    auth = event.doorlog.auth
    plugin = next((item.plugin for item in auth.verdicts if item.verdict == "deny"), None) if auth else None
    return f" (denied by {bare(plugin)})" if plugin else ""


def _failed_plugin(event: Connection) -> str:
    auth, failures = event.doorlog.auth, ("error", "timeout")
    plugin = next((item.plugin for item in auth.verdicts if item.verdict in failures), None) if auth else None
    return "authentication plugin " + bare(plugin) if plugin else "an authentication plugin"


def _on_topic(event: Connection) -> str:
    topic = event.mqtt.topic if event.mqtt else None
    return " on " + quoted(topic) if topic else ""


_VERBS: Final = {"subscribe": "subscribe to", "publish": "publish to", "will": "leave a will on"}


def _act(event: Connection) -> str:
    verb, topic = _VERBS.get(event.doorlog.authorize or "", "use"), event.mqtt.topic if event.mqtt else None
    return f"{verb} {quoted(topic)}" if topic else f"{verb} this topic"


PHRASES: Final[dict[str, Phrase]] = {function.__name__.removeprefix("_"): function for function in (
    address, _who, _guest, _claimed, _client_id, _user, _for_user, _of_user, _claimant,
    _listener, _port, _within, _after, _closed_early, _sent_late, _left_before_connect, _over, _keep_alive, _spoken,
    _denied_by, _failed_plugin, _on_topic, _act,
)}  # fmt: skip
"""Placeholder of a template -> what stands there."""
