"""The chain of hashes and its signatures: whatever is changed in a line shows."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.chain import NOTHING_BEFORE, chained, is_signed_by, key_id, line_hash, previous_of, signed, unsigned
from support.events import failed_connect, one_of_each

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key()
LINE = b'{"event":{"sequence":7},"doorlog":{"schema_version":1}}\n'
HASHES = st.binary(min_size=32, max_size=32).map(lambda raw: raw.hex().encode())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [',"previous_sha256":"' + "0" * 64 + '"}}', ',"signature":"' + "A" * 88 + '"}}', '"}}', "}}"]
)


def line_with(text: str) -> bytes:
    record = {"event": {"sequence": 1}, "doorlog": {"schema_version": 1, "fault": text}}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_a_line_holds_the_hash_of_the_bytes_before_it() -> None:
    first = chained(LINE, NOTHING_BEFORE)
    second = chained(LINE, line_hash(first))

    assert json.loads(first)["doorlog"] == {"schema_version": 1, "previous_sha256": "0" * 64}
    assert previous_of(second) == sha256(first[:-1]).hexdigest().encode()
    assert line_hash(first) == line_hash(first[:-1]), "the line feed does not count"
    assert line_hash(first + b"\n") != line_hash(first), "one of them, that is"


@given(TEXTS, HASHES)
def test_what_was_put_on_a_line_is_read_back_and_the_rest_stays(text: str, previous: bytes) -> None:
    line = line_with(text)
    linked = chained(line, previous)
    vouching = signed(linked, KEY)

    assert previous_of(line) is None, "no text that a peer chose is taken for the chain"
    assert unsigned(line) == (line[:-1], None)
    assert previous_of(linked) == previous_of(vouching) == previous_of(vouching[:-1]) == previous
    assert unsigned(linked) == (linked[:-1], None)
    assert unsigned(vouching)[0] == linked[:-1]
    assert json.loads(vouching)["doorlog"]["fault"] == text
    assert is_signed_by(vouching, PUBLIC)
    assert is_signed_by(vouching[:-1], PUBLIC)


@given(st.data())
def test_no_byte_of_a_signed_line_can_be_another_one(data: st.DataObject) -> None:
    line = signed(chained(LINE, NOTHING_BEFORE), KEY)
    place = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[place]))

    assert not is_signed_by(line[:place] + bytes([byte]) + line[place + 1 :], PUBLIC)


def test_bits_of_base64_that_mean_nothing_can_not_be_changed_either() -> None:
    line = signed(chained(LINE, NOTHING_BEFORE), KEY)
    signature = unsigned(line)[1]
    assert signature is not None
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = signature[:-3] + digits[digits.index(signature[-3]) + 1 :][:1] + b"=="

    assert not is_signed_by(line.replace(signature, twin), PUBLIC)


@pytest.mark.parametrize(
    "signature",
    [b"A" * 88, b"=" * 88, b"\xff" * 88, b"A" * 87 + b"=", b64encode(b"x" * 64), b" " * 88, b'"' * 88],
)
def test_what_is_no_signature_is_none_of_the_key(signature: bytes) -> None:
    forged = chained(LINE, NOTHING_BEFORE)[:-3] + b',"signature":"' + signature + b'"}}\n'

    assert not is_signed_by(forged, PUBLIC)


def test_another_keys_signature_and_no_signature_do_not_count() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    linked = chained(LINE, NOTHING_BEFORE)

    assert not is_signed_by(signed(linked, other), PUBLIC)
    assert not is_signed_by(linked, PUBLIC)
    assert not is_signed_by(b"", PUBLIC)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(line: bytes) -> None:
    assert previous_of(line) is None
    assert unsigned(line)[1] is None
    assert not is_signed_by(line, PUBLIC)


@pytest.mark.parametrize("line", [b"", b"{}\n", b'{"doorlog":{}}', b'{"doorlog":{"a":1},"z":1}\n'])
def test_a_line_that_does_not_end_with_doorlog_can_not_be_chained(line: bytes) -> None:
    with pytest.raises(ValueError, match="not the last object"):
        chained(line, NOTHING_BEFORE)


def test_a_key_is_named_by_what_is_public_of_it() -> None:
    assert key_id(PUBLIC) == sha256(PUBLIC.public_bytes_raw()).hexdigest()[:16]
    assert len({key_id(Ed25519PrivateKey.generate().public_key()) for _ in range(20)}) == 20


def test_records_of_every_kind_make_a_chain_in_which_each_change_shows() -> None:
    lines = []
    previous = NOTHING_BEFORE
    for event in (*one_of_each(), failed_connect()):
        doorlog = event.doorlog.model_dump_json(exclude_none=True)
        lines.append(chained(b'{"message":"said","doorlog":' + doorlog.encode() + b"}\n", previous))
        previous = line_hash(lines[-1])

    def is_whole(chain: list[bytes]) -> bool:
        hashes = [NOTHING_BEFORE, *map(line_hash, chain)]
        return all(previous_of(line) == before for line, before in zip(chain, hashes, strict=False))

    assert is_whole(lines)
    assert not is_whole(lines[1:])
    assert not is_whole([*lines[:3], *lines[4:]])
    assert not is_whole([lines[1], lines[0], *lines[2:]])
    assert not is_whole([*lines[:3], lines[2], *lines[3:]])
    assert not is_whole([lines[0].replace(b"said", b"sajd"), *lines[1:]])
