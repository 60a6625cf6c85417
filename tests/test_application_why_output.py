"""The answers of ``doorlog why``, for a terminal of any width and for a program."""

from __future__ import annotations

import pytest

from doorlog.application.why_output import as_plain_answer, print_answer, print_codes
from doorlog.events.codes import Code
from doorlog.events.matching import codes_of, matches_of


@pytest.mark.parametrize("width", [20, 60, 120])
def test_paragraphs_are_wrapped_where_the_terminal_ends_and_hang(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_answer([Code.SERVER_CERTIFICATE_UNKNOWN_CA], [])
    lines = capsys.readouterr().out.splitlines()

    causes = lines[lines.index("usual causes, the likeliest first") + 1 :]
    assert causes[0].startswith("  1. We serve")
    assert (causes[1].startswith("     ")) is (width < 120 or causes[1][2] != "2")
    assert all(len(line) <= max(width, 40) or " " not in line.strip(" -") or "`" in line for line in causes[:6])


def test_what_was_recognised_is_told_with_its_number() -> None:
    matches = matches_of("rc=-9984")
    plain = as_plain_answer(codes_of(matches), matches)

    assert plain["matches"][0] == {
        "stack": "mbedTLS",
        "source": plain["matches"][0]["source"],
        "text": "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED",
        "number": -0x2700,
        "score": 0.8,
    }
    assert plain["codes"][0]["do"]["device"]


def test_the_list_has_one_sentence_for_each_code(capsys: pytest.CaptureFixture[str]) -> None:
    print_codes(as_json=False)
    text = capsys.readouterr().out

    assert ".." not in text
    assert "at any stage" in text
