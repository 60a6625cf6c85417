"""The list of devices, as it stands in a terminal, in a pipe and in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doorlog.application.devices_output import ago, as_plain, counted, moment_of, print_devices
from doorlog.identity.overview import DeviceSummary, LastFailure

NOW = 1_780_000_000.0
FAILURE = LastFailure(NOW - 7_200, "server_certificate_unknown_ca", "likely", "address", "c1", 3)


def summary(name: str = "pump-17", **changes: Any) -> DeviceSummary:
    """Return a device that is known by its id alone."""
    nothing: dict[str, Any] = dict.fromkeys(DeviceSummary._fields)
    return DeviceSummary(
        **{**nothing, "id": name, "state": "ok", "connected": False, "connects": 0, "tags": (), **changes}
    )


def printed(capsys: pytest.CaptureFixture[str], *devices: DeviceSummary, known: int | None = None) -> list[str]:
    print_devices(devices, NOW, known=len(devices) if known is None else known)
    return capsys.readouterr().out.splitlines()


def test_columns_are_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    silent = summary("ポンプ", state="silent", last_success=NOW - 172_800, address="192.0.2.17")
    failing = summary(state="failing", last_failure=FAILURE)
    connected = summary("x", connected=True, last_success=NOW - 5, last_failure=FAILURE._replace(confidence="certain"))

    assert printed(capsys, failing, silent, connected) == [
        "DEVICE   STATE          LAST ADMITTED  LAST FAILURE  CODE                            ADDRESS",
        "pump-17  failing        never          2 hours ago   server_certificate_unknown_ca?  -",
        "ポンプ   silent         2 days ago     -             -                               192.0.2.17",
        "x        ok, connected  just now       2 hours ago   server_certificate_unknown_ca   -",
        "3 devices: 1 failing, 1 silent, 1 ok; ? likely this device, not certain",
    ]


def test_a_device_of_which_it_is_unclear_shows_what_may_have_been_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    unclear = FAILURE._replace(confidence="ambiguous", moment=NOW - 40)

    out = printed(capsys, summary(state="unclear", last_success=NOW - 300, last_unclear=unclear))

    assert out[1] == "pump-17  unclear  5 minutes ago  40 seconds ago  server_certificate_unknown_ca??  -"
    assert out[2] == "1 device: 0 failing, 1 unclear, 0 silent, 0 ok; ?? this device or one that looks like it"


def test_sites_have_a_column_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, summary(site="berlin"), summary("pump-18", site="x" * 130), summary("pump-19"))
    assert [line.split("  ")[-1] for line in out[:4]] == ["SITE", "berlin", "x" * 119 + "…", "-"]
    assert out[4] == "3 devices: 0 failing, 0 silent, 3 ok"


def test_no_line_ends_in_spaces_or_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    for line in printed(capsys, summary("x" * 200, site=" "), summary(site="a very long site " * 5)):
        assert line == line.rstrip()
    assert "a very long site " * 5 in printed(capsys, summary(site="a very long site " * 5 + "."))[1]


@pytest.mark.parametrize("field", ["id", "address", "site"])
def test_nothing_that_was_chosen_by_others_obeys_them(capsys: pytest.CaptureFixture[str], field: str) -> None:
    hostile = summary(**{"name": "x", field: "\x1b[31m\x07\r\n\u2028[bold]"} if field != "id" else {})
    if field == "id":
        hostile = summary("\x1b[31m\x07\r\n\u2028[bold]")
    out = printed(capsys, hostile._replace(last_failure=FAILURE._replace(code="\x1b[0m")))
    assert len(out) == 3
    assert all(line.isprintable() for line in out)
    assert "\\u001B[31m\\u0007\\u000D\\u000A\\u2028[bold]" in out[1]
    assert "\\u001B[0m?" in out[1]


def test_nothing_to_list_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == ["no device is known yet: the first one that is admitted will be"]
    assert printed(capsys, known=1) == ["none of 1 device is like that"]


def test_json_leaves_out_what_is_not_known() -> None:
    assert as_plain(summary()) == {"id": "pump-17", "state": "ok", "connected": False, "connects": 0}

    plain = as_plain(summary(last_success=NOW, first_seen=0.0, tags=("a", "b"), last_failure=FAILURE))
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["last_success"], plain["first_seen"]) == ("2026-05-28T20:26:40.000Z", "1970-01-01T00:00:00.000Z")
    assert plain["tags"] == ["a", "b"]
    assert plain["last_failure"] == {**FAILURE._asdict(), "moment": "2026-05-28T18:26:40.000Z"}


def test_moments_and_numbers_in_words() -> None:
    assert [ago(moment, NOW) for moment in (None, NOW + 9, NOW, NOW - 59, NOW - 60, NOW - 3_700)] == [
        "never", "just now", "just now", "59 seconds ago", "1 minute ago", "1 hour ago",
    ]  # fmt: skip
    assert moment_of(None) is None
    assert [counted(number, "line") for number in (0, 1, 2_000)] == ["0 lines", "1 line", "2,000 lines"]
