"""A notice as the JSON that a webhook is sent: facts for programs, one sentence for people and for chats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from doorlog.text import safe_text
from doorlog.watch.alert_rules import Condition
from doorlog.watch.alerts import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_DEVICES: Final = 5
_ID_LIMIT: Final = 128
TEST: Final = Condition(
    "test",
    "info",
    "This is a test: alerts of doorlog reach this place.",
    commands=("doorlog alerts list -c CONFIG",),
)


def message_of(notice: Notice, service: str) -> dict[str, Any]:
    """Return what is sent.

    Args:
        notice: What is to be told.
        service: Which broker, ``service.name`` of the configuration.
    """
    condition, is_over = notice.condition, notice.status == "resolved"
    summary = f"Resolved: {condition.summary}" if is_over else condition.summary
    return {
        "status": notice.status,
        "rule": condition.rule,
        "severity": condition.severity,
        **{name: safe_text(value, _ID_LIMIT) for name, value in condition.labels},
        "service": safe_text(service, _ID_LIMIT),
        "since": datetime.fromtimestamp(notice.since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "summary": summary,
        "devices": [] if is_over else [safe_text(device, _ID_LIMIT) for device in condition.devices[:MOST_DEVICES]],
        "commands": [] if is_over else list(condition.commands),
        "text": f"{safe_text(service, _ID_LIMIT)}: {summary}",
    }


def body_of(message: Mapping[str, Any]) -> bytes:
    """Return the JSON of a message, in ASCII."""
    return json.dumps(message).encode()
