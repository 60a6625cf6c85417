"""What the resolver may ask of the directory: which devices could be at an address, and what is known of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from doorlog.identity.places import Place

MOST_HERE: Final = 256
"""Devices at one address that are given at most; more are a crowd."""
MOST_NEAR: Final = 128
"""The same for a network: each costs time on the log's thread, and says less the more there are."""


class Known(NamedTuple):
    """A device, and what it has to do with the address in question."""

    id: str
    last_seen: float
    connects: int
    address: str
    network: str
    look: str | None
    former_look: str | None
    served: str | None
    absence: float | None = None
    """Seconds that it used to be away, in the mean."""
    moves: float = 0.0
    """How often it came back from another address."""
    moves_expected: float = 0.0
    """How often a device of its networks would have, after such absences."""
    first_here: float | None = None
    """When it was first seen at this very address; None if never."""
    last_here: float | None = None
    count_here: int = 0
    follows: bool = False
    """Whether devices that had its address at the same time have moved on to this one."""


_AT: Final = """
SELECT d.id, d.last_seen, d.connects, d.address, d.network, d.look, d.former_look, d.served,
    d.absence, d.moves, d.moves_expected, s.first, s.last, s.count
FROM sighting s JOIN device d ON d.number = s.device WHERE s.address = ? ORDER BY s.last DESC LIMIT 256
"""
_NEAR: Final = """
SELECT d.id, d.last_seen, d.connects, d.address, d.network, d.look, d.former_look, d.served,
    d.absence, d.moves, d.moves_expected
FROM device d WHERE d.network = ? AND d.look = ? AND d.address <> ? ORDER BY d.last_seen DESC LIMIT 128
"""
_ALIKE: Final = """
SELECT d.id, d.last_seen, d.connects, d.address, d.network, d.look, d.former_look, d.served,
    d.absence, d.moves, d.moves_expected
FROM device d WHERE d.look = ? AND d.network <> ? LIMIT ?
"""
_DEVICE: Final = """
SELECT d.id, d.last_seen, d.connects, d.address, d.network, d.look, d.former_look, d.served,
    d.absence, d.moves, d.moves_expected, s.first, s.last, coalesce(s.count, 0)
FROM device d LEFT JOIN sighting s ON s.device = d.number AND s.address = ? WHERE d.id = ?
"""
_FOLLOWERS: Final = """
SELECT DISTINCT d.id, d.last_seen, d.connects, d.address, d.network, d.look, d.former_look, d.served,
    d.absence, d.moves, d.moves_expected
FROM sighting here
    JOIN sighting before ON before.device = here.device AND before.address <> here.address AND before.last <= here.first
    JOIN sighting other ON other.address = before.address AND other.device <> here.device AND other.first <= before.last
    JOIN device d ON d.number = other.device AND d.address = before.address AND d.last_admitted <= here.first
WHERE here.address = ? AND here.first > ? LIMIT 256
"""
_CROWD: Final = "SELECT count(*) FROM (SELECT 1 FROM device WHERE network = ? AND look = ? LIMIT 5000)"
_ANOTHER: Final = """
SELECT 1 FROM sighting s JOIN device d ON d.number = s.device
WHERE s.address = ? AND d.address = s.address AND d.look = ? AND d.id <> ? LIMIT 1
"""
_FIXED: Final = "SELECT id FROM inventory_address WHERE address = ?"
_SERIAL: Final = "SELECT id FROM inventory WHERE serial = ? LIMIT 2"
_TICKET: Final = "SELECT d.id FROM ticket t JOIN device d ON d.number = t.device WHERE t.digest = ?"
_CERTIFICATE: Final = """
SELECT d.id FROM certificate c JOIN device d ON d.number = c.device WHERE c.sha256 = ? LIMIT 2
"""
_OWNERS: Final = """
SELECT DISTINCT i.site, d.user_name FROM json_each(?) c
LEFT JOIN inventory i ON i.id = c.value LEFT JOIN device d ON d.id = c.value
WHERE i.id IS NOT NULL OR d.id IS NOT NULL
"""
_SITES: Final = "SELECT DISTINCT site FROM inventory WHERE site IS NOT NULL ORDER BY site LIMIT ?"


class View:
    """A directory to be asked; sees what is committed.

    Args:
        connection: Open for reading; used by one thread at a time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def at(self, place: Place) -> list[Known]:
        """Return the devices that were seen at an address, the latest first."""
        return [Known(*row) for row in self._execute(_AT, (place.address,))]

    def has_another(self, place: Place, look: str | None, device: str) -> bool:
        """Whether another device of the same look was last seen at an address."""
        return self._execute(_ANOTHER, (place.address, look, device)).fetchone() is not None

    def followers(self, place: Place, since: float) -> list[Known]:
        """Return the devices that were left behind when others came to an address, from one that they had in common.

        Where a whole site gets another address, those that sleep are still known by the old one.

        Args:
            place: The new address.
            since: Only if the others came after this moment, in seconds since 1970.
        """
        return [Known(*row)._replace(follows=True) for row in self._execute(_FOLLOWERS, (place.address, since))]

    def near(self, place: Place, look: str | None) -> list[Known]:
        """Return the devices of one look that were last seen elsewhere in a network, the latest first."""
        if not place.network or look is None:
            return []
        return [Known(*row) for row in self._execute(_NEAR, (place.network, look, place.address))]

    def alike(self, look: str, place: Place, most: int) -> list[Known]:
        """Return devices of one look that were last seen in other networks."""
        return [Known(*row) for row in self._execute(_ALIKE, (look, place.network, most))]

    def crowd(self, place: Place, look: str) -> int:
        """Return how many devices of one look were last seen in a network; 5,000 stands for more."""
        return int(self._execute(_CROWD, (place.network, look)).fetchone()[0])

    def fixed(self, place: Place) -> list[str]:
        """Return the ids of the devices that an operator has given this address."""
        return self._ids(_FIXED, place.address)

    def device(self, name: str, place: Place) -> Known | None:
        """Return one device, with what it has to do with an address; None if it was never admitted."""
        row = self._execute(_DEVICE, (place.address, name)).fetchone()
        return Known(*row) if row else None

    def holder_of_ticket(self, digests: Iterable[str]) -> str | None:
        """Return the device that one of these tickets was issued to."""
        return next((name for digest in digests for name in self._ids(_TICKET, digest)), None)

    def holders_of_certificate(self, sha256: str) -> list[str]:
        """Return the devices that were admitted with a certificate, at most two: more is none the wiser."""
        return self._ids(_CERTIFICATE, sha256)

    def with_serial(self, serial: str) -> str | None:
        """Return the device that an operator has given this serial number."""
        found = self._ids(_SERIAL, serial)
        return found[0] if len(found) == 1 else None

    def owners(self, names: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Return site and last user name of those devices that are known, each pair once."""
        return list(self._execute(_OWNERS, (json.dumps(names),)))

    def sites(self, most: int) -> list[str]:
        """Return the sites of the inventory, the first by name."""
        return [site for (site,) in self._execute(_SITES, (most,))]

    def _ids(self, statement: str, value: str) -> list[str]:
        return [name for (name,) in self._execute(statement, (value,))]
