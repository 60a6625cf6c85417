"""The audit trail: a good log is whole, and whatever one changes in it is found, at the right place."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from doorlog.log.chain import NOTHING_BEFORE, chained, key_id, line_hash, signed
from doorlog.readers.audit_trail import AuditTrail, checkpoints_of
from doorlog.readers.report import Broken, Finding, Report
from doorlog.readers.verify import load_keys
from support.audited import make_key, write_log

KEY = Ed25519PrivateKey.generate()
KEYS = {key_id(KEY.public_key()): KEY.public_key()}


@cache
def good() -> tuple[bytes, ...]:
    """Two lives of a broker, 35 lines."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "doorlog.jsonl"
        for _ in range(2):
            write_log(path)
        return tuple(path.read_bytes().split(b"\n")[:-1])


def audit(lines: list[bytes] | tuple[bytes, ...], **given: object) -> Report:
    trail = AuditTrail(**given)  # type: ignore[arg-type]  # as the test gives them
    trail.begin_file("doorlog.jsonl")
    try:
        trail.read(lines)
        trail.end()
    except Broken as broken:
        trail.report.fault = broken.finding
    return trail.report


def fault(lines: list[bytes], **given: object) -> Finding:
    found = audit(lines, **given).fault
    assert found is not None
    return found


def record(sequence: int, action: str = "connect", previous: bytes = NOTHING_BEFORE, **doorlog: object) -> bytes:
    """A line with the least that a record has."""
    event = {"action": action, "sequence": sequence, **({"code": doorlog.pop("code")} if "code" in doorlog else {})}
    line = orjson.dumps({"message": "it happened", "event": event, "doorlog": {"schema_version": 1, **doorlog}})
    return chained(line + b"\n", previous)[:-1]


def chain(*given: dict[str, object]) -> list[bytes]:
    """Lines that hold each other's hash."""
    lines: list[bytes] = []
    for fields in given:
        previous = line_hash(lines[-1]) if lines else NOTHING_BEFORE
        lines.append(record(**{"previous": previous, **fields}))  # type: ignore[arg-type]  # as the test gives them
    return lines


# good logs


def test_a_good_log_is_whole() -> None:
    report = audit(good())
    assert report.is_whole
    assert (report.records, report.first_sequence, report.last_sequence) == (len(good()), 1, len(good()))
    assert report.is_complete
    assert report.checkpoints >= 2
    assert [finding.kind for finding in report.declared] in ([], ["interrupted"])


def test_a_log_whose_older_segments_are_gone_is_whole_from_here_on() -> None:
    report = audit(good()[20:])
    assert report.is_whole
    assert not report.is_complete
    assert report.first_sequence == 21


def test_an_overflow_that_the_log_declares_is_no_fault() -> None:
    gap = {"first_sequence": 2, "last_sequence": 9, "records": 8, "connects": 8}
    report = audit(chain({"sequence": 1}, {"sequence": 10, "action": "audit_gap", "code": "overflow", "gap": gap}))
    assert report.is_whole
    assert [finding.kind for finding in report.declared] == ["gap"]


def test_lines_that_were_lost_on_their_way_are_declared_by_the_hash_before_them() -> None:
    first = record(1)
    gap = {"first_sequence": 2, "last_sequence": 3, "records": 2, "after_sha256": line_hash(first).decode()}
    lost = record(4, "audit_gap", b"f" * 64, code="write_failed", gap=gap)
    assert audit([first, lost]).is_whole
    wrong = record(4, "audit_gap", b"f" * 64, code="write_failed", gap={**gap, "after_sha256": "0" * 64})
    assert fault([first, wrong]).kind == "removed"


@pytest.mark.parametrize("span", [(3, 9), (2, 8), (2, 10), (None, None)])
def test_a_gap_that_does_not_say_exactly_what_is_missing_is_one(span: tuple[int | None, int | None]) -> None:
    gap = {"first_sequence": span[0], "last_sequence": span[1]}
    lines = chain({"sequence": 1}, {"sequence": 10, "action": "audit_gap", "code": "overflow", "gap": gap})
    assert fault(lines).kind in ("removed", "changed")


def test_an_interruption_is_declared() -> None:
    report = audit(chain({"sequence": 1}, {"sequence": 2, "action": "audit_gap", "code": "interrupted", "gap": {}}))
    assert report.is_whole
    assert [finding.kind for finding in report.declared] == ["interrupted"]


def test_a_file_that_was_truncated_is_not_whole() -> None:
    lines = chain({"sequence": 1}, {"sequence": 2, "action": "audit_gap", "code": "truncated", "gap": {}})
    assert fault(lines).kind == "truncated"


# one thing changed


