"""The counters of the directory, between its tables and memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doorlog.identity.calibration import Calibration
from doorlog.identity.places import Place, place_of
from doorlog.identity.statistics import Statistics

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    Execute = Callable[..., sqlite3.Cursor]


def load(execute: Execute) -> tuple[Statistics, Calibration, float | None]:
    """Return the counters of a directory, and when its first device was seen (seconds since 1970; None for never)."""
    statistics, calibration, began = Statistics(), Calibration(), None
    for key, value in execute("SELECT key, value FROM statistic"):
        kind, _, name = key.partition(" ")
        match kind:
            case "stays":
                statistics.stays[name] = json.loads(value)
            case "sum":
                statistics.sums[name] = json.loads(value)
            case "served":
                statistics.served[name] = json.loads(value)
            case "exams":
                calibration = Calibration(json.loads(value))
            case "began":
                began = json.loads(value)
    recount(execute, statistics)
    return statistics, calibration, began


def store(execute: Execute, statistics: Statistics, calibration: Calibration) -> None:
    """Write the counters that have changed."""
    while statistics.dirty:
        key = statistics.dirty.pop()
        kind, _, name = key.partition(" ")
        put(execute, key, statistics.stays[name] if kind == "stays" else statistics.sums[name])
    if calibration.is_dirty:
        calibration.is_dirty = False
        put(execute, "exams", calibration.sums)


def put(execute: Execute, key: str, value: Any) -> None:
    """Write one counter."""
    execute(
        "INSERT INTO statistic VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, json.dumps(value))
    )


def recount(execute: Execute, statistics: Statistics) -> None:
    """Count again what the tables hold."""
    statistics.devices = execute("SELECT count(*) FROM device").fetchone()[0]
    statistics.holders = dict(execute("SELECT address, count(*) FROM device GROUP BY address"))
    statistics.used = dict(execute("SELECT network, count(DISTINCT address) FROM device GROUP BY network"))
    statistics.members = dict(execute("SELECT network, count(*) FROM device GROUP BY network"))
    statistics.looks = dict(execute("SELECT look, count(*) FROM device WHERE look IS NOT NULL GROUP BY look"))
    pools: dict[str, int] = {}
    addresses = 0
    for (address,) in execute("SELECT DISTINCT address FROM sighting"):
        addresses += 1
        shift(pools, None, place_of(address).network)
    statistics.addresses, statistics.pools = addresses, pools


def settle(statistics: Statistics, before: Place | None, after: Place) -> None:
    """Count that a device is now at another place than before; None if it was nowhere."""
    if before == after:
        return
    if before is not None and statistics.holders.get(before.address, 0) <= 1:
        shift(statistics.used, before.network, None)
    if after.address not in statistics.holders:
        shift(statistics.used, None, after.network)
    shift(statistics.holders, before.address if before is not None else None, after.address)
    shift(statistics.members, before.network if before is not None else None, after.network)


def shift(counts: dict[str, int], before: str | None, after: str | None) -> None:
    """Move one from one count to another; a count that is down to nothing is forgotten."""
    if before == after:
        return
    if after is not None:
        counts[after] = counts.get(after, 0) + 1
    if before is None:
        return
    left = counts.get(before, 0) - 1
    if left > 0:
        counts[before] = left
    else:
        counts.pop(before, None)
