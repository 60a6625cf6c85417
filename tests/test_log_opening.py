"""A log from simple arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from structlog.processors import EventRenamer

from doorlog.errors import SettingsError, SinkError
from doorlog.events.records import Event
from doorlog.log.opening import open_log, service_part
from doorlog.settings.log_models import CheckpointSettings, FileLogSettings, LogSettings
from support.events import SERVICE, failed_connect, one_of_each
from support.records import parse_records, read_records, sequences


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def to_file(path: Path) -> LogSettings:
    return LogSettings(file=FileLogSettings(path=path))


def message_of(event: Event) -> str:
    return f"{event.event.action} happened"


def test_a_file_that_can_not_be_opened_opens_nothing(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(SinkError, match="Is a directory"):
        open_log(to_file(tmp_path), service=SERVICE, message_of=message_of)
    assert open_descriptors() == before


def test_a_console_that_is_closed_lets_go_of_the_file_too(tmp_path: Path) -> None:
    console = (tmp_path / "console").open("w")
    console.close()
    before = open_descriptors()
    with pytest.raises(SinkError, match="console"):
        open_log(to_file(tmp_path / "log"), service=SERVICE, message_of=message_of, console=console)
    assert open_descriptors() == before


def test_a_key_that_can_not_be_used_lets_go_of_the_file_too(tmp_path: Path) -> None:
    before = open_descriptors()
    settings = to_file(tmp_path / "log").model_copy(
        update={"checkpoint": CheckpointSettings(keyfile=tmp_path / "no.key")}
    )
    with pytest.raises(SettingsError, match=r"log\.checkpoint\.keyfile: .*no\.key: No such file"):
        open_log(settings, service=SERVICE, message_of=message_of)
    assert open_descriptors() == before


def test_records_carry_their_service_and_their_sentence(tmp_path: Path) -> None:
    service = service_part("gate", "1.2.3", "broker-1")
    log = open_log(to_file(tmp_path / "log"), service=service, message_of=message_of)
    log.record(failed_connect())
    log.close()
    (record,) = read_records(tmp_path / "log")
    assert record["service"] == {"name": "gate", "version": "1.2.3", "instance": {"id": "broker-1"}}
    assert record["message"] == "connect happened"


def test_a_log_without_sinks_takes_events_too() -> None:
    log = open_log(LogSettings(), service=SERVICE, message_of=message_of)
    log.record(failed_connect())
    log.close()
    assert log.faults == ()


def test_processors_of_others_see_the_finished_record(tmp_path: Path) -> None:
    rename = EventRenamer("happening")
    log = open_log(to_file(tmp_path / "log"), service=SERVICE, message_of=message_of, processors=[rename])
    log.record(failed_connect())
    log.close()
    assert b'"happening":{"kind":"event"' in (tmp_path / "log").read_bytes()


def test_file_standard_output_and_console_at_once(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from doorlog.log.opening import open_log
from doorlog.settings.log_models import LogSettings
sys.path.insert(0, sys.argv[2])
from support.events import SERVICE, one_of_each
log = open_log(LogSettings(file={"path": sys.argv[1]}, stdout=True), service=SERVICE,
               message_of=lambda event: event.event.action, console=sys.stderr)
for event in one_of_each():
    log.record(event)
log.close()
"""
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "log", here], check=True, capture_output=True)
    records = read_records(tmp_path / "log")
    assert sequences(records) == list(range(1, len(one_of_each()) + 1))
    assert parse_records(done.stdout.splitlines()) == records
    shown = done.stderr.decode().splitlines()
    assert [line.split()[-1] for line in shown] == [
        record["message"] for record in records if record["event"]["action"] != "audit_checkpoint"
    ]
