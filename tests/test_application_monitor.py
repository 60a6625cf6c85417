"""The monitor: what it tells of a log that is well and of one that is not, and what it does not answer."""

from __future__ import annotations

import itertools
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Thread
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from doorlog.application.facts import Facts
from doorlog.application.health import ask_monitor
from doorlog.application.monitor import Monitor, health_of
from doorlog.errors import AddressError
from doorlog.events.codes import Code, GapCause
from doorlog.log.sink import SinkStatus
from doorlog.log.status import LogStatus
from doorlog.settings.models import MonitorSettings
from doorlog.watch.tally import Tally
from support.events import failed_connect

LOOPBACK = ("127.0.0.1", 0)
SINK = SinkStatus("syslog tls://logs.example.com", sent=40, retried=2, dropped=1, waiting=7, fault="refused")
WELL = LogStatus(mode="durable", failure=None, sequence=48, waiting=1, unwritten=0, sinks=(SINK,))
FAILING = LogStatus(mode="strict", failure="No space left on device", sequence=48, waiting=1, unwritten=9)


@contextmanager
def asked(status: LogStatus = WELL) -> Iterator[Monitor]:
    monitor = Monitor(LOOPBACK, lambda: Facts(status, accepted=21, connects=20))
    try:
        yield monitor
    finally:
        monitor.close()


def get(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", monitor.port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_a_log_that_is_well_is_told_as_json() -> None:
    with asked() as monitor:
        status, body = get(monitor, "/health")
    told = json.loads(body)
    assert (status, told["status"]) == (200, "ok")
    assert told["log"] == {
        "mode": "durable", "failure": None, "sequence": 48, "waiting": 1, "unwritten": 0, "lag": 0.0,
        "gaps": dict.fromkeys(GapCause, 0), "missing": dict.fromkeys(GapCause, 0),
    }  # fmt: skip
    assert told["sinks"][0]["dropped"] == 1
    assert told["door"] == {"accepted": 21, "connects": 20}


def test_a_log_that_can_not_be_written_is_not_healthy() -> None:
    with asked(FAILING) as monitor:
        status, body = get(monitor, "/health?verbose")
        health = ask_monitor("127.0.0.1:1", ("127.0.0.1", monitor.port))
    assert (status, json.loads(body)["status"]) == (503, "failing")
    assert health == ("log", False, "the log file can not be written: No space left on device")


def test_the_health_command_hears_of_a_log_that_is_well() -> None:
    with asked() as monitor:
        health = ask_monitor("127.0.0.1:1", ("127.0.0.1", monitor.port))
    assert health == ("log", True, "the log is written, 48 records so far")


def test_the_health_command_reads_all_that_a_large_broker_has_to_tell() -> None:
    tally = Tally([f"listener-{number}" for number in range(40)])
    for number, code in itertools.product(range(40), Code):
        sample = failed_connect()
        event = sample.event.model_copy(update={"code": code})
        doorlog = sample.doorlog.model_copy(update={"listener": f"listener-{number}"})
        tally.count(sample.model_copy(update={"event": event, "doorlog": doorlog}))
    monitor = Monitor(LOOPBACK, lambda: Facts(WELL, 2_000, 2_000, counts=tally.counts()))
    assert len(monitor.answer("/health")[2]) > 200_000
    health = ask_monitor("127.0.0.1:1", ("127.0.0.1", monitor.port))
    monitor.close()
    assert health.healthy


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\n[]", b"HTTP/1.0 200 OK\r\n\r\n{", b"hello\r\n\r\n"])
def test_whatever_else_answers_there_is_not_the_monitor(answer: bytes) -> None:
    with socket.create_server(LOOPBACK) as stranger:

        def reply() -> None:
            accepted, _ = stranger.accept()
            with accepted:
                accepted.recv(4096)
                accepted.sendall(answer)

        thread = Thread(target=reply)
        thread.start()
        health = ask_monitor("127.0.0.1:9883", stranger.getsockname())
        thread.join()
    assert health == ("log", False, "the monitor at 127.0.0.1:9883 gives no answer: is the broker running?")


def test_prometheus_reads_its_metrics() -> None:
    with asked() as monitor:
        status, body = get(monitor, "/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert status == 200
    assert samples["doorlog_door_accepted_total",] == 21
    assert samples["doorlog_log_records_total",] == 48
    assert samples["doorlog_log_failing",] == 0
    assert samples["doorlog_sink_dropped_total", SINK.name] == 1
    assert samples["doorlog_sink_waiting", SINK.name] == 7


def test_without_the_package_for_metrics_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with asked() as monitor:
        assert get(monitor, "/metrics") == (
            501,
            b'metrics need a package that is not installed: pip install "doorlog[metrics]"\n',
        )
        assert get(monitor, "/health")[0] == 200


def test_there_is_nothing_else() -> None:
    with asked() as monitor:
        assert get(monitor, "/etc/passwd")[0] == 404
        assert get(monitor, "/health", "POST")[0] == 501


def test_somebody_who_says_nothing_does_not_keep_others_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.application.monitor.PATIENCE", 0.05)
    with asked() as monitor, socket.create_connection(("127.0.0.1", monitor.port)):
        assert get(monitor, "/health")[0] == 200


def test_a_port_that_is_taken_is_named() -> None:
    with (
        asked() as monitor,
        pytest.raises(AddressError, match=r"monitor\.bind: 127\.0\.0\.1:\d+: Address already in use"),
    ):
        Monitor(("127.0.0.1", monitor.port), lambda: Facts(WELL, accepted=0, connects=0))


@pytest.mark.parametrize("bind", ["0.0.0.0:9883", ":9883", "10.0.0.1:9883", "localhost:1", "127.0.0.1:99999", 9883])
def test_nobody_from_outside_can_ask(bind: Any) -> None:
    with pytest.raises(ValueError, match="others ask through a proxy of yours"):
        MonitorSettings(bind=bind)


def test_its_address_may_be_ipv6() -> None:
    assert MonitorSettings(bind="[::1]:9883").address == ("::1", 9883)


def test_alerts_that_fire_are_told_by_the_names_of_their_rules() -> None:
    assert health_of(Facts(WELL, 1, 1))["alerts"] is None
    assert health_of(Facts(WELL, 1, 1, alerts=()))["alerts"] == {"count": 0, "firing": []}
    told = health_of(Facts(WELL, 1, 1, alerts=("log_lags", "cohort_failing", "cohort_failing")))["alerts"]
    assert told == {"count": 3, "firing": ["cohort_failing", "log_lags"]}
