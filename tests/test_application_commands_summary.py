"""``doorlog summary`` as it is typed: a day in numbers, for a person and for a program."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorlog.application.cli import ExitCode
from doorlog.identity.evidence import Evidence, Sighting
from doorlog.identity.learner import Learner
from doorlog.identity.places import place_of
from doorlog.identity.store import open_store
from support.commands import doorlog
from support.log_files import WrittenLog

HOSTILE = "\x1b[2J\u202epump\n" + "x" * 250


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    """An hour ago pump-17 was admitted; since then somebody with an odd name fails, and an address."""
    log = WrittenLog(tmp_path)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    sequence = 0

    def add(minutes: int, code: str, device: str | None, ip: str) -> None:
        nonlocal sequence
        sequence += 1
        event = {
            "action": "connect",
            "code": code,
            "outcome": "success" if code == "admitted" else "failure",
            "sequence": sequence,
            "id": f"x-{sequence}",
        }
        moment = (hour_ago + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        log.append(1, event=event, source={"ip": ip}, device=device, **{"@timestamp": moment})

    add(0, "admitted", "pump-17", "192.0.2.17")
    add(1, "server_certificate_unknown_ca", HOSTILE, "192.0.2.18")
    add(2, "server_certificate_unknown_ca", HOSTILE, "192.0.2.18")
    add(3, "not_tls", None, "198.51.100.1")
    add(4, "not_tls", None, "198.51.100.2")
    return log


def test_a_day_in_numbers(log: WrittenLog) -> None:
    said = doorlog("summary", "--log", log.live.parent)

    assert (said.code, said.err) == (0, [])
    text = "\n".join(said.out)
    assert said.out[0].startswith("No device fails that was admitted since 20")
    assert said.out[2] == "5 attempts in 1 day: 1 admitted (20.0%), 4 failed"
    assert "as long before: nothing to compare with" in text
    assert "WHO FAILED: 1 device, and 2 unknown addresses" in said.out
    assert "0 and 2 unknown addresses" in text
    assert "(unknown) 198.51.100.2" in text
    assert "doorlog why not_tls" in text
    assert "\\u001B[2J\\u202Epump\\u000Axxx" in text
    assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("pump-18", "pump-18"),
        ("$(reboot)", "'$(reboot)'"),
        ("it's; ls", "'it'\"'\"'s; ls'"),
        ("--help", "-- --help"),
        ("-rf *", "-- '-rf *'"),
    ],
)
def test_a_hint_can_be_pasted_whatever_a_client_calls_itself(tmp_path: Path, name: str, argument: str) -> None:
    log = failures_of(tmp_path, name)
    said = doorlog("summary", "--log", log.live)
    (hint,) = [line for line in said.out if "doorlog device" in line]

    assert hint == f"what happened to one of them:  doorlog device --log {log.live} {argument}"
    _, *words = shlex.split(hint.partition("  ")[2])
    assert name in "\n".join(doorlog(*words).out)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "pump\u202e", "x" * 600])
def test_a_name_that_nobody_could_type_is_no_hint(tmp_path: Path, name: str) -> None:
    assert not [
        line for line in doorlog("summary", "--log", failures_of(tmp_path, name).live).out if "doorlog device" in line
    ]
    assert [
        line for line in doorlog("summary", "--log", failures_of(tmp_path, name, "b").live).out if line.endswith(" b")
    ]


def failures_of(folder: Path, *names: str) -> WrittenLog:
    log = WrittenLog(folder)
    event = {"action": "connect", "code": "bad_password", "outcome": "failure", "id": "x-1"}
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    for number, name in enumerate(names, 1):
        more: dict[str, Any] = {"@timestamp": moment, "event": event | {"sequence": number, "id": f"x-{number}"}}
        log.append(1, device=name, mqtt={"client_id": name}, **more)
    return log


def test_devices_that_were_admitted_before_come_first_and_in_the_first_sentence(log: WrittenLog) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {"action": "connect", "code": "bad_password", "outcome": "failure", "sequence": 6, "id": "x-6"}
    log.append(1, event=event, device="pump-17", **{"@timestamp": now})
    stop = {"action": "audit_stopped", "outcome": "success", "sequence": 7, "id": "x-7"}
    log.append(1, event=stop, **{"@timestamp": now})

    said = doorlog("summary", "--log", log.live)
    as_json = json.loads("\n".join(doorlog("summary", "--log", log.live, "--json").out))

    assert said.out[0].startswith("pump-17 was admitted before and does not come in any more since 20")
    assert said.out[0].endswith(": it fails with bad_password.")
    assert any(line.startswith("the broker stopped at 20") for line in said.out)
    assert as_json["trouble"] is True
    assert as_json["stopped"] == as_json["devices"][0]["last"]
    assert as_json["devices"][0]["device"] == "pump-17"


def test_who_was_last_at_the_address_of_an_unknown_device_is_told(log: WrittenLog) -> None:
    with closing(open_store(log.live.parent / "devices.db")) as connection:
        learner = Learner(connection)
        for name in ("plug-13", HOSTILE):
            learner.learn(Sighting(name, f"c-{name}", Evidence(1.0, place_of("198.51.100.2"), "t13", None), "anna"))
        connection.commit()

    text = "\n".join(doorlog("summary", "--log", log.live).out)
    found = json.loads("\n".join(doorlog("summary", "--log", log.live, "--json").out))
    (line,) = (line for line in text.split("\n") if line.startswith("  (unknown) 198.51.100.2 "))
    assert "last there: " in line
    assert "plug-13" in line
    assert not {"\x1b", "\u202e"} & set(text)
    (there,) = (one["last_there"] for one in found["devices"] if one["source"] == "198.51.100.2")
    assert set(there) == {"plug-13", HOSTILE}


def test_a_damaged_directory_does_not_matter(log: WrittenLog) -> None:
    (log.live.parent / "devices.db").write_bytes(b"no database")

    assert doorlog("summary", "--log", log.live).code == 0


def test_only_so_many_devices_are_listed(log: WrittenLog) -> None:
    said = doorlog("summary", "--log", log.live, "--top", "1")

    assert "and 2 more (--top)" in said.out


def test_for_a_program_nothing_is_cut(log: WrittenLog) -> None:
    found = json.loads("\n".join(doorlog("summary", "--log", log.live, "--json").out))

    assert (found["attempts"], found["failed"], found["failing"]) == (5, 4, 3)
    assert found["devices"][0]["device"] == HOSTILE
    assert found["devices"][0]["new"] is True
    assert found["codes"][0] | {"first": "", "last": ""} == {
        "code": "not_tls", "attempts": 2, "before": 0, "devices": 0, "sources": 2, "first": "", "last": "", "new": True,
    }  # fmt: skip
    assert found["until"].endswith("Z")


def test_a_span_in_which_nothing_happened(log: WrittenLog) -> None:
    said = doorlog("summary", "--log", log.live, "--until", "2026-01-02T00:00:00Z", "--since", "1h")

    assert said.code == 0
    assert "nobody came: is this the right log?" in said.out


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--since", "yesterday"), "a span back such as"),
        (("--until", "later"), "a span back such as"),
        (("--since", "2026-03-02T00:00:00Z", "--until", "2026-03-01T00:00:00Z"), "expected a time before --until"),
        (("--top", "0"), "greater than or equal to 1"),
        (("-c", "x.yaml"), "has no effect with --log"),
    ],
)
def test_what_can_not_be_meant_is_told(log: WrittenLog, options: tuple[str, ...], hint: str) -> None:
    said = doorlog("summary", "--log", log.live, *options)

    assert said.code == ExitCode.USAGE
    assert hint in " ".join(said.err)


def test_there_must_be_a_log(tmp_path: Path) -> None:
    said = doorlog("summary", "--log", tmp_path / "no")

    assert said.code == ExitCode.SETTINGS
    assert "name the log with --log" in said.err[0]
