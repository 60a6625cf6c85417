"""What Prometheus is told, and what the page of metrics says of it; no label is chosen by a client."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from doorlog import __version__
from doorlog.application.loop_probe import DELAY_BOUNDS
from doorlog.watch.tally import BOUNDS, Durations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from doorlog.application.facts import Facts

# An optional extra is imported where it is used.
# ruff: noqa: PLC0415


def exposition(facts: Facts) -> bytes:
    """Return the metrics in the text format of Prometheus, version 0.0.4.

    Raises:
        ImportError: The package for it is not installed.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(Collector(facts))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class Collector:
    """Yields the metrics of one moment.

    Args:
        facts: What is to be told.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def describe(self) -> list[Metric]:
        """Say nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._broker()
        yield from self._attempts()
        yield from self._sessions()
        yield from self._certificates()
        yield from self._log()
        yield from self._sinks()

    def _broker(self) -> Iterator[Metric]:
        facts = self._facts
        build = (__version__, platform.python_version())
        yield _gauge("build_info", "Always 1: which version runs.", ["version", "python"], {build: 1})
        yield _counter("door_accepted", "Sockets accepted.", (), {(): facts.accepted})
        yield _counter("door_connects", "Attempts that were decided.", (), {(): facts.connects})
        words = "How late the event loop came, in seconds."
        yield _histogram("loop_delay_seconds", words, (), {(): facts.delays}, DELAY_BOUNDS)
        words = "The longest delay of the event loop within the last minute, in seconds."
        yield _gauge("loop_delay_longest_seconds", words, (), {(): facts.longest_delay})
        devices = {(state,): number for state, number in (facts.devices or {}).items()}
        yield _gauge("devices", "Devices that are remembered, by state; read once a minute.", ["state"], devices)

    def _attempts(self) -> Iterator[Metric]:
        counts = self._facts.counts
        labels = ["listener", "stage", "code", "outcome"]
        words = "Decided attempts, one for each accepted socket, folded ones too."
        yield _counter("attempts", words, labels, counts.attempts)
        words = "Seconds from accept to verdict."
        yield _histogram("attempt_duration_seconds", words, ["listener", "outcome"], counts.durations, BOUNDS)
        words = "Seconds from the complete ClientHello to the end of a completed TLS handshake."
        yield _histogram("handshake_duration_seconds", words, ["listener"], counts.handshakes, BOUNDS)
        words = "Attempts by cohort, as the operator named them; one may be in several, or in none."
        yield _counter("cohort_attempts", words, ["cohort", "outcome"], counts.cohorts)
        words = "Attempts to whom this generation of the certificate was served."
        yield _counter("generation_attempts", words, ["listener", "generation", "outcome"], counts.generations)

    def _sessions(self) -> Iterator[Metric]:
        counts = self._facts.counts
        sessions = {(listener,): number for listener, number in counts.sessions.items()}
        yield _gauge("sessions", "Admitted devices that are connected.", ["listener"], sessions)
        yield _counter("disconnects", "Ended sessions, by cause.", ["listener", "cause"], counts.disconnects)
        words = "What devices were refused to do: subscribe, publish, will."
        yield _counter("authorize_refused", words, ["listener", "kind"], counts.refusals)

    def _certificates(self) -> Iterator[Metric]:
        served = self._facts.counts.served
        expiry = {(name,): found.not_after for name, found in served.items() if found.not_after is not None}
        words = "When the served certificate expires, seconds since 1970."
        yield _gauge("certificate_not_after_seconds", words, ["listener"], expiry)
        generations = {(name,): found.generation for name, found in served.items()}
        words = "Number of the served chain, from 1 at each start of the broker."
        yield _gauge("certificate_generation", words, ["listener"], generations)

    def _log(self) -> Iterator[Metric]:
        log, counts = self._facts.log, self._facts.counts
        yield _counter("log_records", "Sequence of the last record.", (), {(): log.sequence})
        yield _gauge("log_waiting", "Events that wait for the log's thread.", (), {(): log.waiting})
        yield _gauge(
            "log_lag_seconds", "Seconds that the oldest event has waited for the log's thread.", (), {(): log.lag}
        )
        yield _gauge("log_unwritten", "Records that the file has not taken.", (), {(): log.unwritten})
        yield _gauge("log_failing", "1 while the file can not be written.", (), {(): log.failure is not None})
        gaps = {(cause,): number for cause, number in counts.gaps.items()}
        yield _counter("log_gaps", "Gaps in the log (audit_gap), by cause.", ["cause"], gaps)
        missing = {(cause,): number for cause, number in counts.missing.items()}
        yield _counter("log_missing_records", "Records missing from the log, by cause.", ["cause"], missing)

    def _sinks(self) -> Iterator[Metric]:
        sinks = self._facts.log.sinks
        for name, words in (("sent", "taken"), ("retried", "brought again"), ("dropped", "never delivered")):
            found = {(sink.name,): getattr(sink, name) for sink in sinks}
            yield _counter(f"sink_{name}", f"Records {words}, by sink.", ["sink"], found)
        waiting = {(sink.name,): sink.waiting for sink in sinks}
        yield _gauge("sink_waiting", "Records that wait for a sink.", ["sink"], waiting)


def _counter(name: str, words: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"doorlog_{name}", words, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _gauge(name: str, words: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"doorlog_{name}", words, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, words: str, labels: Sequence[str], values: Mapping[Any, Durations], bounds: Sequence[float]
) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(f"doorlog_{name}", words, labels=labels)
    limits = [*map(str, bounds), "+Inf"]
    for key, durations in sorted(values.items()):
        family.add_metric(key, list(zip(limits, durations.buckets, strict=True)), durations.total)
    return family
