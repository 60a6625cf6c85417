"""Subjects: whatever a client calls itself, it gets one token of its own and no more."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.nats_subject import TOKEN_LIMIT, Addressing, Message, token
from support.log_files import record_line

NAMES = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=".*>=_ -a5FDé\x00\n\udc80", max_size=130),
    st.integers(30, 100).map(lambda count: "." * count),
    st.integers(94, 99).map(lambda count: "a" * count),
)


@given(NAMES)
def test_a_token_is_a_token(name: str) -> None:
    found = token(name)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", found)
    assert len(found) <= TOKEN_LIMIT
    assert found != "_"


@given(NAMES, NAMES)
def test_two_names_never_share_a_token(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@given(NAMES)
def test_no_name_can_be_chosen_so_that_it_looks_like_the_token_of_another(name: str) -> None:
    assert token(name) == name or token(token(name)) != token(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pump-17", "pump-17"),
        ("a.b", "a=2Eb"),
        (">", "=3E"),
        ("*", "=2A"),
        ("pump 17\r\nPUB x 1", "pump=2017=0D=0APUB=20x=201"),
        ("ü", "=C3=BC"),
        ("=", "=3D"),
        ("", "="),
        ("_", "=5F"),
        ("$SYS", "=24SYS"),
        ("x" * 97, "x" * 62 + "==f0dbfc4fbb4d0df0a3a3c0a9c3f0e3a4"),
    ],
)
def test_tokens_read_like_their_names(name: str, expected: str) -> None:
    found = token(name)
    assert found == expected if "==" not in expected else found.startswith(expected[:64])


def addressed(line: bytes, limit: int = 10) -> Message:
    return Addressing("doorlog", limit).message(line)


def test_a_record_goes_to_its_instance_and_device() -> None:
    line = record_line(7, instance="edge 1", device="pump.17")
    assert addressed(line) == Message("doorlog.edge=201.pump=2E17", "6bc2c0eddce3-7", line[:-1])
    assert addressed(record_line(7)).subject == "doorlog.edge-1._"


def test_what_is_no_record_of_ours_goes_somewhere_too() -> None:
    message = addressed(b"no json\n")
    assert message.subject == "doorlog._._"
    assert re.fullmatch(r"[0-9a-f]{64}", message.id)
    assert addressed(b"no json\n").id == message.id
    assert addressed(b"[]\n").subject == "doorlog._._"
    assert addressed(b'{"service":7,"device":{"id":{}},"event":{"id":[]}}\n').subject == "doorlog._._"


@pytest.mark.parametrize("name", ["", "a b", "a\r\nNats-Rollup: all", "é", "x" * 129])
def test_an_id_that_could_forge_a_header_is_replaced(name: str) -> None:
    line = record_line(7, event={"id": name, "sequence": 7})
    assert re.fullmatch(r"[0-9a-f]{64}", addressed(line).id)


def test_who_makes_up_names_gets_only_so_many_subjects() -> None:
    addressing = Addressing("doorlog", 2)

    def subject(name: str, confidence: str) -> str:
        line = record_line(1, device=name, doorlog={"device": {"confidence": confidence}})
        return addressing.message(line).subject

    assert [subject(name, "likely") for name in "abcab"] == [
        f"doorlog.edge-1.{device}" for device in ("a", "b", "_", "a", "b")
    ]
    assert subject("c", "certain") == "doorlog.edge-1.c"
    assert subject("c", "likely") == "doorlog.edge-1._"
