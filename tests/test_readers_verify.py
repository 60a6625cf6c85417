"""Good logs pass; whatever is done to one is found, and named where it was done."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorlog.errors import LogError
from doorlog.events.codes import GapCause
from doorlog.log.chain import NOTHING_BEFORE, chained, line_hash
from doorlog.readers.lines import DamagedFile, LogFile
from doorlog.readers.report import Finding, Kind, Report
from doorlog.readers.verify import GAPS_NAMED, verify
from support.chained_logs import ChainedLog, eventful_log, log_key, rechained, renumbered

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = (log_key(1).public_key(), log_key(2).public_key())


@cache
def good(*, signed: bool = True) -> ChainedLog:
    return eventful_log(log_key() if signed else None)


def files_of(segments: list[list[bytes]]) -> list[LogFile]:
    return ChainedLog(segments=segments).files()


def one_file(lines: list[bytes], *, live: bool = True) -> list[LogFile]:
    """In pieces of which each has some lines, so that what belongs together does not come together."""
    data = b"".join(lines)
    return [LogFile("doorlog.jsonl", [data[at : at + 25_000] for at in range(0, len(data), 25_000)], live=live)]


def found_in(lines: list[bytes]) -> Finding:
    found = verify(one_file(lines)).finding
    assert found is not None
    return found


def named(found: Finding | None) -> tuple[Kind, int]:
    assert found is not None
    return found.kind, found.line


# good logs


@pytest.mark.parametrize("signed", [True, False])
def test_a_good_log_with_all_that_may_happen_to_one_is_whole(signed: bool) -> None:
    log = good(signed=signed)
    report = verify(log.files(), KEYS if signed else ())

    assert report.finding is None
    assert (report.records, report.files, report.from_start) == (len(log.lines), 4, True)
    assert (report.first_sequence, report.last_sequence) == (1, log.sequence)
    assert report.bytes == sum(map(len, log.lines))
    assert report.checkpoints == 5
    assert report.signed_checkpoints == (5 if signed else 0)
    assert [(gap.code, gap.records) for gap in report.gaps] == [
        ("overflow", 5), ("write_failed", 4), ("interrupted", None),
    ]  # fmt: skip
    assert report.gaps[1].sentence.endswith(": 4 records missing (sequence 25 to 28)")
    assert report.missing == 9


def test_it_is_told_how_much_is_signed_and_by_whom() -> None:
    log = eventful_log(log_key())
    end = log.sequence
    log.connect(3)

    vouched = verify(log.files(), KEYS).vouched
    assert vouched is not None
    assert (vouched.last_sequence, vouched.behind, list(vouched.keys.values())) == (end, 3, [3, 2])
    assert verify(log.files()).vouched is None


@given(st.integers(1, 5_000))
@settings(max_examples=25, deadline=None)
def test_the_pieces_in_which_a_file_is_read_do_not_matter(size: int) -> None:
    data = b"".join(good().lines)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]

    report = verify([LogFile("doorlog.jsonl", chunks, live=True)], KEYS)
    assert (report.finding, report.records) == (None, len(good().lines))


@given(st.lists(st.sampled_from(["connect", "session", "flood", "overflow", "rotate", "stop", "crash", "failed"])))
@settings(max_examples=50, deadline=None)
def test_no_good_log_is_called_bad(deeds: list[str]) -> None:
    log = ChainedLog(log_key()).start()
    for deed in deeds:
        match deed:
            case "flood":
                log.flood(3)
            case "overflow":
                log.overflow(2, 1)
            case "stop":
                log.stop().start()
            case "failed":
                log.write_failed(log.fork().connect().checkpoint().connect())
            case _:
                getattr(log, deed)()

    assert verify(log.checkpoint().files(), KEYS).finding is None


def test_a_log_whose_older_segments_were_deleted_is_whole_from_there_on() -> None:
    for begin in (1, 2, 3):
        report = verify(files_of(good().segments[begin:]), KEYS)
        assert report.finding is None
        assert not report.from_start

    report = verify(files_of(good().segments[1:]), KEYS, from_start=True)
    assert report.finding == Finding(
        Kind.REMOVED,
        "segment-0",
        1,
        1,
        "the log does not begin with its first record: 8 records before this one are not here",
        "restore the lines from a sink or a backup",
    )


def test_a_live_file_that_was_just_begun_and_files_of_nothing() -> None:
    log = good()
    assert verify([*files_of([*log.segments, []]), LogFile("x", [])], KEYS).finding is None


def test_a_line_that_is_being_written_is_a_note() -> None:
    lines = [*good().lines, b'{"@timestamp":"2026-']

    report = verify(one_file(lines))
    assert report.finding is None
    assert report.notes == [
        "doorlog.jsonl ends in 20 bytes without a line feed: a record that is being written, or that a crash tore"
    ]
    assert named(verify(one_file(lines, live=False)).finding) == (Kind.TORN, len(lines))


# one deed, found and named


def places(lines: list[bytes]) -> st.SearchStrategy[int]:
    return st.integers(0, len(lines) - 1)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    lines = list(good().lines)
    where = data.draw(places(lines))
    line = bytearray(lines[where])
    line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
    lines[where] = bytes(line)

    try:
        report = verify(one_file(lines), KEYS)
    except LogError:
        pytest.fail("one changed byte makes no other kind of file of a log")
    last = where == len(lines) - 1
    if last and not lines[-1].endswith(b"\n"):
        assert report.notes or report.finding
        return
    assert report.finding is not None
    assert report.finding.line in {where + 1, where + 2}
    if report.finding.kind is Kind.CHANGED and where < len(lines) - 2:
        assert report.finding.line == where + 1


@pytest.mark.parametrize("flip", [1, 2, 0x20, 0x80])
def test_any_changed_byte_of_the_last_checkpoint_is_found(flip: int) -> None:
    *before, checkpoint = good().lines
    for place in range(len(checkpoint) - 1):
        changed_line = bytearray(checkpoint)
        changed_line[place] ^= flip
        assert verify(one_file([*before, bytes(changed_line)]), KEYS).finding, bytes(changed_line)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_number_in_a_line_is_named(data: st.DataObject) -> None:
    lines = list(good().lines)
    where = data.draw(st.integers(0, len(lines) - 2))
    lines[where] = renumbered(
        lines[where], data.draw(st.integers(0, 10**19 - 1).filter(lambda n: b'"sequence":%d,' % n not in lines[where]))
    )

    assert named(found_in(lines)) == (Kind.CHANGED, where + 1)


def test_a_changed_fact_is_named_at_its_line() -> None:
    lines = list(good().lines)
    for where in range(len(lines) - 2):
        spoiled = [*lines[:where], lines[where].replace(b"2026-03-01", b"2026-03-02", 1), *lines[where + 1 :]]
        assert named(found_in(spoiled)) == (Kind.CHANGED, where + 1)


def test_where_no_line_is_behind_either_of_two_may_be_the_changed_one() -> None:
    lines = good().lines
    found = found_in([*lines[:-2], lines[-2].replace(b"2026-03-01", b"2026-03-02", 1), lines[-1]])

    assert named(found) == (Kind.CHANGED, len(lines))
    assert found.sentence == f"this line was changed, or doorlog.jsonl line {len(lines) - 1}: their hashes do not fit"


def test_a_last_line_that_is_no_json_was_changed() -> None:
    lines = ChainedLog().start().connect(2).lines

    assert named(found_in([*lines[:-1], lines[-1].replace(b"pump-17", b"pump\xff17", 1)])) == (Kind.CHANGED, 3)
    assert verify(
        one_file([*lines[:-1], lines[-1].replace(b"pump-17", b"pump-71", 1)])
    ).whole  # nothing behind it tells


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_removed_lines_are_counted(data: st.DataObject) -> None:
    log = ChainedLog(log_key()).start().connect(40).checkpoint()
    where = data.draw(st.integers(1, 30))
    count = data.draw(st.integers(1, 10))
    del log.segments[0][where : where + count]

    found = verify(log.files(), KEYS).finding
    assert named(found) == (Kind.REMOVED, where + 1)
    assert found is not None
    assert found.sequence == where + 1
    if count > 1:
        assert found.sentence.startswith(f"{count} records ({where + 1} to {where + count}) are missing between ")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_removed_line_is_found_anywhere(data: st.DataObject) -> None:
    lines = list(good().lines)
    where = data.draw(st.integers(1, len(lines) - 2))
    del lines[where]

    assert named(verify(one_file(lines), KEYS).finding)[1] == where + 1


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_line_that_is_there_twice_is_named(data: st.DataObject) -> None:
    lines = list(good().lines)
    copied = data.draw(places(lines))
    to = data.draw(st.integers(1, len(lines)))
    lines.insert(to, lines[copied])

    found = found_in(lines)
    assert named(found)[0] is Kind.INSERTED
    if to not in {copied, copied + 1}:
        assert found.line == to + 1
    else:
        assert found.line == copied + 2
    assert "it is a copy of doorlog.jsonl line " in found.sentence


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_swapped_lines_are_named(data: st.DataObject) -> None:
    lines = list(good().lines)
    one, other = sorted(data.draw(st.lists(st.integers(1, len(lines) - 1), min_size=2, max_size=2, unique=True)))
    lines[one], lines[other] = lines[other], lines[one]

    assert named(found_in(lines)) == (Kind.REORDERED, one + 1)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_line_that_was_moved_is_named(data: st.DataObject) -> None:
    lines = list(good().lines)
    one, other = data.draw(st.lists(st.integers(1, len(lines) - 1), min_size=2, max_size=2, unique=True))
    lines.insert(other, lines.pop(one))

    assert named(found_in(lines)) == (Kind.REORDERED, min(one, other) + 1)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_forged_line_is_named(data: st.DataObject) -> None:
    lines = list(good().lines)
    where = data.draw(st.integers(1, len(lines) - 1))
    model = data.draw(places(lines).filter(lambda place: b"after_sha256" not in lines[place]))
    number = data.draw(st.one_of(st.integers(0, 10**6), st.just(orjson.loads(lines[where])["event"]["sequence"])))
    previous = data.draw(st.sampled_from([line_hash(lines[where - 1]), NOTHING_BEFORE, b"a" * 64]))
    body = lines[model].partition(b',"previous_sha256"')[0].replace(b"2026-03-01", b"2026-03-02") + b"}}\n"
    lines.insert(where, chained(renumbered(body, number), previous))

    assert named(found_in(lines)) == (Kind.INSERTED, where + 1)


def test_several_forged_lines_with_a_chain_of_their_own_are_named() -> None:
    log = ChainedLog().start().connect(20)
    lines = log.lines
    forged = ChainedLog(sequence=10, previous=line_hash(lines[9]), run=9).connect(3)

    found = found_in([*lines[:10], *forged.lines, *lines[10:]])
    assert named(found) == (Kind.INSERTED, 11)
    assert found.sentence.startswith("3 lines from here on were put in: the record in doorlog.jsonl line 14 follows")


@pytest.mark.parametrize(
    "text", [b"\n", b"hello\n", b"{}\n", b'{"a":1}\n', b"\0" * 100 + b"\n", b'{"@timestamp":"20\n']
)
def test_a_line_that_is_no_record_is_named(text: bytes) -> None:
    lines = list(good().lines)

    assert named(found_in([*lines[:5], text, *lines[5:]])) == (Kind.INSERTED, 6)
    assert found_in([*lines, text]).line == len(lines) + 1


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_log_that_was_cut_anywhere_is_found_but_for_its_end(data: st.DataObject) -> None:
    whole = b"".join(good().lines)
    at = data.draw(st.integers(1, len(whole) - 1))
    cut, rest = whole[:at], whole[at:]
    number = cut.count(b"\n") + 1

    try:
        closed = verify([LogFile("a", [cut]), LogFile("b", [rest[rest.index(b"\n") + 1 :]], live=True)])
    except LogError:
        assert number == 1
    else:
        if closed.finding:  # nothing but whole lines was cut off, the next file begins with the line behind it
            assert (closed.finding.file, closed.finding.line) in {("a", number), ("b", 1)}
        else:
            assert rest.index(b"\n") + 1 == len(rest)
    if b"\n" in cut:
        live = verify(one_file([cut]))
        assert live.finding is None
        assert bool(live.notes) is not cut.endswith(b"\n")


def test_a_record_that_a_crash_tore_in_the_middle_of_a_file_is_named() -> None:
    lines = good().lines
    found = found_in([*lines[:5], lines[5][:300] + lines[6], *lines[7:]])

    assert found.line == 6
    torn = found_in([*lines[:5], lines[5][:300] + b"\n", *lines[6:]])
    assert named(torn) == (Kind.TORN, 6)


def test_a_missing_segment_is_named() -> None:
    first, _second, *others = good().segments

    found = verify(files_of([first, *others]), KEYS).finding
    assert named(found) == (Kind.REMOVED, 1)
    assert found is not None
    assert found.sentence.startswith("23 records (9 to 31) are missing between segment-0 line 8 and this line")
    assert "segment" in found.look


def test_segments_in_the_wrong_order_are_named() -> None:
    first, second, *others = good().segments
    assert named(verify(files_of([second, first, *others])).finding)[0] is Kind.REORDERED


# whoever can write the file makes the chain anew


def test_a_chain_that_was_made_anew_does_not_get_past_a_signature() -> None:
    log = ChainedLog(log_key()).start().connect(5).checkpoint().connect(5).checkpoint()
    lines = log.lines
    lines[3] = lines[3].replace(b"10.0.0.9", b"10.6.6.6")
    unsigned = list(rechained(lines))

    assert verify(one_file(unsigned)).finding is None  # what the chain alone can not show
    found = verify(one_file(unsigned), KEYS).finding
    assert named(found) == (Kind.SIGNATURE, len(lines))  # no signature at all
    assert named(verify(one_file([*unsigned[:6], *lines[6:]]), KEYS).finding) == (Kind.CHANGED, 6)


def test_a_chain_that_was_made_anew_has_to_have_the_numbers_as_well() -> None:
    lines = ChainedLog().start().connect(6).lines

    found = found_in(list(rechained([*lines[:2], *lines[3:]])))
    assert named(found) == (Kind.REMOVED, 3)
    assert found.sentence.endswith("; the chain was made anew behind them")
    for number in (1, 3):
        found = found_in(list(rechained([*lines[:3], renumbered(lines[3], number), *lines[4:]])))
        assert named(found) == (Kind.REORDERED, 4)
        assert found.sentence == f"event.sequence goes back from 3 to {number}, and the chain was made anew"


def test_a_line_that_was_put_at_the_end_is_named() -> None:
    lines = ChainedLog().start().connect(6).lines
    forged = ChainedLog(sequence=2, previous=b"f" * 64, run=1).connect().last

    assert named(found_in([*lines, forged])) == (Kind.INSERTED, 8)


def test_what_comes_behind_a_signature_has_to_be_signed_as_well() -> None:
    log = ChainedLog(log_key()).start().connect(5).checkpoint().connect(5).checkpoint().connect().checkpoint()
    lines = log.lines
    forged = [*lines[:9], lines[9].replace(b"10.0.0.9", b"10.6.6.6"), *lines[10:]]

    found = verify(one_file([*lines[:7], *rechained(forged[7:])]), KEYS).finding
    assert named(found) == (Kind.SIGNATURE, 13)
    assert found is not None
    assert found.sentence == "this checkpoint is not signed, though that of record 7 is"


def test_a_stranger_s_key_is_not_trusted() -> None:
    log = ChainedLog(log_key(3)).start().connect(5).checkpoint()

    found = verify(log.files(), KEYS).finding
    assert named(found) == (Kind.SIGNATURE, 7)
    assert found is not None
    assert "is signed with key" in found.sentence
    assert verify(log.files()).finding is None


def test_an_honest_time_before_there_was_a_key_is_accepted() -> None:
    log = ChainedLog().start().connect(5).checkpoint()
    log.key = log_key()
    report = verify(log.connect(3).checkpoint().files(), KEYS)

    assert (report.finding, report.checkpoints, report.signed_checkpoints) == (None, 2, 1)


def test_a_forged_gap_hides_nothing_from_a_signature() -> None:
    log = ChainedLog(log_key()).start().connect(10).checkpoint()
    lines = log.lines
    for cause in (GapCause.OVERFLOW, GapCause.WRITE_FAILED, GapCause.INTERRUPTED):
        forged = ChainedLog(sequence=8, previous=line_hash(lines[4]), run=1)
        fields = {"first_sequence": 6, "last_sequence": 8, "records": 3, "connects": 3}
        forged.gap(cause, **fields, after_sha256=line_hash(lines[4]).decode())
        spoiled = [*lines[:5], *forged.lines, *lines[9:]]
        assert verify(one_file(spoiled), KEYS).finding is not None
        assert verify(one_file(spoiled)).finding is not None


# gaps


def gap_after(before: ChainedLog, code: str, sequence: int, previous: bytes, **fields: object) -> Report:
    log = before.fork()
    log.sequence, log.previous = sequence - 1, previous
    return verify(one_file([*before.lines, *log.gap(code, **fields).connect().lines]))


def test_a_gap_explains_the_hole_just_before_it_and_no_other() -> None:
    log = ChainedLog().start().connect(3)
    end, wrong = line_hash(log.last), b"b" * 64
    fields = {"first_sequence": 5, "last_sequence": 9, "records": 5, "connects": 5}

    assert gap_after(log, "overflow", 10, end, **fields).whole
    assert gap_after(log, "write_failed", 10, wrong, **fields, after_sha256=end.decode()).whole
    assert gap_after(log, "overflow", 5, end, records=0).whole
    for code, sequence, previous, changes in (
        ("overflow", 11, end, {}),
        ("overflow", 10, wrong, {}),
        ("overflow", 10, wrong, {"after_sha256": end.decode()}),
        ("overflow", 10, end, {"first_sequence": 4}),
        ("overflow", 10, end, {"records": 4}),
        ("overflow", 10, end, {"first_sequence": None}),
        ("write_failed", 10, wrong, {}),
        ("write_failed", 10, wrong, {"after_sha256": "c" * 64}),
        ("interrupted", 10, wrong, {}),
    ):
        report = gap_after(log, code, sequence, previous, **{**fields, **changes})
        assert named(report.finding)[1] in {4, 5}, (code, sequence, changes)


def test_a_file_that_was_emptied_is_not_whole_and_named_so() -> None:
    log = ChainedLog().start().connect(3)
    gone = log.fork().connect(5)
    emptied = ChainedLog(sequence=gone.sequence, previous=gone.previous, run=1)
    emptied.gap(GapCause.TRUNCATED, first_sequence=5, last_sequence=9).connect(2)

    for lines in ([*log.lines, *emptied.lines], emptied.lines):
        found = found_in(lines)
        assert found.kind is Kind.REMOVED
        assert "another program cut or removed the log file" in found.sentence


def test_a_file_that_was_moved_away_under_the_broker_but_is_still_here_lost_nothing() -> None:
    log = ChainedLog().start().connect(3)
    log.gap(GapCause.TRUNCATED, first_sequence=2, last_sequence=4).connect()

    report = verify(log.files())
    assert (report.finding, report.gap_count) == (None, 1)


def test_many_gaps_are_counted_and_the_first_of_them_listed() -> None:
    log = ChainedLog().start()
    for _ in range(GAPS_NAMED + 5):
        log.overflow(1, 0)

    report = verify(log.files())
    assert (len(report.gaps), report.gap_count, report.missing) == (GAPS_NAMED, GAPS_NAMED + 5, GAPS_NAMED + 5)


# counts


def test_counts_that_do_not_add_up_are_named() -> None:
    log = ChainedLog().start().connect(3)
    log.connects += 1
    log.stop().start().stop()

    found = verify(log.files()).finding
    assert named(found) == (Kind.COUNTS, 5)
    assert found is not None
    assert "the broker had counted 4 connect records since its start, here stand 3" in found.sentence


def test_counts_of_a_changed_checkpoint_are_a_change() -> None:
    log = ChainedLog().start().connect(3).checkpoint().connect()
    lines = log.lines
    lines[4] = lines[4].replace(b'"connects":3', b'"connects":2')
    assert named(found_in(lines)) == (Kind.CHANGED, 5)
    lines[4] = lines[4].replace(b'"audit":{', b'"audit":[')
    assert named(found_in(lines)) == (Kind.CHANGED, 5)


def test_a_run_whose_start_a_gap_swallowed_is_counted_from_its_first_record() -> None:
    log = ChainedLog().start().connect(3)
    log.run, log.connects = 2, 0
    log.overflow(1, 0).connect(2).flood(3).stop()

    assert verify(log.files()).finding is None


def test_a_log_that_begins_with_a_gap_in_the_middle_of_a_run_is_counted_from_there() -> None:
    log = ChainedLog().start().connect(3).rotate().overflow(2, 1).connect().checkpoint().connect().stop()

    assert verify(files_of(log.segments[1:])).whole


def test_what_a_client_writes_is_taken_for_nothing_else() -> None:
    """Keys within its text have escaped quotes."""
    fake = '","action":"audit_gap","sequence":77,"id":"f-77","previous_sha256":"' + "0" * 64 + '"}}'
    lines = ChainedLog().start().connect(2, message=fake).lines
    log = ChainedLog()
    for number, line in enumerate(lines, 1):
        record = orjson.loads(line)
        record["message"] = fake
        record["doorlog"].pop("previous_sha256")
        log.sequence = number
        log.put(chained(orjson.dumps(record) + b"\n", log.previous))

    report = verify(log.files())
    assert (report.finding, report.records, report.gap_count) == (None, 3, 0)


# kept elsewhere


def kept_of(log: ChainedLog) -> dict[int, frozenset[bytes]]:
    lines = [line for line in log.lines if b'"action":"audit_checkpoint"' in line]
    return {orjson.loads(line)["event"]["sequence"]: frozenset({line_hash(line)}) for line in lines}


def test_a_tail_that_was_cut_off_is_found_by_a_checkpoint_that_was_kept_elsewhere() -> None:
    log = good()
    lines, kept = log.lines, kept_of(log)

    report = verify(log.files(), KEYS, kept)
    assert (report.finding, report.kept_checkpoints) == (None, 5)
    found = verify(one_file(lines[:-3]), KEYS, kept).finding
    assert named(found) == (Kind.REMOVED, len(lines) - 3)
    assert found is not None
    assert "at least 3 records were cut off at the end" in found.sentence
    assert verify(one_file(lines[:-3]), KEYS).finding is None  # what a log can not show by itself


def test_a_log_that_was_written_anew_is_found_by_a_checkpoint_that_was_kept_elsewhere() -> None:
    log = ChainedLog().start().connect(5).checkpoint().connect(2)
    kept, lines = kept_of(log), log.lines
    lines[2] = lines[2].replace(b"10.0.0.9", b"10.6.6.6")
    made = list(rechained(lines))

    assert named(verify(one_file(made), (), kept).finding) == (Kind.CHECKPOINT, 7)
    other = ChainedLog().start().connect(9)
    assert named(verify(other.files(), (), kept).finding) == (Kind.CHECKPOINT, 10)


def test_kept_checkpoints_of_deleted_segments_are_told_not_missed() -> None:
    log = good()
    report = verify(files_of(log.segments[1:]), KEYS, kept_of(log))

    assert (report.finding, report.kept_checkpoints) == (None, 4)
    assert report.notes == [
        "1 checkpoint that was kept elsewhere: older than the first record that is here, not compared"
    ]


def test_a_checkpoint_that_only_a_sink_got_is_accepted_where_something_vouches_for_the_gap() -> None:
    log = ChainedLog(log_key()).start().connect(3)
    lost = log.fork().connect(3).checkpoint()
    log.write_failed(lost).connect()
    kept = kept_of(lost)

    found = verify(log.files(), (), kept).finding
    assert named(found) == (Kind.CHECKPOINT, 6)  # anybody may have written this gap
    assert verify(log.checkpoint().files(), KEYS, kept).finding is None


# hostile files


def test_what_is_no_log_is_told() -> None:
    for data in (b"hello\n", b"hello", b"\0" * 1000, b"\n\n\n", b'{"a":1}\n' * 1000, b"x" * 3_000_000):
        with pytest.raises(LogError, match=r"^doorlog\.jsonl: is no log of doorlog: each line"):
            verify(one_file([data]))


def test_an_empty_log_proves_nothing() -> None:
    for files in ([], [LogFile("doorlog.jsonl", [])], [LogFile("doorlog.jsonl", [b"", b""])]):
        report = verify(files)
        assert named(report.finding) == (Kind.REMOVED, 0)
        assert not report.whole


def test_a_first_line_that_was_changed_is_named() -> None:
    lines = list(good().lines)
    assert named(found_in([b"x" + lines[0][1:], *lines[1:]])) == (Kind.CHANGED, 1)
    assert named(found_in([lines[0][:100] + b"\n", *lines[1:]])) == (Kind.TORN, 1)


def test_a_line_without_end_is_not_read_to_its_end() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b"".join(good().lines)
        while True:
            read += 1
            yield b"x" * 100_000

    found = verify([LogFile("doorlog.jsonl", endless())]).finding
    assert named(found) == (Kind.CHANGED, len(good().lines) + 1)
    assert read < 20


def test_a_damaged_compressed_file_is_named_where_reading_ends() -> None:
    def damaged() -> Iterator[bytes]:
        yield b"".join(good().lines[:5]) + b"abc"
        raise DamagedFile

    assert named(verify([LogFile("a", damaged())]).finding) == (Kind.TORN, 6)


def test_records_without_an_id_are_checked_as_well() -> None:
    log = ChainedLog()
    for number in range(1, 5):
        record = {"event": {"action": "connect", "sequence": number}, "doorlog": {"stage": "hello"}}
        log.put(chained(orjson.dumps(record) + b"\n", log.previous))

    report = verify(log.files())
    assert (report.finding, report.records) == (None, 4)
