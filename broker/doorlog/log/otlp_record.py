"""A record as an OpenTelemetry log record: no field is lost, and those that OpenTelemetry knows bear its names.

The names are those of its semantic conventions (https://opentelemetry.io/docs/specs/semconv/), the shape that of its
logs data model (https://opentelemetry.io/docs/specs/otel/logs/data-model/). docs/otlp.md shows the whole table.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCOPE: Final = InstrumentationScope("doorlog")
EVENT_PREFIX: Final = "doorlog."
"""Before ``event.action`` in the name of an event, which OpenTelemetry wants in a namespace of its own."""

RESOURCE_FIELDS: Final = ("service.name", "service.version", "service.instance.id")

OTEL_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "source.ip": ("source.address", "client.address"),
    "source.address": ("source.address", "client.address"),
    "source.port": ("source.port", "client.port"),
    "destination.port": ("destination.port", "server.port"),
    "event.id": ("event.id", "log.record.uid"),
    "tls.version": ("tls.protocol.version",),
    "tls.version_protocol": ("tls.protocol.name",),
    "tls.client.server_name": ("tls.client.server_name", "server.address"),
    "tls.client.x509.subject.distinguished_name": ("tls.client.subject",),
    "tls.client.x509.issuer.distinguished_name": ("tls.client.issuer",),
    "tls.client.x509.not_before": ("tls.client.not_before",),
    "tls.client.x509.not_after": ("tls.client.not_after",),
    "tls.server.x509.subject.distinguished_name": ("tls.server.subject",),
    "tls.server.x509.issuer.distinguished_name": ("tls.server.issuer",),
    "tls.server.x509.not_before": ("tls.server.not_before",),
    "tls.server.x509.not_after": ("tls.server.not_after",),
}
"""A field of the record, and the attributes that hold its value. Every other field is an attribute of its own name."""

_DEEPEST: Final = 16
"""Levels of names, and of values within a list; what lies deeper is JSON text. Receivers refuse 100 levels of protobuf,
and a level of JSON takes three."""
_INT64: Final = range(-(2**63), 2**63)
_UINT64_MAX: Final = 2**64 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def log_record(line: bytes, service: Mapping[str, str], observed: int) -> ReadableLogRecord:
    """Translate one line.

    Args:
        line: A record as JSON. Anything else becomes a log record with the line as its body: it is the business of
            whoever reads it, and no reason to hold up those behind it.
        service: ``RESOURCE_FIELDS`` for a line that does not say who wrote it.
        observed: Now, in nanoseconds since 1970.
    """
    record = _parsed(line)
    if record is not None:
        with suppress(TypeError):  # it is nested deeper than orjson can write, and was not written by us
            return _translated(record, service, observed)
    text = line.removesuffix(b"\n").decode(errors="backslashreplace")
    return _readable(LogRecord(observed_timestamp=observed, body=text), {}, service)


def _translated(record: Mapping[str, Any], service: Mapping[str, str], observed: int) -> ReadableLogRecord:
    fields = dict(_flat(record))
    when = _nanoseconds(fields.get("@timestamp"))
    severity = _severity(fields)
    told = LogRecord(
        timestamp=when,
        observed_timestamp=observed,
        severity_number=severity,
        severity_text=severity.name,
        body=message if isinstance(message := fields.get("message"), str) else None,
        event_name=f"{EVENT_PREFIX}{action}" if isinstance(action := fields.get("event.action"), str) else None,
        attributes=_attributes({name: value for name, value in fields.items() if not _stands(name, value, when)}),
    )
    return _readable(told, fields, service)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield each field under its dotted name. A field that is null has nothing to say."""
    for key, value in record.items():
        if isinstance(value, dict) and value and depth < _DEEPEST:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        elif value is not None:
            yield f"{prefix}{key}", value


def _stands(name: str, value: Any, when: int | None) -> bool:
    """Whether a field stands in the log record's own fields, or in the resource, and needs no attribute."""
    if name == "@timestamp":
        return when is not None
    return isinstance(value, str) and (name == "message" or name in RESOURCE_FIELDS)


def _severity(fields: Mapping[str, Any]) -> SeverityNumber:
    if fields.get("event.action") == "audit_gap":
        return SeverityNumber.ERROR
    return SeverityNumber.WARN if fields.get("event.outcome") == "failure" else SeverityNumber.INFO


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {name: _value(value) for name, value in fields.items() if name not in OTEL_NAMES}
    for name, names in OTEL_NAMES.items():
        if name in fields:
            for other in names:
                attributes.setdefault(other, _value(fields[name]))  # what a processor of others put there stays
    if fields.get("event.outcome") == "failure" and "event.code" in fields:
        attributes.setdefault("error.type", _value(fields["event.code"]))
    return attributes


def _value(value: Any, depth: int = 0) -> Any:
    """Return what protobuf can carry of a JSON value: all of it, though maybe as text."""
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    if not isinstance(value, list | dict):
        return value
    if depth == _DEEPEST:
        return orjson.dumps(value).decode()
    if isinstance(value, list):
        return [_value(item, depth + 1) for item in value]
    return {key: _value(item, depth + 1) for key, item in value.items()}


def _nanoseconds(timestamp: Any) -> int | None:
    """Return nanoseconds since 1970, None for what is no time or does not fit into 64 bits."""
    try:
        moment = datetime.fromisoformat(timestamp)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (TypeError, ValueError, OverflowError):
        return None
    nanoseconds = since // timedelta(microseconds=1) * 1000
    return nanoseconds if 0 < nanoseconds <= _UINT64_MAX else None


def _readable(record: LogRecord, fields: Mapping[str, Any], service: Mapping[str, str]) -> ReadableLogRecord:
    values = tuple(value if isinstance(value := fields.get(name), str) else service[name] for name in RESOURCE_FIELDS)
    return ReadableLogRecord(log_record=record, resource=_resource(values), instrumentation_scope=SCOPE)


@lru_cache(maxsize=16)
def _resource(values: tuple[str, ...]) -> Resource:
    """Return the resource of a service. Nothing of the machine or the environment is added to it."""
    return Resource(dict(zip(RESOURCE_FIELDS, values, strict=True)))
