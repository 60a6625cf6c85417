"""The text for Prometheus: complete from the first moment, whatever was counted."""

from __future__ import annotations

from doorlog.application.facts import Facts
from doorlog.application.metrics import exposition
from doorlog.log.sink import SinkStatus
from doorlog.log.status import LogStatus
from doorlog.watch.tally import Tally
from support.events import admitted_connect, failed_connect, served_certificate
from support.monitor import samples_of, total

SINK = SinkStatus('syslog "tls"\n', sent=40, dropped=1)
LOG = LogStatus(mode="durable", failure=None, sequence=48, waiting=2, unwritten=0, sinks=(SINK,), lag=0.25)


def test_every_count_is_told() -> None:
    tally = Tally(["tls"])
    for event in (served_certificate(), failed_connect(), failed_connect(), admitted_connect()):
        tally.count(event)
    facts = Facts(LOG, 3, 3, counts=tally.counts(), longest_delay=0.5, devices={"ok": 7})

    samples = samples_of(exposition(facts).decode())

    assert total(samples, "doorlog_attempts_total", outcome="failure") == 2
    assert total(samples, "doorlog_attempt_duration_seconds_bucket", outcome="failure", le="0.01") == 0
    assert total(samples, "doorlog_attempt_duration_seconds_bucket", outcome="failure", le="+Inf") == 2
    assert total(samples, "doorlog_certificate_not_after_seconds", listener="tls") == 1798761600
    assert total(samples, "doorlog_certificate_generation", listener="tls") == 3
    assert total(samples, "doorlog_log_lag_seconds") == 0.25
    assert total(samples, "doorlog_loop_delay_longest_seconds") == 0.5
    assert total(samples, "doorlog_devices", state="ok") == 7
    assert total(samples, "doorlog_sink_dropped_total", sink=SINK.name) == 1
    assert total(samples, "process_open_fds") > 0
    assert total(samples, "doorlog_build_info") == 1
