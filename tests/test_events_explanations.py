"""Every code is explained, and the page in docs is the one made from the explanations."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from pydantic import ValidationError

from doorlog.events.codes import STAGE_OF, Action, Code, DisconnectCause
from doorlog.events.device_texts import devices_print
from doorlog.events.explanations import Explanation, explanation, explanations, page

PAGE = Path(__file__).parent.parent / "docs" / "codes.md"
EVERYTHING = [*Code, *DisconnectCause, *Action]


def sentences_of(entry: Explanation) -> list[str]:
    return [entry.means, *entry.causes, *entry.checks, *entry.do.device, *entry.do.broker]


@pytest.mark.parametrize("code", EVERYTHING)
def test_everything_that_a_record_can_say_is_explained(code: Code | DisconnectCause | Action) -> None:
    entry = explanation(code)

    assert entry.means
    for sentence in sentences_of(entry):
        assert re.match(r"[A-Z0-9`]|[a-z0-9]+(_[a-z0-9]+)+ |mqtt|alpn |cafile |ciphers |crlfile ", sentence), sentence
        assert sentence.endswith((".", "?", "`", "verify_return_error`")), sentence
        assert "\n" not in sentence
        assert sentence.count("`") % 2 == 0


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.ADMITTED])
def test_every_failure_says_why_and_what_to_do(code: Code) -> None:
    entry = explanation(code)

    assert entry.causes
    assert entry.checks
    assert entry.do.device or entry.do.broker


@pytest.mark.parametrize("code", Code)
def test_the_stage_is_the_one_of_the_record(code: Code) -> None:
    assert explanation(code).stage == STAGE_OF.get(code)


def test_the_explanations_stand_in_the_order_of_the_lists() -> None:
    everything = explanations()

    assert list(everything.codes) == list(Code)
    assert list(everything.disconnects) == list(DisconnectCause)
    assert list(everything.actions) == list(Action)


def test_a_plain_text_finds_the_code_and_a_cause_finds_its_own_words() -> None:
    assert explanation("bad_password").connack == 4
    assert explanation("keep_alive_timeout").means == explanation(DisconnectCause.KEEP_ALIVE_TIMEOUT).means
    assert "attempt" in explanation("server_shutdown").means
    assert "session" in explanation(DisconnectCause.SERVER_SHUTDOWN).means
    with pytest.raises(KeyError, match="bad_pasword"):
        explanation("bad_pasword")


def test_a_device_can_not_tell_an_unknown_user_from_a_wrong_password() -> None:
    wrong, unknown = explanation(Code.BAD_PASSWORD), explanation(Code.UNKNOWN_USER)

    assert wrong.connack == unknown.connack
    assert devices_print(Code.BAD_PASSWORD) == devices_print(Code.UNKNOWN_USER)


@pytest.mark.parametrize(
    ("stack", "text", "code"),
    [
        ("mbedTLS", "The certificate is not correctly signed by the trusted CA", Code.SERVER_CERTIFICATE_UNKNOWN_CA),
        ("Java", "PKIX path building failed", Code.SERVER_CERTIFICATE_UNKNOWN),
        ("Go", "x509: certificate signed by unknown authority", Code.SERVER_CERTIFICATE_BAD),
        ("GnuTLS", "The certificate issuer is unknown.", Code.SERVER_CERTIFICATE_BAD),
        ("Node.js and mqtt.js", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", Code.CLOSED_AFTER_SERVER_CERTIFICATE),
        ("mbedTLS", "The certificate validity starts in the future", Code.SERVER_CERTIFICATE_UNKNOWN),
    ],
)
def test_what_a_stack_prints_leads_to_the_code_that_its_alert_gives(stack: str, text: str, code: Code) -> None:
    assert (stack, text) in {(item.stack, item.text) for item in devices_print(code)}


def test_an_explanation_can_not_be_changed_or_misspelt() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        explanation(Code.ADMITTED).means = "x"  # type: ignore[misc] # that it is refused is the point
    with pytest.raises(ValidationError, match="meens"):
        Explanation.model_validate({"means": "x", "meens": "x"})
    with pytest.raises(ValidationError):
        Explanation(means="x", connack=6)


# The page.


def test_the_committed_page_is_the_one_made_from_the_explanations() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m doorlog.events.explanations > docs/codes.md"


def test_the_module_prints_the_page() -> None:
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-m", "doorlog.events.explanations"], capture_output=True, check=True
    )

    assert printed.stdout.decode() == page()
    assert not printed.stderr


def test_every_code_has_a_heading_and_all_else_an_anchor() -> None:
    text = page()

    for code in Code:
        assert f"\n### {code}\n" in text
    for name in chain((f"disconnect-{cause}" for cause in DisconnectCause), (f"action-{item}" for item in Action)):
        assert f'<a id="{name}"></a>' in text


def test_every_link_of_the_page_leads_somewhere() -> None:
    text = page()
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_table_has_as_many_cells_in_each_row() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", page(), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
