"""``/health`` and ``/metrics`` on a loopback port: how the log, its sinks and the door do, for machines that ask.

One request at a time, each within two seconds; only this machine can ask, so there is nothing to log in to. Nothing
that a client chose is told.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from doorlog.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from doorlog.log.status import LogStatus

PATIENCE: Final = 2.0
"""Seconds that a request may take."""
_PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"


class Monitor:
    """Answers requests from a thread of its own.

    Args:
        address: Where to listen; port 0 takes a free one.
        status: Tells how the log does.
        counts: Tells sockets accepted and ``connect`` events so far.

    Attributes:
        port: The port that is bound.

    Raises:
        AddressError: The address can not be bound.
    """

    def __init__(
        self, address: tuple[str, int], status: Callable[[], LogStatus], counts: Callable[[], tuple[int, int]]
    ) -> None:
        self._status = status
        self._counts = counts
        try:
            self._server = HTTPServer(address, self._handler())
        except OSError as error:
            where = f"{address[0]}:{address[1]}"
            raise AddressError(f"monitor.bind: {where}: {error.strerror}: choose another port") from error
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, name="doorlog-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Answer a request: HTTP status, content type, body."""
        match path.partition("?")[0]:
            case "/health":
                status = self._status()
                text = json.dumps(health_of(status, *self._counts()), indent=2) + "\n"
                return 200 if status.failure is None else 503, "application/json", text.encode()
            case "/metrics":
                return self._metrics()
            case _:
                return 404, "text/plain", b"there is /health and /metrics\n"

    def _metrics(self) -> tuple[int, str, bytes]:
        try:
            from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - an optional extra
        except ImportError:
            return 501, "text/plain", b'metrics need a package that is not installed: pip install "doorlog[metrics]"\n'
        registry = CollectorRegistry()
        registry.register(_Collector(self._status(), *self._counts()))
        return 200, _PLAIN, generate_latest(registry)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE
            server_version = "doorlog"
            sys_version = ""

            def do_GET(self) -> None:
                status, kind, body = monitor.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing: a monitor asks all day."""

        return Handler


def health_of(status: LogStatus, accepted: int, connects: int) -> dict[str, Any]:
    """Say how the log and its sinks do, as plain values for JSON.

    Args:
        status: How the log does.
        accepted: Sockets accepted so far.
        connects: ``connect`` events so far.
    """
    sinks = [asdict(sink) for sink in status.sinks]
    return {
        "status": "ok" if status.failure is None else "failing",
        "log": {key: value for key, value in asdict(status).items() if key != "sinks"},
        "sinks": sinks,
        "door": {"accepted": accepted, "connects": connects},
    }


class _Collector:
    """What Prometheus is told; no label is chosen by a client."""

    def __init__(self, status: LogStatus, accepted: int, connects: int) -> None:
        self._log = status
        self._door = (
            ("accepted", accepted, "Sockets accepted."),
            ("connects", connects, "Attempts that were decided."),
        )

    def describe(self) -> list[Metric]:
        """Say nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an optional extra

        log = self._log
        for name, value, words in self._door:
            yield CounterMetricFamily(f"doorlog_door_{name}", words, value=value)
        yield CounterMetricFamily("doorlog_log_records", "Sequence of the last record.", value=log.sequence)
        yield GaugeMetricFamily("doorlog_log_waiting", "Events that wait for the log's thread.", value=log.waiting)
        yield GaugeMetricFamily("doorlog_log_unwritten", "Records that the file has not taken.", value=log.unwritten)
        yield GaugeMetricFamily(
            "doorlog_log_failing", "1 while the file can not be written.", value=log.failure is not None
        )
        counters = (("sent", "taken"), ("retried", "brought again"), ("dropped", "never delivered"))
        for name, words in counters:
            family = CounterMetricFamily(f"doorlog_sink_{name}", f"Records {words}, by sink.", labels=["sink"])
            for sink in log.sinks:
                family.add_metric([sink.name], getattr(sink, name))
            yield family
        waiting = GaugeMetricFamily("doorlog_sink_waiting", "Records that wait for a sink.", labels=["sink"])
        for sink in log.sinks:
            waiting.add_metric([sink.name], sink.waiting)
        yield waiting
