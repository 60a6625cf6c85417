"""A record that is too long for a datagram, made short: still one valid record, which says that it was shortened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from doorlog.log.processors import TEXT_LIMIT, render

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT: Final[dict[str, tuple[str, ...] | None]] = {
    "@timestamp": None,
    "message": None,
    "ecs": None,
    "event": None,
    "service": None,
    "source": None,
    "destination": None,
    "tls": ("established", "version", "version_protocol", "alert"),
    "mqtt": ("client_id", "protocol_version", "connack", "topic"),
    "user": None,
    "device": None,
    "doorlog": (
        "schema_version", "stage", "listener", "connection_id", "authorize", "audit", "gap", "checkpoint", "flood",
        "fault", "previous_sha256",
    ),
}  # fmt: skip
"""What stays of a record, None for all of it: who, when, what and why. The long lists go: what a device offered, the
certificates, the plugins' verdicts, the candidates."""

_TEXT_LIMITS: Final = (TEXT_LIMIT, 512, 256, 128, 64)
"""Characters of each text, tried in turn. No enumeration, moment, address or hash is longer than the last."""
_LIST_LIMIT: Final = 16

_LAST_KEPT: Final[dict[str, tuple[str, ...]]] = {
    "event": ("kind", "category", "type", "action", "outcome", "code", "sequence", "id"),
    "source": ("ip", "port"),
    "destination": ("port",),
    "tls": ("established",),
    "doorlog": ("schema_version", "connection_id"),
}
_LAST_TEXT_LIMIT: Final = 32
_NOT_PLAIN: Final = re.compile(r"[^ !#-\[\]-~]")


def excerpt(record: Mapping[str, Any], size: int, limit: int) -> bytes | None:
    r"""Return what matters of a record as JSON of at most so many bytes, without ``\n``.

    ``doorlog.fault`` says that fields are missing. Long lists go first; if that is not enough, long texts are cut and
    end in ``…``.

    Args:
        record: The whole record.
        size: Its bytes, for the words in ``doorlog.fault``.
        limit: How many bytes there may be.

    Returns:
        None if even that is too long, see ``last_resort``.
    """
    kept = {name: _chosen(record[name], fields) for name, fields in _KEPT.items() if name in record}
    doorlog = kept.get("doorlog")
    rest = doorlog if isinstance(doorlog, dict) else {}
    before = f"; {rest['fault']}" if "fault" in rest else ""
    fault = f"this copy was shortened, the record has {size} bytes and was too long for UDP{before}"
    chain = {"previous_sha256": rest.pop("previous_sha256")} if "previous_sha256" in rest else {}
    kept["doorlog"] = {**rest, "fault": fault, **chain}  # last in the line, as in every record
    for text_limit in _TEXT_LIMITS:
        line = _rendered(_cut(kept, text_limit))
        if len(line) <= limit:
            return line
    return None


def last_resort(record: Mapping[str, Any]) -> bytes:
    """Return the least that is still a record, of at most 1,500 bytes: what happened, to whom, and which record it is.

    All other fields are gone, and each text has at most 32 plain characters. No record of ours needs this; one that
    a foreign processor filled with long texts may.
    """
    moment, message = (_plain(record.get(name)) for name in ("@timestamp", "message"))
    short: dict[str, Any] = {"@timestamp": moment, "message": message}
    for name, fields in _LAST_KEPT.items():
        if isinstance(record.get(name), dict):
            short[name] = {field: _plain(record[name][field]) for field in fields if field in record[name]}
    short["doorlog"] = {**short.get("doorlog", {}), "fault": "too long for UDP: shortened"}
    return _rendered(short)


def _chosen(value: Any, fields: tuple[str, ...] | None) -> Any:
    if fields is None or not isinstance(value, dict):
        return value
    return {name: value[name] for name in fields if name in value}


def _cut(value: Any, text_limit: int) -> Any:
    """Return a value with its long texts and lists cut."""
    if isinstance(value, str) and len(value) > text_limit:
        return value[: text_limit - 1] + "…"
    if isinstance(value, dict):
        return {key: _cut(item, text_limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, text_limit) for item in value[:_LIST_LIMIT]]
    return value


def _plain(value: Any) -> Any:
    """Return a value of few bytes: a short text without what JSON escapes, a number, or two of them."""
    if isinstance(value, str):
        return _NOT_PLAIN.sub("?", value[:_LAST_TEXT_LIMIT])
    if isinstance(value, list):
        return [_plain(item) for item in value[:2] if not isinstance(item, list)]
    return value if isinstance(value, bool | int) else None


def _rendered(record: Mapping[str, Any]) -> bytes:
    return render(None, "info", dict(record)).rstrip(b"\n")
