"""Scenarios 5 and 6: what a connection costs in memory while nothing happens."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from bench import clients
from bench.meters import resident_bytes, settled_cpu_seconds
from bench.options import Options
from bench.results import Check, Measurement, Results
from bench.servers import Certificates, Server, Setup, available, running

_WARM_UP = 5
_LIMITS = {"attempt_timeout": 300, "attempts_per_source": 2000}
_SILENT_KB = 20.0

Open = Callable[[Server, str], socket.socket]


@dataclass(frozen=True, slots=True)
class Kind:
    """A connection that is opened and then left alone."""

    scenario: str
    what: str
    open: Open
    share_of_stock: float | None = None
    kilobytes: float | None = None


def kinds(certificates: Certificates) -> list[Kind]:
    trusting = clients.context(certificates.trusted)
    hello = clients.client_hello(trusting)
    return [
        Kind("5", "idle TLS client", lambda server, name: _admitted(server, name, trusting), share_of_stock=0.25),
        Kind("5", "idle plain client", lambda server, name: _admitted(server, name, None)),
        Kind(
            "6", "silent on the TLS port", lambda server, _: clients.dial(server.address("tls")), kilobytes=_SILENT_KB
        ),
        Kind("6", "silent on the plain port", lambda server, _: clients.dial(server.address("plain"))),
        Kind("6", "silent in the middle of its ClientHello", lambda server, _: _half_hello(server, hello)),
        Kind("6", "silent after our certificate", lambda server, _: _hello_only(server, hello)),
        Kind("6", "silent after the TLS handshake", lambda server, _: _no_connect(server, trusting)),
    ]


def run(setup: Setup, options: Options, results: Results, wanted: Sequence[str], say: Callable[[str], None]) -> None:
    """Measure the wanted scenarios, with fresh servers for each kind: memory that was freed is used again."""
    setup = replace(setup, limits=_LIMITS)
    chosen = [kind for kind in kinds(setup.certificates) if kind.scenario in wanted]
    names = available(is_thorough=options.is_thorough)
    for together in [[kind] for kind in chosen] if options.is_thorough else [chosen]:
        with running(setup, names if together else ()) as servers:
            for kind in together:
                say(f"{kind.scenario}: {kind.what}")
                kilobytes = {name: _measure(kind, server, options) for name, server in servers.items()}
                _report(kind, kilobytes, results)


def _measure(kind: Kind, server: Server, options: Options) -> float:
    """Return kB for each connection."""
    with ExitStack() as stack:
        for number in range(_WARM_UP):
            stack.enter_context(closing(kind.open(server, f"first-{number}")))
        _settle(server)
        before = resident_bytes(server.pid)
        for number in range(options.connections):
            stack.enter_context(closing(kind.open(server, f"pump-{number}")))
        _settle(server)
        return (resident_bytes(server.pid) - before) / options.connections / 1000


def _settle(server: Server) -> None:
    time.sleep(0.2)
    settled_cpu_seconds(server.pid)


def _report(kind: Kind, kilobytes: dict[str, float], results: Results) -> None:
    results.measurements.append(Measurement(kind.scenario, kind.what, "kB", kilobytes))
    for ours in ("doorlog", "doorlog_asyncio"):
        if ours not in kilobytes:
            continue
        if kind.share_of_stock is not None:
            share = kilobytes[ours] / max(kilobytes["amqtt"], 0.001)
            what = f"{kind.what}, memory against stock amqtt"
            results.checks.append(Check(kind.scenario, what, ours, share, kind.share_of_stock))
        if kind.kilobytes is not None:
            results.checks.append(
                Check(kind.scenario, f"{kind.what}, memory", ours, kilobytes[ours], kind.kilobytes, "kB")
            )


def _admitted(server: Server, client_id: str, tls: ssl.SSLContext | None) -> socket.socket:
    sock = clients.dial_any(server.address("plain" if tls is None else "tls"), tls)
    if clients.log_in(sock, client_id) != 0:
        raise RuntimeError("the right password was refused")
    return sock


def _half_hello(server: Server, hello: bytes) -> socket.socket:
    sock = clients.dial(server.address("tls"))
    sock.sendall(hello[: len(hello) // 2])
    return sock


def _hello_only(server: Server, hello: bytes) -> socket.socket:
    sock = clients.dial(server.address("tls"))
    sock.sendall(hello)
    if not sock.recv(65_536):
        raise RuntimeError("the server did not answer a ClientHello")
    return sock


def _no_connect(server: Server, tls: ssl.SSLContext) -> socket.socket:
    return clients.dial_tls(server.address("tls"), tls)
