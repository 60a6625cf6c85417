"""The view ``records``: which field of a record each column is, for DuckDB and for the people who query it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INDEX_VERSION: Final = 1
"""Goes up whenever the columns change: an index that was kept is made anew then."""


class Column(NamedTuple):
    """One column of the view."""

    name: str
    type: str
    """Of DuckDB."""
    path: str
    """Where it stands in the record, as the page of fields names it."""
    words: str
    """What it is."""


COLUMNS: Final = (
    Column("time", "TIMESTAMP", "@timestamp", "when, UTC"),
    Column("sequence", "UBIGINT", "event.sequence", "the number of the record, for each broker without a gap"),
    Column("event_id", "VARCHAR", "event.id", "`doorlog show` takes it"),
    Column("action", "VARCHAR", "event.action", "`connect` for each attempt, `disconnect`, `certificate_served`, …"),
    Column("outcome", "VARCHAR", "event.outcome", "`success`, `failure` or `unknown`"),
    Column("code", "VARCHAR", "event.code", "why: `doorlog why CODE`"),
    Column("stage", "VARCHAR", "doorlog.stage", "where an attempt stopped"),
    Column("reason", "VARCHAR", "event.reason", "why, as a sentence"),
    Column("message", "VARCHAR", "message", "what `doorlog tail` shows"),
    Column("duration", "UBIGINT", "event.duration", "nanoseconds"),
    Column("listener", "VARCHAR", "doorlog.listener", "by its name"),
    Column("connection_id", "VARCHAR", "doorlog.connection_id", "`doorlog show` takes it"),
    Column("source_ip", "VARCHAR", "source.ip", "where it came from"),
    Column("source_port", "UINTEGER", "source.port", ""),
    Column("source_bytes", "UBIGINT", "source.bytes", "what the device sent"),
    Column("destination_bytes", "UBIGINT", "destination.bytes", "what we sent"),
    Column("proxy_ip", "VARCHAR", "doorlog.proxy.ip", "the load balancer"),
    Column("device_id", "VARCHAR", "device.id", "which device it was, if that is certain or likely"),
    Column("device_method", "VARCHAR", "doorlog.device.method", "how that is known"),
    Column("confidence", "VARCHAR", "doorlog.device.confidence", "`certain`, `likely`, `ambiguous` or `unknown`"),
    Column("client_id", "VARCHAR", "mqtt.client_id", "as the CONNECT says"),
    Column("user_name", "VARCHAR", "user.name", "as the CONNECT says"),
    Column("protocol_version", "VARCHAR", "mqtt.protocol_version", "of MQTT"),
    Column("keep_alive", "UINTEGER", "mqtt.keep_alive", "seconds"),
    Column("connack", "UTINYINT", "mqtt.connack.code", "what was answered"),
    Column("tls_established", "BOOLEAN", "tls.established", "whether the handshake was completed"),
    Column("tls_version", "VARCHAR", "tls.version", "that was agreed on"),
    Column("cipher", "VARCHAR", "tls.cipher", "that was agreed on"),
    Column("resumed", "BOOLEAN", "tls.resumed", "whether a session was resumed"),
    Column("server_name", "VARCHAR", "tls.client.server_name", "that the device asked for (SNI)"),
    Column("ja4", "VARCHAR", "tls.client.ja4", "the fingerprint of its ClientHello"),
    Column("alert", "VARCHAR", "tls.alert.description", "the TLS alert"),
    Column("alert_direction", "VARCHAR", "tls.alert.direction", "`received`: the device refused us; `sent`: we did"),
    Column("generation", "UINTEGER", "tls.server.generation", "the number of the served chain"),
    Column("served_sha256", "VARCHAR", "tls.server.hash.sha256", "of our certificate"),
    Column("served_subject", "VARCHAR", "tls.server.x509.subject.distinguished_name", "of our certificate"),
    Column("served_issuer", "VARCHAR", "tls.server.x509.issuer.distinguished_name", "of our certificate"),
    Column("served_not_after", "TIMESTAMP", "tls.server.x509.not_after", "when our certificate ends, UTC"),
    Column("client_subject", "VARCHAR", "tls.client.x509.subject.distinguished_name", "of the device's certificate"),
    Column("client_sha256", "VARCHAR", "tls.client.hash.sha256", "of the device's certificate"),
    Column("folded", "UBIGINT", "doorlog.flood.count", "how many attempts a `flood` record stands for"),
    Column("folded_action", "VARCHAR", "doorlog.flood.action", "what it stands for"),
    Column("missing", "UBIGINT", "doorlog.gap.records", "how many records an `audit_gap` says are missing"),
    Column("instance", "VARCHAR", "service.instance.id", "which broker"),
)
ATTEMPTS: Final = Column("attempts", "UBIGINT", "", "how many attempts the record stands for: sum it up to count them")
"""The one column that is made of others."""
_ATTEMPTS: Final = (
    "CASE WHEN action = 'connect' THEN 1 WHEN action = 'flood' AND folded_action = 'connect' THEN folded ELSE 0 END"
)
_Tree = dict[str, Any]


def select_records(source: str) -> str:
    """Return the query that makes the columns of what ``read_ndjson`` yields; what is no record yields no row."""
    columns = ", ".join(f"{_extract(column.path)} AS {column.name}" for column in COLUMNS)
    is_record = '"@timestamp" IS NOT NULL AND "event"."sequence" IS NOT NULL'
    return f"SELECT *, ({_ATTEMPTS})::UBIGINT AS attempts FROM (SELECT {columns} FROM {source} WHERE {is_record})"  # noqa: S608 - made of our own names


def structure() -> str:
    """Return the columns that ``read_ndjson`` is to look for, as its ``columns`` takes them."""
    tree: _Tree = {}
    for column in COLUMNS:
        *parents, leaf = column.path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = column.type
    return "{" + ", ".join(f"{_quoted(name)}: '{_type(kind)}'" for name, kind in tree.items()) + "}"


def described() -> Sequence[Column]:
    """Return all columns of the view."""
    return (*COLUMNS, ATTEMPTS)


def _type(kind: str | _Tree) -> str:
    if isinstance(kind, str):
        return kind
    return f"STRUCT({', '.join(_members(kind))})"


def _members(tree: _Tree) -> Iterator[str]:
    return (f"{_quoted(name)} {_type(kind)}" for name, kind in tree.items())


def _extract(path: str) -> str:
    return ".".join(map(_quoted, path.split(".")))


def _quoted(name: str) -> str:
    return f'"{name}"'
