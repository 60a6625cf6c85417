"""Scenarios 7 and 9: what an admitted client notices of others that fail."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from socket import socket

from bench import clients
from bench.options import Options
from bench.results import Check, Measurement, Results
from bench.servers import ROOT, Certificates, Server, Setup, available, running

_EVERY = 0.02  # seconds between two PINGREQ
_P99_MS = 50.0
_LIMITS = {"attempts_per_source": 2000}


@dataclass(frozen=True, slots=True)
class Waits:
    """How long PINGRESP took, in milliseconds, and how many attempts failed meanwhile."""

    median: float
    p99: float
    worst: float
    attempts: int


def run(setup: Setup, options: Options, results: Results, wanted: Sequence[str], say: Callable[[str], None]) -> None:
    """Measure the wanted scenarios."""
    setup = replace(setup, limits=_LIMITS)
    if "7" in wanted:
        _handshakes(setup, options, results, say)
    if "9" in wanted:
        _logins(setup, options, results, say)


def _handshakes(setup: Setup, options: Options, results: Results, say: Callable[[str], None]) -> None:
    waits: dict[str, Waits] = {}
    for name in available(is_thorough=options.is_thorough):
        ours = name.startswith("doorlog")
        seconds = options.storm_seconds if ours else options.calm_seconds
        say(f"7: {options.handshakes_per_second} failing handshakes/s for {seconds:g} s: {name}")
        with running(setup, [name]) as servers:
            server = servers[name]
            waits[name] = _storm(server, setup.certificates, "handshake", options.handshakes_per_second, seconds)
            if ours:
                _count(server, waits[name].attempts, results)
    for name, wait in waits.items():
        if name.startswith("doorlog"):
            what = f"PINGRESP p99 under {options.handshakes_per_second} failing handshakes/s"
            results.checks.append(Check("7", what, name, wait.p99, _P99_MS, "ms"))
    what = f"{options.handshakes_per_second} failing handshakes/s"
    _figures("7", what, waits, results)


def _count(server: Server, attempts: int, results: Results) -> None:
    """One record for each attempt, and one for the client that was admitted."""
    assert server.records is not None
    server.stop()
    lost = attempts + 1 - server.records.count("connect")
    results.checks.append(Check("7", f"records lost of {attempts + 1:,}", server.name, abs(lost), 0, ""))


def _logins(setup: Setup, options: Options, results: Results, say: Callable[[str], None]) -> None:
    waits: dict[str, Waits] = {}
    setup = replace(setup, argon2=True)
    for name in available(is_thorough=options.is_thorough):
        if name != "mosquitto":  # it knows no Argon2
            say(f"9: {options.logins_per_second} wrong passwords/s against Argon2: {name}")
            with running(setup, [name]) as servers:
                rate, seconds = options.logins_per_second, options.login_storm_seconds
                waits[name] = _storm(servers[name], setup.certificates, "login", rate, seconds)
    _figures("9", f"{options.logins_per_second} wrong passwords/s, Argon2", waits, results)


def _figures(scenario: str, what: str, waits: dict[str, Waits], results: Results) -> None:
    for figure in ("median", "p99", "worst"):
        values = {name: getattr(wait, figure) for name, wait in waits.items()}
        results.measurements.append(Measurement(scenario, f"{what}: PINGRESP {figure}", "ms", values))
    attempts = {name: float(wait.attempts) for name, wait in waits.items()}
    results.measurements.append(Measurement(scenario, f"{what}: attempts made", "", attempts))


def _storm(server: Server, certificates: Certificates, kind: str, rate: float, seconds: float) -> Waits:
    tls = clients.context(certificates.trusted)
    port = server.ports["tls" if kind == "handshake" else "plain"]
    with clients.device(server.address("tls"), tls, "observer") as sock:
        sock.settimeout(60)
        clients.ping(sock)
        with _stormy([kind, str(port), str(rate), str(seconds), str(certificates.foreign)]) as process:
            waits = list(_pings(sock, process))
            attempts = int(process.communicate()[0])
    ordered = sorted(waits)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return Waits(statistics.median(ordered), p99, ordered[-1], attempts)


@contextmanager
def _stormy(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "bench.storm", *arguments]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _pings(sock: socket, process: subprocess.Popen[str]) -> Iterator[float]:
    """Ping on schedule; a wait counts from when PINGREQ was due, so that a stall counts for each that it delays."""
    due = time.perf_counter()
    while process.poll() is None:
        time.sleep(max(due - time.perf_counter(), 0))
        clients.ping(sock)
        yield (time.perf_counter() - due) * 1000
        due += _EVERY
