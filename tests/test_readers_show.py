"""All records of one connection: by its id, or by the id of any of its records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from doorlog.readers import show as module
from doorlog.readers.lines import LogFile
from doorlog.readers.show import Shown, shown


def record(number: int, connection: str | None, action: str = "connect", **more: Any) -> dict[str, Any]:
    event = {"action": action, "id": f"run-{number}"}
    return {"event": event, "doorlog": {"connection_id": connection, **more}}


RECORDS = [
    record(1, None, "audit_started"),
    record(2, "aaaa"),
    record(3, "bbbb"),
    record(4, "bbbb", "device_confirmed", confirmed={"connection_ids": ["aaaa"]}),
    record(5, "bbbb", "disconnect"),
    {"event": {"id": "run-6"}, "device": {"id": "aaaa"}, "doorlog": {"connection_id": "cccc"}},
]


def search(name: str, extra: bytes = b"") -> Shown:
    def files() -> Iterator[LogFile]:
        yield LogFile("doorlog.jsonl", [b"".join(orjson.dumps(one) + b"\n" for one in RECORDS) + extra], live=True)

    return shown(files, name)


def ids(found: Shown) -> list[str]:
    return [one["event"]["id"] for one in found.records]


@pytest.mark.parametrize("name", ["aaaa", "run-2"])
def test_a_connection_with_what_explains_it(name: str) -> None:
    found = search(name)

    assert (found.connection, ids(found)) == ("aaaa", ["run-2", "run-4"])


@pytest.mark.parametrize("name", ["bbbb", "run-3", "run-4", "run-5"])
def test_any_record_leads_to_its_connection(name: str) -> None:
    assert ids(search(name)) == ["run-3", "run-4", "run-5"]


def test_a_record_of_no_connection_is_shown_alone() -> None:
    found = search("run-1")

    assert (found.connection, ids(found)) == (None, ["run-1"])


@pytest.mark.parametrize("name", ["", "aaa", "run-", "nobody", 'a"', "\n", ".*"])
def test_what_is_not_there(name: str) -> None:
    assert (search(name).connection, search(name).records) == (None, [])


def test_lines_that_somebody_changed_are_left_out() -> None:
    assert ids(search("aaaa", b'{"aaaa"\n["aaaa"]\n{"event":"aaaa"}\n{"event":{},"doorlog":["aaaa"]}\n')) == [
        "run-2", "run-4"
    ]  # fmt: skip


def test_a_crowd_of_records_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 2)

    found = search("bbbb")
    assert (ids(found), found.left_out) == (["run-3", "run-4"], 1)
