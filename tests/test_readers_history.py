"""What a log holds of one device is found, marked and in order, whatever else stands in its lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.readers.files import open_log
from doorlog.readers.history import (
    MOST_CONFIRMED,
    Ambiguous,
    Entry,
    History,
    ambiguous_of,
    history_of,
    with_confirmed,
)
from doorlog.readers.lines import DamagedFile, LogFile
from support.chained_logs import ChainedLog
from support.events import admitted_connect, failed_connect, refused_password
from support.log_files import WrittenLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Lines = list[bytes]


def line(action: str = "connect", at: int = 0, connection: str = "c0", **fields: Any) -> bytes:
    """Return a line of a log; ``fields`` are those of ``doorlog`` and the top."""
    record = {
        "@timestamp": f"2026-03-01T15:{at // 60:02}:{at % 60:02}.000000Z",
        "event": {"action": action, "code": fields.pop("code", None)},
        **({"device": {"id": fields.pop("device")}} if "device" in fields else {}),
        **fields.pop("top", {}),
        "doorlog": {"connection_id": connection, "device": fields.pop("evidence", {}), **fields},
    }
    return orjson.dumps(record) + b"\n"


def certain(device: str, **fields: Any) -> bytes:
    return line(device=device, evidence={"method": "client_id", "confidence": "certain"}, code="admitted", **fields)


def ambiguous(*candidates: Any, **fields: Any) -> bytes:
    return line(evidence={"confidence": "ambiguous", "candidates": list(candidates)}, **fields)


def confirming(device: str, connections: Any, **fields: Any) -> bytes:
    evidence = {"method": "address_and_client_hello", "confidence": "likely"}
    return line(
        "device_confirmed", device=device, evidence=evidence, confirmed={"connection_ids": connections}, **fields
    )


def files(lines: Sequence[bytes], size: int = 1_000) -> list[LogFile]:
    data = b"".join(lines)
    return [LogFile("doorlog.jsonl", [data[at : at + size] for at in range(0, len(data), size)], live=True)]


def told(lines: Sequence[bytes], device: str = "pump-17", last: int = 100) -> History:
    return with_confirmed(files(lines), history_of(files(lines), device, last=last))


def marks(history: History) -> list[tuple[str, str | None]]:
    return [(entry.mark, entry.record["doorlog"].get("connection_id")) for entry in history.entries]


def test_what_was_before_a_moment_is_left_out_and_its_files_are_not_read() -> None:
    def never() -> Iterator[bytes]:
        pytest.fail("a file that holds nothing of interest is read")
        yield b""

    name = "doorlog-20260301T{}Z-{:019}.jsonl"
    early = [certain("pump-17", at=660), ambiguous(at=660, connection="early")]
    late = [certain("pump-17", at=780), confirming("pump-17", ["early"], at=780)]

    def log() -> list[LogFile]:
        return [
            LogFile(name.format("150000", 1), never()),
            LogFile(name.format("151000", 5), early),
            LogFile(name.format("151200", 9), late),
        ]

    since = datetime(2026, 3, 1, 15, 11, 30, tzinfo=UTC)
    found = history_of(log(), "pump-17", last=10, since=since)

    assert (found.found, [entry.time for entry in found.entries]) == (2, ["2026-03-01T15:13:00.000000Z"] * 2)
    assert with_confirmed(log(), found, since).found == 2, "what was explained then was before it"


# what is marked how


def test_each_kind_of_record_has_its_mark() -> None:
    log = ChainedLog().start().add(admitted_connect()).add(failed_connect())
    claim = refused_password()
    evidence = claim.doorlog.device.model_copy(update={"confidence": "likely"}) if claim.doorlog.device else None
    log.add(claim.model_copy(update={"doorlog": claim.doorlog.model_copy(update={"device": evidence})}))

    assert [entry.mark for entry in history_of(log.files(), "pump-17", last=10).entries] == [
        "certain", "likely", "claimed",
    ]  # fmt: skip
    assert [(entry.mark, entry.score) for entry in history_of(log.files(), "pump-18", last=10).entries] == [
        ("ambiguous", 0.1)
    ]


@pytest.mark.parametrize(
    ("evidence", "code", "mark"),
    [
        ({"method": "client_id", "confidence": "likely"}, "bad_password", "claimed"),
        ({"method": "user_name", "confidence": "likely"}, "bad_password", "claimed"),
        ({"method": "certificate", "confidence": "likely"}, "client_certificate_untrusted", "likely"),
        ({"method": "certificate", "confidence": "certain"}, "client_certificate_expired", "certain"),
        ({"method": "client_id", "confidence": "certain"}, "admitted", "certain"),
        ({}, "bad_password", "likely"),
        ("nonsense", "bad_password", "likely"),
        ({"method": ["client_id"], "confidence": {}}, 7, "likely"),
    ],
)
def test_what_is_only_written_is_a_claim(evidence: Any, code: Any, mark: str) -> None:
    assert marks(told([line(device="pump-17", evidence=evidence, code=code)])) == [(mark, "c0")]


def test_the_score_of_a_candidate() -> None:
    candidates = [{"id": "pump-18", "score": 0.9}, {"id": "pump-17", "score": 0.25}]
    (entry,) = told([ambiguous(*candidates)]).entries
    assert (entry.mark, entry.score) == ("ambiguous", 0.25)


# what stands in other places, and what is no record


def test_an_id_in_another_place_is_none_of_its_records() -> None:
    lines = [
        line(top={"message": "pump-17"}),
        line(top={"message": '"pump-17"', "mqtt": {"client_id": "pump-17", "topic": "pump-17"}}),
        certain("pump-170"),
        certain("a pump-17"),
        line(device="other", top={"user": {"name": "pump-17"}}),
        ambiguous({"id": "other"}, {"name": "pump-17"}),
    ]
    assert told(lines) == History("pump-17", 100)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\n",
        b'"pump-17"\n',
        b'["pump-17"]\n',
        b"null\n",
        b'{"device":{"id":"pump-17"\n',
        b'{"device":"pump-17"}\n',
        b'{"device":["id","pump-17"]}\n',
        b'\xff\xfe"pump-17"\n',
        b'{"a":' + b"[" * 5_000 + b'"pump-17"\n',
        ambiguous("pump-17", ["pump-17"], None, 7, {"id": ["pump-17"]}),
        line(evidence={"candidates": {"id": "pump-17"}}),
        line(evidence={"candidates": "pump-17", "x": "pump-17"}),
        line(evidence={"candidates": 7, "x": "pump-17"}),
        line(evidence="pump-17"),
    ],
)
def test_what_is_no_record_about_it_is_passed_over(hostile: bytes) -> None:
    assert marks(told([hostile, certain("pump-17", connection="c1"), hostile])) == [("certain", "c1")]


@pytest.mark.parametrize("score", [None, "0.5", True, [0.5], {}])
def test_a_score_that_is_none_is_left_out(score: Any) -> None:
    (entry,) = told([ambiguous({"id": "pump-17", "score": score})]).entries
    assert entry.score is None


@pytest.mark.parametrize("connections", [7, "c1", {"c1": 1}, None, [None, 7, ["c1"]], [""]])
def test_connections_that_are_no_list_of_texts_confirm_nothing(connections: Any) -> None:
    found = told([line(connection="c1"), confirming("pump-17", connections, connection="c2")])
    assert marks(found) == [("likely", "c2")]


@pytest.mark.parametrize(
    "device", ['a"b', "a\\b", "a\\u001Bb", "pümp", "ポンプ", "😀", "", "a/b+#", "(.*)", "\x1b[2J", "admitted"]
)
def test_any_id_is_found(device: str) -> None:
    assert marks(told([certain("other"), certain(device, connection="c1")], device)) == [("certain", "c1")]


def test_an_id_that_no_record_can_hold_is_not_found() -> None:
    assert told([certain("pump-17")], "\udcff") == History("\udcff", 100)


@given(st.text(), st.text(), st.integers(1, 400))
def test_only_the_very_id_is_found_in_pieces_of_any_size(one: str, other: str, size: int) -> None:
    lines = [certain(one, at=0), certain(other, at=1), certain(one, at=2), b'{"torn']
    found = history_of(files(lines, size), one, last=10)
    assert found.found == (3 if one == other else 2)


# what was confirmed later


def test_attempts_that_were_explained_later_are_in_their_place() -> None:
    lines = [
        line(at=1, connection="c1"),
        ambiguous({"id": "pump-17", "score": 0.4}, at=2, connection="c2"),
        line(at=3, connection="c3"),
        line(at=4, connection="c4"),
        line("disconnect", at=5, connection="c3"),
        certain("pump-17", at=6, connection="c5"),
        confirming("pump-17", ["c1", "c2", "c3"], at=7, connection="c5"),
    ]
    found = told(lines)
    assert marks(found) == [
        ("confirmed", "c1"), ("confirmed", "c2"), ("confirmed", "c3"), ("certain", "c5"), ("likely", "c5"),
    ]  # fmt: skip
    assert found.found == 5

    short = told(lines, last=2)
    assert marks(short) == [("certain", "c5"), ("likely", "c5")]
    assert short.found == 5


def test_what_was_sure_stays_so_and_what_is_others_stays_theirs() -> None:
    likely = line(device="pump-17", evidence={"method": "address", "confidence": "likely"}, connection="c1")
    lines = [
        likely,
        line(connection="c2"),
        confirming("pump-17", ["c1"], connection="c3"),
        confirming("pump-18", ["c2"], connection="c4"),
        line(device="pump-17", confirmed={"connection_ids": ["c2"]}, connection="c5"),
    ]
    assert marks(told(lines)) == [("likely", "c1"), ("likely", "c3"), ("likely", "c5")]


def test_the_log_is_read_a_second_time_only_if_there_is_something_to_find() -> None:
    def unread() -> Iterator[bytes]:
        pytest.fail("nothing was confirmed")
        yield b""

    found = history_of(files([certain("pump-17")]), "pump-17", last=10)
    assert with_confirmed([LogFile("doorlog.jsonl", unread())], found) is found


def test_a_text_that_looks_like_a_connection_is_none() -> None:
    forged = line(connection="c8", top={"message": '"connection_id":"c1"', "x": {"connection_id": "c1"}})
    lines = [forged, line(connection="c1"), confirming("pump-17", ["c1"], connection="c9")]
    assert marks(told(lines)) == [("confirmed", "c1"), ("likely", "c9")]


# many


def test_the_latest_are_kept_and_all_are_counted() -> None:
    lines = [certain("pump-17", at=number, connection=f"c{number}") for number in range(1_000)]
    found = told(lines, last=3)
    assert marks(found) == [("certain", "c997"), ("certain", "c998"), ("certain", "c999")]
    assert found.found == 1_000


def test_thousands_of_confirmed_attempts_among_many_others_are_found_in_one_reading() -> None:
    names = [f"{number:016x}" for number in range(MOST_CONFIRMED + 100)]
    lines = [line(connection=name, top={"padding": ["x"] * 50}) for name in names]
    lines += [confirming("pump-17", names[at : at + 32]) for at in range(0, len(names), 32)]
    found = told(lines, last=10_000)
    assert sum(entry.mark == "confirmed" for entry in found.entries) == MOST_CONFIRMED


def test_attempts_that_may_be_its_own_are_counted(tmp_path: Path) -> None:
    log = WrittenLog(tmp_path)
    lines = [
        ambiguous({"id": "pump-17", "score": 0.4}, {"id": "pump-18"}, connection="c1"),
        ambiguous({"id": "pump-18"}, connection="c2"),
        certain("pump-17", connection="c3", top={"message": "ambiguous"}),
        line("disconnect", connection="c4", evidence={"confidence": "ambiguous", "candidates": [{"id": "pump-17"}]}),
        line(connection="c5", top={"message": '"pump-17" ambiguous'}),
    ]
    log.append_raw(b"".join(lines))
    with open_log(log.live) as opened:
        assert ambiguous_of(opened, "pump-17", datetime(2020, 1, 1, tzinfo=UTC)) == Ambiguous(1, None)
        assert ambiguous_of(opened, "pump-17", datetime(2100, 1, 1, tzinfo=UTC)) == Ambiguous(0, None)


# damage


def test_a_file_that_can_not_be_read_to_its_end_is_named() -> None:
    def breaking() -> Iterator[bytes]:
        yield certain("pump-17")
        raise DamagedFile

    damaged = [LogFile("one.zst", breaking()), LogFile("two", [certain("pump-17"), b'{"torn']), *files([b'{"writing'])]
    found = history_of(damaged, "pump-17", last=10)
    assert (found.found, found.damaged) == (2, ["one.zst", "two"])


def test_the_time_of_an_entry_is_a_text() -> None:
    assert Entry("certain", None, {"@timestamp": 7}).time == ""
    assert Entry("certain", None, {}).time == ""
