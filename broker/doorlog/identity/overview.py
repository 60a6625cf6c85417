"""The devices for a person: who they are, when they were last here, and what is wrong with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from doorlog.identity.places import place_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

State = Literal["failing", "unclear", "silent", "ok"]
_ORDER: Final[dict[State, int]] = {"failing": 0, "unclear": 1, "silent": 2, "ok": 3}
SILENT_SECONDS: Final = 86_400.0
_RHYTHMS: Final = 4.0
"""A device without a session is silent once it was away for a day, and for four times as long as it used to be."""


class LastFailure(NamedTuple):
    """The last failed attempt of a device."""

    moment: float
    code: str
    confidence: str
    method: str
    connection_id: str
    times: int
    """How often it failed, all in all."""


class DeviceSummary(NamedTuple):
    """One device. Moments are seconds since 1970, UTC."""

    id: str
    state: State
    last_success: float | None
    last_failure: LastFailure | None
    """The last one that is this device's own, as far as can be told."""
    last_claim: LastFailure | None
    """The last refused CONNECT of somebody who wrote its name, from where this device never was."""
    last_unclear: LastFailure | None
    """The last failed attempt that was this device's or another one's that fits as well."""
    address: str | None
    connected: bool
    connects: int
    first_seen: float | None
    user_name: str | None
    look: str | None
    tls_version: str | None
    rhythm: float | None
    """Seconds between two admissions, in the mean."""
    name: str | None
    site: str | None
    model: str | None
    serial: str | None
    tags: tuple[str, ...]

    @property
    def shown_failure(self) -> LastFailure | None:
        """The failure that its state is about: its own, or one that may have been another one's."""
        return self.last_unclear if self.state == "unclear" else self.last_failure


_ALL: Final = """
WITH ids AS (
    SELECT id FROM device UNION SELECT id FROM inventory UNION SELECT id FROM failure WHERE is_claim = 0
)
SELECT ids.id, d.last_admitted, d.last_seen, d.sessions, d.address, d.connects, d.first_seen, d.user_name, d.look,
    d.tls_version, d.rhythm, i.name, i.site, i.model, i.serial, i.tags,
    f.moment, f.code, f.confidence, f.method, f.connection_id, f.count,
    c.moment, c.code, c.confidence, c.method, c.connection_id, c.count,
    u.moment, u.code, u.confidence, u.method, u.connection_id, u.count
FROM ids LEFT JOIN device d ON d.id = ids.id LEFT JOIN inventory i ON i.id = ids.id
    LEFT JOIN failure f ON f.id = ids.id AND f.is_claim = 0 LEFT JOIN failure c ON c.id = ids.id AND c.is_claim = 1
    LEFT JOIN failure u ON u.id = ids.id AND u.is_claim = 2
WHERE ?1 IS NULL OR ids.id = ?1
"""
_STATES: Final = """
WITH ids AS (
    SELECT id FROM device UNION SELECT id FROM inventory UNION SELECT id FROM failure WHERE is_claim = 0
)
SELECT CASE
        WHEN f.moment > coalesce(d.last_admitted, -1) THEN 'failing'
        WHEN u.moment > coalesce(d.last_admitted, -1) THEN 'unclear'
        WHEN d.last_admitted IS NULL THEN 'silent'
        WHEN d.sessions = 0 AND ?1 - d.last_seen > max(?2, ?3 * coalesce(d.rhythm, 0)) THEN 'silent'
        ELSE 'ok'
    END AS state, count(*)
FROM ids LEFT JOIN device d ON d.id = ids.id LEFT JOIN failure f ON f.id = ids.id AND f.is_claim = 0
    LEFT JOIN failure u ON u.id = ids.id AND u.is_claim = 2
GROUP BY state
"""


def summaries(connection: sqlite3.Connection, now: float, device: str | None = None) -> list[DeviceSummary]:
    """Return the devices of a directory, failing ones first, the latest failure first.

    Args:
        connection: A directory, open for reading.
        now: Seconds since 1970.
        device: Only this one.
    """
    found = [_summary(row, now) for row in connection.execute(_ALL, (device,))]
    return sorted(found, key=_urgency)


def states(connection: sqlite3.Connection, now: float) -> dict[State, int]:
    """Return how many devices are in each state, as ``summaries`` would say, without reading them one by one.

    Args:
        connection: A directory, open for reading.
        now: Seconds since 1970, UTC.
    """
    found = dict(connection.execute(_STATES, (now, SILENT_SECONDS, _RHYTHMS)).fetchall())
    return {state: found.get(state, 0) for state in _ORDER}


