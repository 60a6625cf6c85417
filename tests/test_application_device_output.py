"""The history of one device, as it stands in a terminal, in a pipe and in JSON."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.application.device_output import Address, as_plain_history, print_history
from doorlog.identity.overview import DeviceSummary, LastFailure
from doorlog.readers.history import Entry, History

NOW = 1_780_000_000.0
HOSTILE = "\x1b[31m\x07\r\n\u2028[bold]"
SHOWN = "\\u001B[31m\\u0007\\u000D\\u000A\\u2028[bold]"
FAILURE = LastFailure(NOW - 7_200, "server_certificate_unknown_ca", "likely", "address", "c1", 3)
PUMP = DeviceSummary(
    id="pump-17", state="failing", last_success=NOW - 90_000, last_failure=FAILURE,
    last_claim=FAILURE._replace(code="bad_password", times=2), last_unclear=None, address="192.0.2.17", connected=False,
    connects=1_200, first_seen=NOW - 900_000, user_name="anna", look="t13d mqtt.example.org", tls_version="1.3",
    rhythm=3_700.0, name="Pump", site="berlin", model=None, serial="A12", tags=("water", "old"),
)  # fmt: skip


def record(**fields: Any) -> dict[str, Any]:
    return {"@timestamp": "2026-03-01T15:02:11.250000Z", "message": "it failed", **fields}


def printed(
    capsys: pytest.CaptureFixture[str],
    *entries: Entry,
    device: DeviceSummary | None = None,
    addresses: tuple[Address, ...] = (),
    name: str = "pump-17",
    last: int = 100,
) -> list[str]:
    history = History(name, last)
    for entry in entries:
        history.add(entry)
    print_history(name, device, addresses, history, NOW)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip() or not line.isprintable()] == []
    return lines


def test_who_the_device_is(capsys: pytest.CaptureFixture[str]) -> None:
    places = [(f"192.0.2.{number}", NOW - 90_000, NOW - 3_600 * number, number) for number in range(1, 8)]

    assert printed(capsys, device=PUMP, addresses=tuple(places)) == [
        "pump-17 (Pump, A12, berlin, water old): failing",
        "  admitted 1,200 times, every 1 hour in the mean, last 1 day ago",
        "  last failure server_certificate_unknown_ca 2 hours ago, likely this device (3 in all)",
        "  2 refused logins wrote its name from where it never was, last bad_password 2 hours ago",
        "  at 192.0.2.1 once, last 1 hour ago",
        "  at 192.0.2.2 2 times within 23 hours, last 2 hours ago",
        "  at 192.0.2.3 3 times within 22 hours, last 3 hours ago",
        "  at 192.0.2.4 4 times within 21 hours, last 4 hours ago",
        "  at 192.0.2.5 5 times within 20 hours, last 5 hours ago",
        "  and at 2 more: --json lists them",
        "  TLS: t13d mqtt.example.org (JA4, server name)",
    ]


def test_a_device_that_is_hardly_known(capsys: pytest.CaptureFixture[str]) -> None:
    bare = PUMP._replace(
        name=None, site=None, serial=None, tags=(), last_claim=None, look=None, connects=1, rhythm=5.0, connected=True,
        state="ok", last_failure=FAILURE._replace(confidence="certain"),
    )  # fmt: skip
    assert printed(capsys, device=bare) == [
        "pump-17: ok, connected",
        "  admitted once, last 1 day ago",
        "  last failure server_certificate_unknown_ca 2 hours ago (3 in all)",
    ]
    assert printed(capsys) == ["pump-17: not in the device directory"]


def test_each_record_has_a_line_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    because = {"device": {"evidence": ["same address", "same look"]}}
    entries = [
        Entry("certain", None, record(doorlog=because)),
        Entry("likely", None, record(doorlog=because)),
        Entry("ambiguous", 0.25, record(doorlog={"device": {"evidence": "none"}})),
        Entry("claimed", None, record()),
        Entry("confirmed", None, {}),
    ]
    assert printed(capsys, *entries)[1:] == [
        "",
        "2026-03-01 15:02:11  certain         it failed",
        "2026-03-01 15:02:11  likely          it failed",
        "                                     same address; same look",
        "2026-03-01 15:02:11  ambiguous 0.25  it failed",
        "2026-03-01 15:02:11  claimed         it failed",
        "  confirmed",
    ]


def test_its_last_failure_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    failures = [record(event={"action": "connect", "outcome": "failure", "id": f"abc-{number}"}) for number in (7, 8)]
    entries = [*(Entry("likely", None, failure) for failure in failures), Entry("certain", None, record())]

    assert printed(capsys, *entries)[-1].endswith("doorlog show abc-8")
    odd = record(event={"action": "connect", "outcome": "failure", "id": "\x1b[2J"})
    assert "show" not in printed(capsys, Entry("likely", None, odd))[-1]


def test_earlier_records_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    entries = [Entry("certain", None, record())] * 3
    assert printed(capsys, *entries, last=2)[1:3] == ["", "1 earlier record: --last 3 shows all"]


def test_nothing_that_was_chosen_by_others_obeys_them(capsys: pytest.CaptureFixture[str]) -> None:
    device = PUMP._replace(name=HOSTILE, look=HOSTILE, last_failure=FAILURE._replace(code=HOSTILE))
    evidence = {"event": {"outcome": HOSTILE}, "doorlog": {"device": {"evidence": [HOSTILE, 7]}}}
    entry = Entry("likely", None, {"@timestamp": HOSTILE, "message": HOSTILE, **evidence})

    out = printed(capsys, entry, device=device, addresses=((HOSTILE, NOW, NOW, 1),), name=HOSTILE)
    assert out[0].startswith(f"{SHOWN} ({SHOWN}, A12")
    assert out[-1].strip() == f"{SHOWN}; 7"
    assert sum(SHOWN in line for line in out) == 6


def test_json_has_all_of_it() -> None:
    history = History("pump-17", 1)
    history.add(Entry("certain", None, record()))
    history.add(Entry("ambiguous", 0.5, record()))

    assert as_plain_history(None, [("192.0.2.1", NOW, NOW, 1)], history) == {
        "device": None,
        "addresses": [
            {
                "address": "192.0.2.1",
                "first": "2026-05-28T20:26:40.000Z",
                "last": "2026-05-28T20:26:40.000Z",
                "times": 1,
            }
        ],
        "found": 2,
        "changes": [],
        "history": [{"mark": "ambiguous", "score": 0.5, "record": record()}],
    }
