"""The closed lists are the ones that operators were promised."""

from __future__ import annotations

import re

import pytest

from doorlog.events.codes import (
    LOOKS_LATE,
    STAGE_OF,
    Action,
    Code,
    DisconnectCause,
    GapCause,
    Outcome,
    Stage,
    lacks_good_certificate,
    leaves_at_our_certificate,
    refuses_our_certificate,
)

PROMISED = {
    "accept": "too_many_connections source_blocked",
    "proxy": "proxy_header_missing proxy_header_invalid proxy_untrusted_source",
    "hello": "closed_before_hello hello_timeout plaintext_mqtt plaintext_http not_tls malformed_hello",
    "handshake": """
        server_certificate_unknown_ca server_certificate_expired server_certificate_bad server_certificate_revoked
        server_certificate_unsupported server_certificate_unknown
        closed_after_server_certificate reset_after_server_certificate timeout_after_server_certificate client_alert
        client_certificate_missing client_certificate_expired client_certificate_not_yet_valid
        client_certificate_untrusted client_certificate_revoked client_certificate_invalid
        no_shared_version no_shared_cipher no_shared_group no_shared_signature_algorithm alpn_mismatch
        handshake_failed
    """,
    "connect": """
        closed_before_connect connect_timeout not_mqtt malformed_connect connect_too_large
        unsupported_protocol_version client_id_rejected websocket_rejected
    """,
    "credentials": """
        bad_password unknown_user no_credentials not_authorized client_id_taken will_not_authorized
        auth_backend_error auth_timeout throttled log_unavailable
    """,
}
ANYWHERE = {Code.SERVER_SHUTDOWN, Code.INTERNAL_ERROR}


def test_every_promised_code_exists_and_no_other() -> None:
    promised = {name for names in PROMISED.values() for name in names.split()}

    assert set(Code) == promised | {"admitted"} | ANYWHERE


@pytest.mark.parametrize("stage", PROMISED)
def test_each_code_says_at_which_stage_the_attempt_stopped(stage: str) -> None:
    assert {code for code, where in STAGE_OF.items() if where == stage} == set(PROMISED[stage].split())


def test_only_the_brokers_own_failures_can_happen_at_any_stage() -> None:
    assert set(Code) - set(STAGE_OF) == ANYWHERE
    assert STAGE_OF[Code.ADMITTED] is Stage.SESSION


def test_stages_stand_in_the_order_of_an_attempt() -> None:
    assert list(Stage) == ["accept", "proxy", "hello", "handshake", "connect", "credentials", "session"]


def test_actions_and_outcomes_are_those_of_the_design() -> None:
    assert {"connect", "disconnect", "authorize", "certificate_served", "certificate_expiring"} <= set(Action)
    assert {"audit_started", "audit_stopped", "audit_gap", "audit_checkpoint", "flood"} <= set(Action)
    assert set(Outcome) == {"success", "failure", "unknown"}, "ECS event.outcome allows no other value"


def test_a_session_can_end_in_these_ways() -> None:
    assert set(DisconnectCause) == {
        "normal", "closed", "reset", "keep_alive_timeout", "taken_over", "protocol_error", "packet_too_large",
        "tls_error", "closed_by_broker", "log_unavailable", "server_shutdown",
    }  # fmt: skip


def test_records_can_be_missing_for_these_reasons() -> None:
    assert set(GapCause) == {"overflow", "write_failed", "interrupted", "truncated"}


@pytest.mark.parametrize("name", [*Code, *DisconnectCause, *GapCause, *Action, *Stage])
def test_names_are_plain_words_that_every_tool_can_search(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)


def test_who_refused_whose_certificate_is_told_by_the_code() -> None:
    refuse = {code for code in Code if refuses_our_certificate(code)}
    leave = {code for code in Code if leaves_at_our_certificate(code)}
    lack = {code for code in Code if lacks_good_certificate(code)}

    assert Code.SERVER_CERTIFICATE_UNKNOWN_CA in refuse
    assert leave == {
        Code.CLOSED_AFTER_SERVER_CERTIFICATE,
        Code.RESET_AFTER_SERVER_CERTIFICATE,
        Code.TIMEOUT_AFTER_SERVER_CERTIFICATE,
    }
    assert Code.CLIENT_CERTIFICATE_MISSING in lack
    assert not refuse & leave
    assert not lack & (refuse | leave | LOOKS_LATE)
    assert not any(told(None) for told in (refuses_our_certificate, leaves_at_our_certificate, lacks_good_certificate))