@given(st.data())
def test_whatever_one_byte_becomes_is_found_at_its_line_or_the_next(data: st.DataObject) -> None:
    lines = list(good())
    index = data.draw(st.integers(0, len(lines) - 2))
    place = data.draw(st.integers(0, len(lines[index]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (lines[index][place], 10)))
    lines[index] = lines[index][:place] + bytes([other]) + lines[index][place + 1 :]
    assert fault(lines).line in (index + 1, index + 2)


@given(st.integers(0, 33), st.integers(1, 3))
def test_lines_that_are_removed_are_missed(index: int, count: int) -> None:
    lines = list(good())
    index = min(index, len(lines) - count - 1)
    del lines[index : index + count]
    report = audit(lines)
    if index == 0:
        assert not report.is_complete
        return
    found = report.fault
    assert found is not None
    assert (found.kind, found.line) == ("removed", index + 1)
    assert f"{index + 1}" in found.sentence


@given(st.integers(1, 33))
def test_two_lines_that_change_places_are_found(index: int) -> None:
    lines = list(good())
    index = min(index, len(lines) - 2)
    lines[index], lines[index + 1] = lines[index + 1], lines[index]
    assert (fault(lines).kind, fault(lines).line) == ("reordered", index + 1)


@given(st.integers(1, 34))
def test_a_line_that_stands_there_twice_is_found(index: int) -> None:
    lines = list(good())
    index = min(index, len(lines) - 1)
    lines.insert(index, lines[index - 1])
    assert (fault(lines).kind, fault(lines).line) == ("inserted", index + 1)


def test_a_forged_line_that_knows_the_hash_breaks_the_next_link() -> None:
    lines = list(good())
    lines.insert(5, record(6, previous=line_hash(lines[4])))
    assert fault(lines).line == 7


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"\0" * 100, b"[1]", b'{"event":{"sequence":6,"action":"connect"}}', b"\xff"]
)
def test_what_is_no_record_is_named(line: bytes) -> None:
    lines = list(good())
    lines[5] = line
    assert fault(lines).line == 6


def test_a_sequence_that_jumps_although_the_chain_goes_on_was_written_by_no_doorlog() -> None:
    assert "3 where 2 is due" in fault(chain({"sequence": 1}, {"sequence": 3})).sentence


def test_text_that_looks_like_structure_is_only_text() -> None:
    text = '"sequence":99,"action":"audit_stopped"'
    lines = chain({"sequence": 1}, {"sequence": 2, "claimed": text}, {"sequence": 3})
    assert audit(lines).is_whole


# numbers


def numbers(action: str, **audit: int) -> dict[str, object]:
    return {"action": action, "audit": audit}


def life(*events: dict[str, object]) -> list[bytes]:
    return chain(*({**fields, "sequence": number} for number, fields in enumerate(events, 1)))


STARTED = numbers("audit_started", accepted=0, connects=0)
CONNECT: dict[str, object] = {"action": "connect"}
FLOOD: dict[str, object] = {"action": "flood", "flood": {"action": "connect", "count": 40}}


@pytest.mark.parametrize(
    ("told", "is_right"),
    [
        ({"accepted": 42, "connects": 2, "folded": 40}, True),
        ({"accepted": 43, "connects": 2, "folded": 40}, False),
        ({"accepted": 43, "connects": 3, "folded": 40}, False),
        ({"accepted": 41, "connects": 2, "folded": 39}, False),
        ({"accepted": 42, "connects": 2, "folded": 40, "lost": 1}, False),
    ],
)
def test_the_numbers_of_a_run_are_counted_again(told: dict[str, int], is_right: bool) -> None:
    report = audit(life(STARTED, CONNECT, CONNECT, FLOOD, numbers("audit_stopped", **told)))
    assert report.is_whole == is_right
    assert is_right or (report.fault is not None and report.fault.kind == "counts")


def test_at_a_checkpoint_some_may_be_under_way() -> None:
    assert audit(life(STARTED, CONNECT, numbers("audit_checkpoint", accepted=5, connects=1))).is_whole
    assert not audit(life(STARTED, CONNECT, numbers("audit_checkpoint", accepted=0, connects=1))).is_whole


def test_a_run_whose_begin_is_not_here_is_not_counted() -> None:
    lines = life(CONNECT, numbers("audit_stopped", accepted=500, connects=500))
    assert audit(lines).is_whole


def test_lost_ones_count_too() -> None:
    gap: dict[str, object] = {
        "action": "audit_gap",
        "code": "write_failed",
        "gap": {"records": 0, "connects": 0},
    }
    assert audit(life(STARTED, gap, CONNECT, numbers("audit_stopped", accepted=1, connects=1))).is_whole


