"""Scenario 8: accepted sockets = ``connect`` records, counted on both sides under a hostile load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

from bench.crowd import Crowd
from bench.hostile import KINDS, attack
from bench.meters import resident_bytes, settled_cpu_seconds
from bench.options import Options
from bench.results import COLUMNS, Check, Measurement, Results
from bench.servers import Server, Setup, available, running

_LIMITS = {"attempt_timeout": 1, "attempts_per_source": 20, "linger_timeout": 0.5}
_LISTENERS: Mapping[str, Mapping[str, Any]] = {
    "ws": {"websocket": True},
    "lb": {"proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]},
}
_LEFT_OPEN = 10


def run(setup: Setup, options: Options, results: Results, wanted: Sequence[str], say: Callable[[str], None]) -> None:
    """Measure, if it is wanted."""
    if "8" not in wanted:
        return
    setup = replace(setup, limits=_LIMITS, more_listeners=_LISTENERS)
    growth: dict[str, float] = {}
    for name in available(is_thorough=options.is_thorough):
        if name.startswith("doorlog"):
            say(f"8: {options.hostile_attempts:,} attempts of {len(KINDS)} kinds: {name}")
            with running(setup, [name]) as servers:
                growth[name] = _attack(servers[name], setup, options, results)
    what = f"growth of memory over {options.hostile_attempts:,} hostile attempts"
    results.measurements.append(Measurement("8", what, "MB", growth))


def _attack(server: Server, setup: Setup, options: Options, results: Results) -> float:
    """Return by how many MB the server grew."""
    records = server.records
    assert records is not None
    crowd = Crowd(server.ports, setup.certificates)
    attack(crowd, options.hostile_attempts // 10)
    settled_cpu_seconds(server.pid)
    before = resident_bytes(server.pid)
    attack(crowd, options.hostile_attempts)
    records.wait_for(crowd.connected, "connect")
    settled_cpu_seconds(server.pid)
    growth = (resident_bytes(server.pid) - before) / 1e6
    with ExitStack() as stack:
        for _ in range(_LEFT_OPEN):
            stack.enter_context(closing(crowd.dial("tls")))
        server.stop()
    _report(server, crowd.connected, results)
    return growth


def _report(server: Server, connected: int, results: Results) -> None:
    records = server.records
    assert records is not None
    connects = records.count("connect")
    audit = records.last["doorlog"].get("audit", {}) if records.count("audit_stopped") else {}
    checks = {
        f"records missing of {connected:,} accepted sockets": connected - connects,
        "accepted sockets, the door's count against the clients'": audit.get("accepted", -1) - connected,
        "connect records, the door's count against the log": audit.get("connects", -1) - connects,
        "gaps in event.sequence": records.gaps,
    }
    for what, difference in checks.items():
        results.checks.append(Check("8", what, server.name, abs(difference), 0, ""))
    codes = ", ".join(
        f"{code} {count:,}" for (action, code), count in records.counts.most_common() if action == "connect"
    )
    results.notes.append(f"8, {COLUMNS[server.name]}: {connects:,} connect records: {codes}")
