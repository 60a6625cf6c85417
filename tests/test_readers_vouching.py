"""Which checkpoints count, and which signatures are the spelling that was written."""

from __future__ import annotations

from base64 import b64decode

from doorlog.log.chain import is_signed_by, unsigned
from doorlog.readers.record import Line
from doorlog.readers.report import Finding, Kind
from doorlog.readers.vouching import Vouching
from support.chained_logs import ChainedLog, log_key

KEY = log_key().public_key()


def checkpoint() -> bytes:
    return ChainedLog(log_key()).start().checkpoint().last.removesuffix(b"\n")


def taken(data: bytes) -> Finding | None:
    line = Line("a", 1, data)
    return Vouching([KEY], {}).take(line, line.parsed() or {})


def test_a_signature_counts_for_its_line_only() -> None:
    assert taken(checkpoint()) is None
    spoiled = taken(checkpoint().replace(b"2026-03-01", b"2026-03-02"))
    assert spoiled is not None
    assert spoiled.sentence.startswith("the signature of this checkpoint is not one of key 34750f98bd59fcfc")


def test_another_spelling_of_the_same_signature_is_a_change() -> None:
    """The last character before == has four bits that mean nothing."""
    line = checkpoint()
    signature = unsigned(line)[1] or b""
    other = next(
        spelling
        for last in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        if (spelling := signature[:-3] + bytes([last]) + b"==") != signature
        and b64decode(spelling) == b64decode(signature)
    )
    spelled = line.replace(signature, other)

    assert not is_signed_by(spelled, KEY)
    assert (found := taken(spelled)) is not None
    assert found.kind is Kind.SIGNATURE
    assert taken(line.replace(signature, b"!" + signature[1:])) is not None


def test_a_key_id_that_a_forger_chose_is_shown_harmlessly() -> None:
    found = taken(checkpoint().replace(b"34750f98bd59fcfc", b"\\u001b[31m"))

    assert found is not None
    assert "\x1b" not in found.sentence
