"""Alerts are kept for the next start, whatever is wrong with the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doorlog.watch.alert_memory import MOST, AlertMemory, Told

LAGS = Told(
    rule="log_lags", severity="warning", summary="It lags.", labels=(("listener", "tls"),), level=0, since=1, told=2
)


def told(number: int) -> Told:
    return LAGS.model_copy(update={"labels": (("cohort", f"site:{number}"),)})


def test_what_was_told_is_read_by_the_next_start(tmp_path: Path) -> None:
    memory = AlertMemory(tmp_path / "alerts.json")
    assert memory.read() == ()
    memory.keep([LAGS, told(1)])

    assert AlertMemory(tmp_path / "alerts.json").read() == (LAGS, told(1))
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    memory = AlertMemory(path)
    memory.keep([])
    assert not path.exists(), "nothing was ever wrong"
    memory.keep([LAGS])
    written = path.stat().st_mtime_ns, path.stat().st_ino
    memory.keep([LAGS])
    again = AlertMemory(path)
    again.keep(again.read())
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written
    memory.keep([])
    assert AlertMemory(path).read() == ()


def test_without_a_file_nothing_is_kept() -> None:
    memory = AlertMemory(None)
    memory.keep([LAGS])
    assert memory.read() == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[]",
        b"\xff\xfe",
        b'{"version": 2, "alerts": []}',
        b'{"alerts": [{"rule": "log_lags"}]}',
        json.dumps({"alerts": [LAGS.model_dump() | {"since": -1}]}).encode(),
        json.dumps({"alerts": [LAGS.model_dump() | {"told": "NaN"}]}).encode(),
        json.dumps({"alerts": [LAGS.model_dump() | {"labels": [["a", "b"]] * 9}]}).encode(),
        json.dumps({"alerts": [LAGS.model_dump() | {"summary": "x" * 10_001}]}).encode(),
        json.dumps({"alerts": [LAGS.model_dump()] * (MOST + 1)}).encode(),
        b" " * 2_000_000,
    ],
    ids=range(12),
)
def test_a_file_that_is_none_of_ours_is_said_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    memory = AlertMemory(path)

    assert memory.read() == ()
    (record,) = caplog.records
    assert (
        record.getMessage()
        == f"alerts: {path} can not be read (it is none of ours): after a restart, alerts are told anew"
    )
    memory.keep([LAGS])
    assert AlertMemory(path).read() == (LAGS,)


def test_a_folder_that_can_not_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = AlertMemory(tmp_path / "nowhere" / "alerts.json")
    memory.keep([LAGS])
    memory.keep([told(1)])

    assert ["can not be written" in record.getMessage() for record in caplog.records] == [True]


def test_so_many_are_kept(tmp_path: Path) -> None:
    AlertMemory(tmp_path / "alerts.json").keep([told(number) for number in range(MOST + 5)])

    assert len(AlertMemory(tmp_path / "alerts.json").read()) == MOST