# signatures


def sign(lines: list[bytes], key: Ed25519PrivateKey | None = KEY, says: str | None = None) -> list[bytes]:
    """Add a checkpoint."""
    key_name = says or (key_id(key.public_key()) if key else None)
    fields = {"checkpoint": {"records": 1, **({"key_id": key_name} if key_name else {})}}
    line = record(len(lines) + 1, "audit_checkpoint", line_hash(lines[-1]), **fields)
    return [*lines, signed(line + b"\n", key)[:-1] if key else line]


def test_a_signature_vouches_for_what_stands_before_it() -> None:
    lines = sign(chain({"sequence": 1}))
    lines.append(record(3, previous=line_hash(lines[-1])))
    report = audit(lines, keys=KEYS)
    assert report.is_whole
    assert report.vouched == 2
    assert (
        report.sentences(has_keys=True)[-1]
        == "vouched for by a signature up to record 2; the 1 behind it only by the chain"
    )


def test_a_log_that_was_rewritten_can_not_be_signed_again() -> None:
    forger = Ed25519PrivateKey.generate()
    rewritten = sign(chain({"sequence": 1, "claimed": "nothing happened"}), forger, says=next(iter(KEYS)))
    assert fault(rewritten, keys=KEYS).kind == "signature"
    assert "which was not given" in fault(sign(chain({"sequence": 1}), forger), keys=KEYS).sentence


def test_a_signature_that_was_left_out_is_missed() -> None:
    lines = sign(sign(chain({"sequence": 1})), None)
    assert "not signed, although those before it are" in fault(lines, keys=KEYS).sentence
    assert audit(lines).is_whole, "nobody asked for signatures"


def test_a_log_without_signatures_has_nothing_that_vouches_for_it() -> None:
    report = audit(sign(chain({"sequence": 1}), None), keys=KEYS)
    assert report.is_whole
    assert report.sentences(has_keys=True)[-1] == "no signature vouches for it"


def test_another_key_may_go_on() -> None:
    second = Ed25519PrivateKey.generate()
    lines = sign(sign(chain({"sequence": 1})), second)
    assert audit(lines, keys={**KEYS, key_id(second.public_key()): second.public_key()}).is_whole
    assert not audit(lines, keys=KEYS).is_whole


def test_a_real_log_with_a_real_key(tmp_path: Path) -> None:
    key = make_key(tmp_path / "log.key")
    write_log(tmp_path / "doorlog.jsonl", key=key)
    lines = (tmp_path / "doorlog.jsonl").read_bytes().split(b"\n")[:-1]
    report = audit(lines, keys=load_keys([key.with_suffix(".pub")]))
    assert report.is_whole
    assert report.vouched == report.last_sequence, "the last record is a checkpoint"


# kept elsewhere


def kept(lines: list[bytes] | tuple[bytes, ...], prefix: bytes = b"") -> dict[int, bytes]:
    return checkpoints_of(prefix + line + b"\n" for line in lines)


def test_a_tail_that_was_cut_off_is_missed_by_a_checkpoint_kept_elsewhere() -> None:
    elsewhere = kept(good(), b"<134>1 2026-03-01T15:02:11Z mqtt doorlog 7 audit_checkpoint - ")
    assert audit(good(), elsewhere=elsewhere).is_whole
    cut = list(good()[:-1])
    assert audit(cut).is_whole, "the log alone can not show it"
    assert fault(cut, elsewhere=elsewhere).kind == "cut"


def test_a_log_that_was_rewritten_differs_from_its_checkpoint_elsewhere() -> None:
    honest = sign(chain({"sequence": 1}))
    rewritten = sign(chain({"sequence": 1, "claimed": "nothing happened"}))
    assert fault(rewritten, elsewhere=kept(honest)).kind == "checkpoint"
    no_checkpoint = chain({"sequence": 1}, {"sequence": 2})
    assert fault(no_checkpoint, elsewhere=kept(honest)).kind == "checkpoint"


def test_a_checkpoint_from_before_the_log_is_noted() -> None:
    lines = list(good())
    elsewhere = {1: b"0" * 64}
    assert audit(lines[3:], elsewhere=elsewhere).notes == ["the checkpoint of record 1 is older than this log"]


CHANGES: tuple[Callable[[list[bytes]], None], ...] = (
    lambda lines: lines.pop(7),
    lambda lines: lines.insert(7, lines[3]),
    lambda lines: lines.reverse(),
)


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_break_is_the_one_that_is_named(change: Callable[[list[bytes]], None]) -> None:
    lines = list(good())
    change(lines)
    lines[30] = b"too"
    assert fault(lines).line < 30
