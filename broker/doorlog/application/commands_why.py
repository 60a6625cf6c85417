"""``doorlog why``: from a code, or from what a device printed, to what it means and what to do."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, examples, fail
from doorlog.events.codes import Code
from doorlog.text import safe_text

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Explain a code, or what a device printed.",
    "epilog": examples(
        "doorlog why server_certificate_unknown_ca",
        'doorlog why "The certificate is not correctly signed by the trusted CA"',
        "doorlog why 0x2700           a number, in any notation",
        "doorlog why - < device.log   what stands in a device's log",
        "doorlog why                  all codes",
    ),
    "context_settings": {"ignore_unknown_options": True},  # -0x2700 is no option
}
"""How it is registered."""
_LONGEST: Final = 100_000
"""Characters that are read from standard input."""
_SHOWN: Final = 60


def _codes_like(incomplete: str) -> list[str]:
    return [code for code in Code if code.startswith(incomplete)]


def why(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CODE|TEXT|NUMBER]",
            help="A code, a device's error text, or a number; - reads standard input.",
            autocompletion=_codes_like,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain why a device was turned away: what it means, what the log holds, the usual causes, how to tell, the fix.

    Known are the codes of the log, and what stacks print: mbedTLS, ESP-IDF, wolfSSL, OpenSSL, GnuTLS, BearSSL, Go,
    Java, Node.js, .NET, rustls, Apple, lwIP, AWS IoT, Paho, Tasmota, Zephyr, SIMCom, Quectel and others. A whole line
    of a device's log will do; so will one that says that the device did not reach the broker, which leaves no record.
    The exit code is 1 if nothing is known.
    """
    from doorlog.application.why_output import as_plain_answer, print_answer, print_codes, print_unreached
    from doorlog.events.matching import code_named, codes_of, did_not_reach, matches_of

    if not words:
        print_codes(as_json=as_json)
        return
    asked = sys.stdin.read(_LONGEST) if words == ["-"] else " ".join(words)
    code = code_named(asked)
    matches = [] if code is not None else matches_of(asked)
    if code is None and (said := did_not_reach(asked, matches)) is not None:
        print_unreached(said, as_json=as_json)
        return
    codes = [code] if code is not None else codes_of(matches)
    if not codes:
        fail(_unknown(asked), ExitCode.FAILED)
    if as_json:
        typer.echo(json.dumps(as_plain_answer(codes, matches), indent=2, ensure_ascii=False))
    else:
        print_answer(codes, matches)


def _unknown(asked: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches("_".join(asked.lower().split())[:_SHOWN], list(Code), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "doorlog why lists all codes"
    shown = safe_text(asked.strip(), _SHOWN)
    return f'nothing is known of "{shown}": {hint}\ntry only the words of the error, or its number'