def admissions(connection: sqlite3.Connection, devices: Sequence[str]) -> dict[str, float]:
    """Return when these devices were last admitted, by id, seconds since 1970, UTC; without those that never were.

    Args:
        connection: A directory, open for reading.
        devices: Their ids.
    """
    rows = connection.execute(
        "SELECT id, last_admitted FROM device WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(devices),)
    )
    return dict(rows.fetchall())


def own_failures(connection: sqlite3.Connection, devices: Sequence[str]) -> set[str]:
    """Return those of these devices whose failures are their own, as far as can be told.

    Args:
        connection: A directory, open for reading.
        devices: Their ids.
    """
    rows = connection.execute(
        "SELECT id FROM failure WHERE is_claim = 0 AND id IN (SELECT value FROM json_each(?))", (json.dumps(devices),)
    )
    return {name for (name,) in rows}


def last_there(connection: sqlite3.Connection, sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which devices were last admitted from these addresses, by address, the latest first, four at most each.

    Args:
        connection: A directory, open for reading.
        sources: Addresses, as they stand in records.
    """
    asked = {source: place_of(source).address for source in sources}
    rows = connection.execute(_LAST_THERE, (json.dumps(sorted(set(asked.values()))),))
    there: dict[str, list[str]] = {}
    for address, device in rows:
        there.setdefault(address, []).append(device)
    return {source: tuple(there[address]) for source, address in asked.items() if address in there}


def addresses(connection: sqlite3.Connection, device: str) -> list[tuple[str, float, float, int]]:
    """Return where a device was: address, first and last time, how often; the latest first."""
    rows = connection.execute(
        "SELECT s.address, s.first, s.last, s.count FROM sighting s JOIN device d ON d.number = s.device "
        "WHERE d.id = ? ORDER BY s.last DESC",
        (device,),
    )
    return [(address, first, last, count) for address, first, last, count in rows]


def ids_like(connection: sqlite3.Connection, beginning: str, most: int) -> list[str]:
    """Return the ids of devices that begin like this, in their order.

    Args:
        connection: A directory, open for reading.
        beginning: Of an id; empty for all.
        most: How many are returned.
    """
    rows = connection.execute(
        "SELECT id FROM (SELECT id FROM device UNION SELECT id FROM inventory) WHERE substr(id, 1, ?1) = ?2 "
        "ORDER BY id LIMIT ?3",
        (len(beginning), beginning, most),
    )
    return [name for (name,) in rows]


_LAST_THERE: Final = """
SELECT address, id FROM (
    SELECT s.address AS address, d.id AS id, s.last AS last,
           row_number() OVER (PARTITION BY s.address ORDER BY s.last DESC, d.id) AS place
    FROM sighting s JOIN device d ON d.number = s.device AND d.address = s.address
    WHERE s.address IN (SELECT value FROM json_each(?))
) WHERE place <= 4 ORDER BY last DESC, id
"""


def _urgency(device: DeviceSummary) -> tuple[int, float, str]:
    failure = device.shown_failure if device.state in ("failing", "unclear") else None
    moment = failure.moment if failure is not None else device.last_success
    return _ORDER[device.state], -(moment or 0.0), device.id


def _summary(row: Sequence[Any], now: float) -> DeviceSummary:
    (
        name, last_success, last_seen, sessions, address, connects, first_seen, user, look, tls_version, rhythm,
        label, site, model, serial, tags,
    ) = row[:16]  # fmt: skip
    failure, claim, unclear = (_failure(row[at : at + 6]) for at in (16, 22, 28))
    away = None if sessions or last_seen is None else now - last_seen
    return DeviceSummary(
        id=name, state=_state(last_success, away, rhythm, failure, unclear), last_success=last_success,
        last_failure=failure, last_claim=claim, last_unclear=unclear, address=address, connected=bool(sessions),
        connects=connects or 0, first_seen=first_seen, user_name=user, look=look, tls_version=tls_version,
        rhythm=rhythm, name=label, site=site, model=model,
        serial=serial, tags=tuple(json.loads(tags)) if tags else (),
    )  # fmt: skip


def _is_later(failure: LastFailure | None, last_success: float | None) -> bool:
    return failure is not None and (last_success is None or failure.moment > last_success)


def _failure(row: Sequence[Any]) -> LastFailure | None:
    return LastFailure(*row) if row[0] is not None else None


def _state(
    last_success: float | None,
    away: float | None,
    rhythm: float | None,
    failure: LastFailure | None,
    unclear: LastFailure | None,
) -> State:
    if _is_later(failure, last_success):
        return "failing"
    if _is_later(unclear, last_success):
        return "unclear"
    if last_success is None:
        return "silent"
    usual = _RHYTHMS * (rhythm or 0.0)
    return "silent" if away is not None and away > max(SILENT_SECONDS, usual) else "ok"
