"""Scenarios 1 to 4: CPU of the server for each operation."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import clients
from bench.meters import settled_cpu_seconds
from bench.options import Options
from bench.results import Check, Measurement, Results
from bench.servers import Certificates, Server, Setup, available, running

Operation = Callable[[Server], None]
_BURST = 10  # operations in a row: enough to be warm, few enough that a busy machine is as busy for every server
LIMITS = {"attempt_timeout": 60, "attempts_per_source": 2000}


@dataclass(frozen=True, slots=True)
class Cost:
    """An operation, the last record that it leaves (action and code), and what it may cost against another server."""

    scenario: str
    what: str
    operation: Operation
    record: tuple[str, str]
    limits: Mapping[str, float]


def costs(certificates: Certificates) -> list[Cost]:
    trusting, foreign = clients.context(certificates.trusted), clients.context(certificates.foreign)
    return [
        Cost(
            "1",
            "failed TLS 1.3 handshake (unknown_ca)",
            lambda server: clients.refuse_server(server.address("tls"), foreign),
            ("connect", "server_certificate_unknown_ca"),
            {"amqtt": 1.25, "mosquitto": 2.0},
        ),
        Cost(
            "2",
            "TLS connect + disconnect",
            lambda server: clients.come_and_go(server.address("tls"), trusting),
            ("disconnect", "normal"),
            {"amqtt": 1.0},
        ),
        Cost(
            "3",
            "plain connect + disconnect",
            lambda server: clients.come_and_go(server.address("plain"), None),
            ("disconnect", "normal"),
            {},
        ),
        Cost(
            "4",
            "wrong password, plain",
            lambda server: clients.be_refused(server.address("plain"), None),
            ("connect", "bad_password"),
            {"amqtt": 0.6},
        ),
        Cost(
            "4",
            "wrong password, TLS",
            lambda server: clients.be_refused(server.address("tls"), trusting),
            ("connect", "bad_password"),
            {},
        ),
    ]


def run(setup: Setup, options: Options, results: Results, wanted: Sequence[str], say: Callable[[str], None]) -> None:
    """Measure the wanted scenarios."""
    chosen = [cost for cost in costs(setup.certificates) if cost.scenario in wanted]
    if not chosen:
        return
    with running(setup, available()) as servers:
        for cost in chosen:
            say(f"{cost.scenario}: {cost.what}")
            spent = _measure(cost, servers, options)
            _report(cost, spent, results)


def _measure(cost: Cost, servers: Mapping[str, Server], options: Options) -> dict[str, list[float]]:
    """Return microseconds per operation, of each server in each round; within a round, servers take turns."""
    recorded = {name: server.records.count(*cost.record) for name, server in servers.items() if server.records}
    for server in servers.values():
        _repeat(cost, server, _BURST)
        _settle(cost, server, recorded, _BURST)
    spent: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(options.rounds):
        before = {name: settled_cpu_seconds(server.pid) for name, server in servers.items()}
        for burst in range(options.bursts):
            for server in _rotated(list(servers.values()), burst):
                _repeat(cost, server, _BURST)
        operations = options.bursts * _BURST
        for name, server in servers.items():
            _settle(cost, server, recorded, operations)
            spent[name].append((settled_cpu_seconds(server.pid) - before[name]) / operations * 1e6)
    return spent


def _rotated(servers: list[Server], first: int) -> list[Server]:
    first %= len(servers)
    return servers[first:] + servers[:first]


def _repeat(cost: Cost, server: Server, times: int) -> None:
    for _ in range(times):
        cost.operation(server)


def _settle(cost: Cost, server: Server, recorded: dict[str, int], operations: int) -> None:
    """Wait for the records. What was measured must be what was meant: each operation left one with its code."""
    if server.records is None:
        return
    recorded[server.name] += operations
    if server.records.wait_for(recorded[server.name], *cost.record) != recorded[server.name]:
        raise RuntimeError(f"{server.name} did not record each {cost.what}: {server.records.counts}")


def _report(cost: Cost, spent: Mapping[str, Sequence[float]], results: Results) -> None:
    medians = {name: statistics.median(rounds) for name, rounds in spent.items()}
    results.measurements.append(Measurement(cost.scenario, cost.what, "us CPU", medians))
    for other, limit in cost.limits.items():
        for ours in ("doorlog", "doorlog_asyncio"):
            if other in spent and ours in spent:
                ratio = statistics.median(a / b for a, b in zip(spent[ours], spent[other], strict=True))
                what = f"{cost.what}, against {'stock amqtt' if other == 'amqtt' else other}"
                results.checks.append(Check(cost.scenario, what, ours, ratio, limit))
