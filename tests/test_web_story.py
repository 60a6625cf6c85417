"""How far an attempt came, as a chain of stages."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.web.story import fields_of, stages_of


def states(stage: str | None, code: str) -> str:
    record: dict[str, Any] = {"event": {"action": "connect", "code": code}, "doorlog": {"stage": stage}}
    return " ".join(one.state for one in stages_of([record]))


@pytest.mark.parametrize(
    ("stage", "code", "expected"),
    [
        ("accept", "source_blocked", "stopped never never never never"),
        ("proxy", "proxy_header_missing", "stopped never never never never"),
        ("hello", "not_tls", "passed stopped never never never"),
        ("handshake", "server_certificate_unknown_ca", "passed stopped never never never"),
        ("connect", "not_mqtt", "passed passed stopped never never"),
        ("credentials", "bad_password", "passed passed passed stopped never"),
        ("session", "admitted", "passed passed passed passed passed"),
        (None, "internal_error", "stopped never never never never"),
    ],
)
def test_where_it_stopped(stage: str | None, code: str, expected: str) -> None:
    assert states(stage, code) == expected


def test_other_records_have_no_stages() -> None:
    assert stages_of([{"event": {"action": "audit_started"}}, {}]) == []


def test_fields_hide_no_word() -> None:
    assert fields_of({"message": "a\u202eb"}) == '{\n  "message": "a\\u202Eb"\n}'
