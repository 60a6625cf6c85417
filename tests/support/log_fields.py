"""What each field of a record means, for the table in docs/log.md; a test holds it against the schema."""

from __future__ import annotations

from typing import Final

_CERTIFICATE: Final = {
    "x509.subject.distinguished_name": "whose it is (RFC 4514)",
    "x509.subject.common_name": "",
    "x509.subject.organization": "",
    "x509.issuer.distinguished_name": "who signed it",
    "x509.issuer.common_name": "",
    "x509.issuer.organization": "",
    "x509.serial_number": "upper-case hexadecimal without leading zeros",
    "x509.alternative_names": "DNS names, addresses, URIs and e-mail addresses",
    "x509.not_before": "",
    "x509.not_after": "",
    "x509.public_key_algorithm": "",
    "x509.signature_algorithm": "",
    "hash.sha256": "of the certificate in DER, upper-case hexadecimal",
}

_REFUSALS: Final = "`subscribe_refused`, `publish_refused` or `will_refused`"

FIELDS: Final[dict[str, dict[str, str]]] = {
    "When, and in which order": {
        "@timestamp": "UTC, in microseconds",
        "event.sequence": "counts the records of one instance from 1, without a gap",
        "event.id": "unique for each record",
        "event.duration": "nanoseconds: until the verdict (`connect`), from there to the end (`disconnect`)",
    },
    "What happened": {
        "event.kind": "always `event`",
        "event.category": "ECS categories",
        "event.type": "ECS types",
        "event.action": "[what the record is about](codes.md#actions)",
        "event.outcome": "`success`, `failure` or `unknown`",
    },
    "Why": {
        "event.code": "from a closed list: [codes.md](codes.md); of `authorize`: " + _REFUSALS,
        "event.reason": "the cause in one plain sentence",
        "message": "the line that a person reads",
        "doorlog.fault": "what kept the log from writing this record whole; absent unless something is broken",
    },
    "Where it stopped": {
        "doorlog.stage": "`accept`, `proxy`, `hello`, `handshake`, `connect`, `credentials` or `session`",
    },
    "The peer": {
        "source.ip": "the device's address, as the load balancer tells it where there is one",
        "source.address": "what stands for it where `log.privacy` hides it; the network of several addresses (`flood`)",
        "source.port": "",
        "doorlog.proxy.ip": "the load balancer in front, if it told the device's address",
        "doorlog.proxy.port": "",
        "doorlog.proxy.server_name": "the host name that the device asked the load balancer for",
        "doorlog.proxy.tls_version": "between the device and the load balancer",
        "doorlog.proxy.client_name": "common name of the certificate that the device showed to the load balancer",
        "doorlog.proxy.client_verified": "whether the load balancer verified that certificate",
    },
    "The broker": {
        "doorlog.listener": "the name of the listener in the configuration",
        "destination.port": "",
        "doorlog.connection_id": "the same in all records of one connection",
        "service.name": "`service.name` of the configuration",
        "service.version": "",
        "service.instance.id": "`service.instance_id` of the configuration, or a new one at each start",
        "doorlog.schema_version": "fields are only ever added within one",
        "ecs.version": "",
    },
    "TLS": {
        "tls.established": "whether the handshake was completed",
        "tls.version": "",
        "tls.version_protocol": "",
        "tls.cipher": "",
        "tls.resumed": "whether an earlier session was resumed",
        "tls.next_protocol": "ALPN",
        "tls.handshake_duration": "nanoseconds from the complete ClientHello to the end of a completed handshake",
        "tls.ticket": "what the device was given to resume this session with; a digest of it",
    },
    "What the device offered": {
        "tls.client.server_name": "SNI: the host name that it believes to connect to",
        "tls.client.supported_ciphers": "",
        "tls.client.supported_versions": "",
        "tls.client.alpn": "",
        "tls.client.ja4": "JA4 fingerprint: devices with the same build have the same",
        "tls.client.tickets": "sessions that it offered to resume: the `tls.ticket` of earlier records",
    },
    "The alert that ended it": {
        "tls.alert.code": "RFC 8446, 6",
        "tls.alert.description": "",
        "tls.alert.direction": "`received`: the device refused us; `sent`: we refused the device",
    },
    "The device's certificate, also when it was refused": {
        f"tls.client.{field}": meaning for field, meaning in _CERTIFICATE.items()
    },
    "The certificate that we served": {
        **{f"tls.server.{field}": meaning for field, meaning in _CERTIFICATE.items()},
        "tls.server.generation": "which served chain, numbered from 1",
        "tls.server.supported_versions": "the TLS versions that the listener allows",
    },
    "Bytes": {
        "source.bytes": "received from the device, TLS and framing included",
        "destination.bytes": "sent to the device, TLS and framing included",
    },
    "MQTT": {
        "mqtt.client_id": "",
        "user.name": "",
        "mqtt.protocol_version": "",
        "mqtt.keep_alive": "seconds; 0 is none",
        "mqtt.clean_session": "",
        "mqtt.connack.code": "what the device was answered (MQTT 3.1.1, 3.2.2.3)",
        "mqtt.connack.name": "",
        "mqtt.topic": "the topic or filter that was refused (`authorize`)",
        "doorlog.authorize": "`subscribe`, `publish` or `will` (`authorize`)",
    },
    "Credentials": {
        "doorlog.auth.method": "what proved the name, such as `password` or `certificate`",
        "doorlog.auth.verdicts[].plugin": "",
        "doorlog.auth.verdicts[].verdict": "`allow`, `deny`, `abstain`, `error` or `timeout`",
        "doorlog.auth.verdicts[].duration": "nanoseconds",
    },
    "Which device": {
        "device.id": "if it is certain or likely; by `device.id` of the configuration",
        "doorlog.device.confidence": "`certain`, `likely`, `ambiguous` or `unknown`",
        "doorlog.device.method": "what it was told by",
        "doorlog.device.evidence": "in words",
        "doorlog.device.candidates[].id": "who it could have been",
        "doorlog.device.candidates[].score": "0 to 1",
    },
    "Earlier attempts that a device explains (`device_confirmed`)": {
        "doorlog.confirmed.connection_ids": "`doorlog.connection_id` of the latest 32 of them",
        "doorlog.confirmed.attempts": "how many there were",
        "doorlog.confirmed.corrected": "how many of them are recorded as another device's",
        "doorlog.confirmed.first": "when the first of them was",
        "doorlog.confirmed.last": "when the last of them was",
    },
    "The log and the chain about themselves": {
        "doorlog.findings[].severity": "`error`, `warning` or `info`",
        "doorlog.findings[].code": "",
        "doorlog.findings[].sentence": "what is wrong with the served chain, what devices do, and the remedy",
        "doorlog.audit.accepted": "sockets accepted since the start",
        "doorlog.audit.connects": "`connect` records since the start: equal to `accepted` when all is well",
        "doorlog.audit.folded": "attempts since the start that stand in `flood` records instead",
        "doorlog.audit.lost": "`connect` records since the start that `audit_gap` records count as missing",
    },
    "Repeats of one failure that have no record of their own (`flood`)": {
        "doorlog.flood.action": "`connect` or `authorize`: what they would have been; `event.code` is theirs",
        "doorlog.flood.count": "how many there were, exactly",
        "doorlog.flood.first": "when the first of them was",
        "doorlog.flood.last": "when the last of them was",
        "doorlog.flood.ports": "how many different source ports they came from",
    },
    "What is missing from the log (`audit_gap`)": {
        "doorlog.gap.first_sequence": "`event.sequence` of the first missing record",
        "doorlog.gap.last_sequence": "`event.sequence` of the last missing record",
        "doorlog.gap.records": "how many are missing, 0 for none; absent when nobody can know (a crash)",
        "doorlog.gap.connects": "how many of them were `connect` records",
        "doorlog.gap.began": "since when the log could not be written, or the time of the last record before a crash",
        "doorlog.gap.ended": "when it could be written again",
        "doorlog.gap.after_sha256": "hash of the last record before the gap, where the gap breaks the chain",
        "doorlog.gap.torn_bytes": "bytes behind the last whole record that a crash left",
        "doorlog.gap.torn_file": "the file beside the log that they were moved to",
    },
    "The chain: what proves that nobody changed the log": {
        "doorlog.previous_sha256": "SHA-256 of the whole line before without its line feed; zeros in the first record",
        "doorlog.checkpoint.records": "records since the checkpoint before (`audit_checkpoint`)",
        "doorlog.checkpoint.key_id": "which key signed it: 16 digits of the SHA-256 of the raw public key",
        "doorlog.signature": "Ed25519 over the line without this field and its line feed, base64 (`audit_checkpoint`)",
    },
}
"""Groups of fields in the order of the page; an empty meaning is told by the name."""
