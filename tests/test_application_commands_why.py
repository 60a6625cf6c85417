"""``doorlog why`` as it is typed: with a code, a device's own words, a number, or nothing."""

from __future__ import annotations

import json
import subprocess

import pytest

from doorlog.application.cli import ExitCode
from doorlog.application.commands_why import _codes_like
from doorlog.events.codes import Code
from support.commands import DOORLOG, doorlog


def test_a_code_is_explained_with_causes_checks_and_the_fix_on_both_sides() -> None:
    said = doorlog("why", "server_certificate_unknown_ca")

    assert (said.code, said.err) == (0, [])
    text = "\n".join(said.out)
    headings = ["the log holds", "usual causes", "how to find out", "on the device", "on the broker", "devices print"]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "event.code server_certificate_unknown_ca" in text
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in said.out), "plain in a pipe"


@pytest.mark.parametrize("code", Code)
def test_every_code_is_explained(code: Code) -> None:
    said = doorlog("why", code)

    assert said.code == 0
    assert said.out[0].startswith(code)


def test_words_that_a_device_printed_are_recognised_with_or_without_quotes() -> None:
    said = doorlog("why", "The certificate is not", "correctly", "signed", "by the trusted CA")

    assert said.code == 0
    assert said.out[:2] == ["recognised:", '  mbedTLS: "The certificate is not correctly signed by the trusted CA"']
    assert said.out[3].startswith("server_certificate_unknown_ca")


def test_a_negative_number_is_no_option() -> None:
    said = doorlog("why", "-0x2700")

    assert said.code == 0
    assert '"MBEDTLS_ERR_X509_CERT_VERIFY_FAILED" (-0x2700)' in said.out[1]
    assert "it may also be" in said.out


def test_a_devices_log_is_read_from_standard_input() -> None:
    log = "I (1) boot\nE (12) MQTT_CLIENT: Connection refused, not authorized\n"
    done = subprocess.run([*DOORLOG, "why", "-", "--json"], input=log, capture_output=True, text=True, check=True)

    answer = json.loads(done.stdout)
    assert answer["matches"][0]["stack"] == "ESP-IDF"
    assert answer["codes"][0]["code"] == "no_credentials"
    assert answer["codes"][0]["devices_print"]


def test_a_device_that_did_not_reach_the_broker_is_told_where_to_look() -> None:
    told = doorlog("why", "connect ECONNREFUSED 127.0.0.1:8883")
    plain = json.loads("\n".join(doorlog("why", "ECONNREFUSED", "--json").out))

    assert told.code == 0
    assert '  "ECONNREFUSED"' in told.out
    assert any("no connection was accepted" in line for line in told.out)
    assert "how to find out" in told.out
    assert (plain["codes"], plain["unreached"]["text"]) == ([], "ECONNREFUSED")


def test_without_an_argument_all_codes_are_listed_by_stage() -> None:
    said = doorlog("why")
    names = [line.strip().partition(":")[0] for line in said.out if line.startswith("  ") and ":" in line]

    assert [name for name in names if name in list(Code)] == list(Code)
    assert "credentials" in said.out
    assert [entry["code"] for entry in json.loads("\n".join(doorlog("why", "--json").out))] == list(Code)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("bad_pasword", "did you mean bad_password?"),
        ("qqq", "doorlog why lists all codes"),
        ("\x1b[31m qqq \u202e", "\\u001B[31m qqq \\u202E"),
        ("q" * 100_000, "qqq…"),
    ],
)
def test_what_nobody_knows_is_said_with_a_hint(asked: str, hint: str) -> None:
    said = doorlog("why", asked)

    assert said.code == ExitCode.FAILED
    assert hint in said.err[0]
    assert len(said.err[0]) < 200


def test_codes_are_completed() -> None:
    assert _codes_like("bad_") == [Code.BAD_PASSWORD]
