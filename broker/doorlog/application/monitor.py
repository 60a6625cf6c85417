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

from doorlog import __version__
from doorlog.application.metrics import exposition
from doorlog.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doorlog.application.facts import Facts

PATIENCE: Final = 2.0
"""Seconds that a request may take."""
_PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"


class Monitor:
    """Answers requests from a thread of its own.

    Args:
        address: Where to listen; port 0 takes a free one.
        facts: Tells what is to be told; called on the monitor's thread.

    Attributes:
        port: The port that is bound.

    Raises:
        AddressError: The address can not be bound.
    """

    def __init__(self, address: tuple[str, int], facts: Callable[[], Facts]) -> None:
        self._facts = facts
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
                facts = self._facts()
                text = json.dumps(health_of(facts), indent=2) + "\n"
                return 200 if facts.log.failure is None else 503, "application/json", text.encode()
            case "/metrics":
                return self._metrics()
            case _:
                return 404, "text/plain", b"there is /health and /metrics\n"

    def _metrics(self) -> tuple[int, str, bytes]:
        try:
            return 200, _PLAIN, exposition(self._facts())
        except ImportError:
            return 501, "text/plain", b'metrics need a package that is not installed: pip install "doorlog[metrics]"\n'

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


def health_of(facts: Facts) -> dict[str, Any]:
    """Say how the broker does, as plain values for JSON: what ``/metrics`` says, without histograms.

    Args:
        facts: What is to be told.
    """
    log, counts = facts.log, facts.counts
    return {
        "status": "ok" if log.failure is None else "failing",
        "version": __version__,
        "log": {
            **{key: value for key, value in asdict(log).items() if key != "sinks"},
            "gaps": counts.gaps,
            "missing": counts.missing,
        },
        "sinks": [asdict(sink) for sink in log.sinks],
        "door": {"accepted": facts.accepted, "connects": facts.connects},
        "attempts": _rows(counts.attempts, ("listener", "stage", "code", "outcome")),
        "cohorts": _rows(counts.cohorts, ("cohort", "outcome")),
        "generations": _rows(counts.generations, ("listener", "generation", "outcome")),
        "sessions": counts.sessions,
        "disconnects": _rows(counts.disconnects, ("listener", "cause")),
        "refusals": _rows(counts.refusals, ("listener", "kind")),
        "certificates": {name: asdict(served) for name, served in counts.served.items()},
        "loop_delay_longest_seconds": facts.longest_delay,
        "devices": facts.devices,
        "alerts": _alerts(facts.alerts),
    }


def _alerts(firing: tuple[str, ...] | None) -> dict[str, Any] | None:
    return {"count": len(firing), "firing": sorted(set(firing))} if firing is not None else None


def _rows(counts: Mapping[Any, int], labels: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{**dict(zip(labels, key, strict=True)), "count": number} for key, number in sorted(counts.items())]
