"""The records of one connection, found without reading all of a long log, whatever is known of where they are."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from doorlog.log.segments import segment_name
from doorlog.readers.files import OpenLog, open_log
from doorlog.readers.near import shown_near
from doorlog.readers.show import Shown
from support.log_files import WrittenLog

BEGAN = datetime(2026, 3, 1, 15, tzinfo=UTC)
FILLER = "." * 1_000


class Hours:
    """A log with a segment for each hour; an hour has a session that began in it and ended two hours later."""

    def __init__(self, folder: Path, hours: int) -> None:
        self.log = WrittenLog(folder)
        self.hours = hours
        for hour in range(hours):
            self.begin(hour)
            self.write(hour, 0, "audit_started")
            self.write(hour, 1, "connect", f"s{hour}", code="admitted")
            self.write(hour, 2, "connect", f"f{hour}", code="server_certificate_unknown_ca")
            self.write(hour, 3, "connect", f"c{hour}", code="bad_password", confidence="certain")
            if hour >= 2:
                self.write(hour, 4, "disconnect", f"s{hour - 2}")
                self.write(hour, 5, "device_confirmed", f"s{hour}", explains=f"f{hour - 2}")

    def begin(self, hour: int) -> None:
        """Close the live file, under the name that the broker gives it."""
        if hour:
            first = self.log.sequence - (4 if hour < 3 else 6) + 1
            closed = segment_name(self.log.live, BEGAN + timedelta(hours=hour - 1), first)
            self.log.live.rename(self.log.live.with_name(closed))
            self.log.compress()

    def write(self, hour: int, minute: int, action: str, connection: str | None = None, **more: Any) -> None:
        self.log.sequence += 1
        record = {
            "@timestamp": at(hour, minute).isoformat().replace("+00:00", "Z"),
            "event": {
                "action": action,
                "code": more.get("code"),
                "sequence": self.log.sequence,
                "id": f"run-{self.log.sequence}",
            },
            "doorlog": {
                "connection_id": connection,
                "device": {"confidence": more.get("confidence", "likely")},
                "confirmed": {"connection_ids": [more.get("explains")]},
            },
            "message": FILLER,
        }
        self.log.append_raw(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    def near(self, name: str, moment: datetime | None = None, budget: int = 1) -> tuple[Shown, list[str]]:
        """Return what is found, and the segments of which hours were read to their end."""
        looked: set[str] = set()
        with ExitStack() as stack:

            def opened() -> OpenLog:
                log = stack.enter_context(open_log(self.log.live))
                for number, file in enumerate(log.files):
                    log.files[number] = type(file)(file.name, noted(file, looked), file.live)
                return log

            found = shown_near(opened, name, budget, moment)
        names = [path.name for path in self.log.closed] + [self.log.live.name]
        return found, [str(number) for number, name in enumerate(names) if name in looked]


def noted(file: Any, looked: set[str]) -> Any:
    looked_at = file.chunks

    def chunks() -> Any:
        yield from looked_at
        looked.add(file.name)

    return chunks()


def at(hour: int, minute: int) -> datetime:
    return BEGAN + timedelta(hours=hour, minutes=minute)


def told(found: Shown) -> list[str]:
    return [f"{one['event']['action']} {one['doorlog']['connection_id']}" for one in found.records]


@pytest.fixture
def log(tmp_path: Path) -> Hours:
    return Hours(tmp_path, 8)


@pytest.mark.parametrize("hour", range(8))
def test_an_attempt_whose_device_was_certain_needs_its_own_segment_alone(log: Hours, hour: int) -> None:
    found, looked = log.near(f"c{hour}", at(hour, 3))

    assert (told(found), found.connection, found.is_cut) == ([f"connect c{hour}"], f"c{hour}", False)
    assert looked == [str(hour)]


def test_the_end_of_a_session_is_looked_for_in_later_segments(log: Hours) -> None:
    found, looked = log.near("s3", at(3, 1), budget=10_000_000)

    assert told(found) == ["connect s3", "device_confirmed s3", "disconnect s3"]
    assert (looked, found.is_cut) == (["3", "4", "5"], False)


def test_and_its_beginning_in_earlier_ones(log: Hours) -> None:
    found, looked = log.near("s3", at(5, 4), budget=10_000_000)

    assert told(found) == ["connect s3", "device_confirmed s3", "disconnect s3"]
    assert (looked, found.is_cut) == (["3", "4", "5"], False)


def test_what_explains_an_attempt_later_is_looked_for_as_far_as_the_budget_goes(log: Hours) -> None:
    found, looked = log.near("f1", at(1, 2), budget=1)
    assert (told(found), looked, found.is_cut) == (["connect f1"], ["1"], True)

    found, looked = log.near("f1", at(1, 2), budget=10_000_000)
    assert (told(found), found.is_cut) == (["connect f1", "device_confirmed s3"], False)
    assert looked == [str(hour) for hour in range(1, 8)]


def test_a_session_that_is_still_open_is_looked_at_to_the_end(log: Hours) -> None:
    found, _ = log.near("s7", at(7, 1))

    assert (told(found), found.is_cut) == (["connect s7", "device_confirmed s7"], False)


def test_an_event_id_tells_the_segment_by_its_number(log: Hours) -> None:
    found, looked = log.near("run-4")
    assert (told(found), looked) == (["connect c0"], ["0"])

    number = next(number for number in range(1, 60) if told(log.near(f"run-{number}")[0]) == ["connect c5"])
    assert log.near(f"run-{number}")[1] == ["5"]


@pytest.mark.parametrize("moment", [at(-5, 0), at(2, 0), at(500, 0)])
def test_an_event_id_stands_for_its_connection_wherever_it_was_thought_to_be(log: Hours, moment: datetime) -> None:
    whole, _ = log.near("s3", at(3, 1), budget=10_000_000)
    for record in whole.records:
        found, _ = log.near(record["event"]["id"], moment, budget=10_000_000)
        assert (told(found), found.connection) == (told(whole), "s3")

    alone, _ = log.near("run-1", moment, budget=10_000_000)
    assert (told(alone), alone.connection) == (["audit_started None"], None)


def test_a_record_of_no_connection_is_shown_alone(log: Hours) -> None:
    found, looked = log.near("run-1")

    assert (told(found), found.connection, looked) == (["audit_started None"], None, ["0"])


def test_a_connection_of_which_no_more_is_known_is_looked_for_from_the_end(log: Hours) -> None:
    found, looked = log.near("c6", budget=10_000_000)
    assert (told(found), looked, found.is_cut) == (["connect c6"], ["6", "7"], False)

    found, looked = log.near("c2")
    assert (told(found), found.connection, looked, found.is_cut) == ([], None, ["6", "7"], True)


@pytest.mark.parametrize("name", ["run-0", "run-9999999999999999999", "nobody", "", "\n", "run-"])
@pytest.mark.parametrize("moment", [None, at(-5, 0), at(3, 0), at(500, 0)])
def test_what_is_not_there_is_not_found(log: Hours, name: str, moment: datetime | None) -> None:
    found, _ = log.near(name, moment, budget=10_000_000)

    assert (found.records, found.connection) == ([], None)


def test_a_segment_that_was_closed_by_others_is_read_like_any_other(log: Hours) -> None:
    log.log.logrotate()
    log.write(9, 0, "connect", "new", code="bad_password", confidence="certain")

    assert told(log.near("new", at(9, 0))[0]) == ["connect new"]
    assert told(log.near("c7", at(7, 3), budget=10_000_000)[0]) == ["connect c7"]


def test_what_logrotate_left_is_known_by_its_first_record(tmp_path: Path) -> None:
    log = Hours(tmp_path, 0)
    for hour in range(4):
        log.write(hour, 3, "connect", f"c{hour}", code="bad_password", confidence="certain")
        log.log.logrotate(compress=hour < 2)
    log.write(5, 0, "connect", "new", code="bad_password", confidence="certain")

    for hour in range(4):
        found, looked = log.near(f"c{hour}", at(hour, 3))
        assert told(found) == [f"connect c{hour}"]
        assert str(hour) in looked
        assert told(log.near(f"run-{hour + 1}")[0]) == [f"connect c{hour}"]


def test_a_file_that_is_damaged_from_its_beginning_on_is_named(tmp_path: Path) -> None:
    log = Hours(tmp_path, 0)
    log.write(0, 3, "connect", "c0", code="bad_password", confidence="certain")
    log.log.logrotate(compress=True)
    (packed,) = log.log.closed
    packed.write_bytes(packed.read_bytes()[:12])
    log.log.live = packed

    found, _ = log.near("c0", at(0, 3))
    assert (found.records, found.damaged) == ([], [packed.name])


def test_a_damaged_segment_is_named(log: Hours) -> None:
    path = log.log.closed[2]
    path.write_bytes(path.read_bytes()[:-30])

    found, _ = log.near("c2", at(2, 3))
    assert found.damaged
    assert set(found.damaged) == {path.name}
