"""What admitted connections teach, written into the directory's tables. For one thread, inside its transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from doorlog.identity.counters import load, put, recount, settle, shift, store
from doorlog.identity.evidence import Departure, Failure, Lesson, Serving, Sighting, Whose
from doorlog.identity.places import Place

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

MOST_ADDRESSES: Final = 16
"""Addresses that are kept of one device; the stalest is forgotten first."""
MOST_TICKETS: Final = 4
MOST_CERTIFICATES: Final = 4
MOST_FAILURES: Final = 20_000
_SETTLED_SECONDS: Final = 86_400.0
"""So old a directory has met whom there is to meet; before, a device's first connection says nothing of newcomers."""
_RHYTHM_SHARE: Final = 0.2  # of the latest interval in the mean one
_LOOK_AFTER: Final = 20_000  # lessons between two looks at age and number
_DAY: Final = 86_400.0


_FORGET_ADDRESSES: Final = """
DELETE FROM sighting WHERE last < ?1 AND NOT EXISTS (
    SELECT 1 FROM device d
    WHERE d.number = sighting.device AND d.address = sighting.address AND (d.sessions > 0 OR d.last_seen >= ?1)
)
"""
"""A session may last longer than an address is kept; until it ends, the device is there."""
_FORGET_FAILURES: Final = """
DELETE FROM failure WHERE (id, is_claim) IN (
    SELECT id, is_claim FROM failure WHERE id NOT IN (SELECT id FROM device UNION ALL SELECT id FROM inventory)
    ORDER BY moment DESC LIMIT -1 OFFSET ?
)
"""
"""With devices, their failures are forgotten: all but the latest, which a verified certificate may have named."""

_MEET_AGAIN: Final = """
UPDATE device SET user_name = ?, last_seen = ?, last_admitted = ?, connects = connects + 1, sessions = sessions + 1,
    rhythm = ?, absence = ?, moves = moves + ?, moves_expected = moves_expected + ?, address = ?, network = ?,
    look = coalesce(?, look), former_look = ?, served = coalesce(?, served), listener = ?, tls_version = ?,
    protocol_version = ?, keep_alive = ?, connection_id = ?
WHERE number = ?
"""


def _mean(before: float | None, latest: float) -> float:
    return latest if before is None else before + _RHYTHM_SHARE * (latest - before)


class Learner:
    """Learns.

    Args:
        connection: A directory, open for writing.
        remember: How many devices are kept.
        forget_days: How long an address is kept at which a device was not seen again.
    """

    def __init__(self, connection: sqlite3.Connection, *, remember: int = 100_000, forget_days: float = 90.0) -> None:
        self._execute = connection.execute
        self._remember = remember
        self._forget = forget_days * _DAY
        self._until_look = 1  # brokers that are restarted often must forget, too
        self.statistics, self.calibration, self._began = load(connection.execute)

    def learn(self, lesson: Lesson) -> None:
        """Take one lesson."""
        if isinstance(lesson, Sighting):
            self._see(lesson)
        elif isinstance(lesson, Departure):
            self._execute(
                "UPDATE device SET last_seen = max(last_seen, ?), sessions = max(0, sessions - 1) WHERE id = ?",
                (lesson.moment, lesson.device),
            )
        elif isinstance(lesson, Serving):
            if self.statistics.served.setdefault(lesson.served, lesson.moment) == lesson.moment:
                put(self._execute, f"served {lesson.served}", lesson.moment)
        else:
            self._note_failure(lesson)
        self._until_look -= 1
        if self._until_look <= 0 and isinstance(lesson, Sighting | Departure):
            self._until_look = _LOOK_AFTER
            self.tidy(lesson.moment if isinstance(lesson, Departure) else lesson.evidence.moment)

    def reload(self) -> None:
        """Count anew: another program has changed the directory."""
        self.statistics, self.calibration, self._began = load(self._execute)

    def begin_run(self, hidden: Sequence[str] = ()) -> None:
        """Note that a broker begins: no device has a session, and these names are hidden by ``log.privacy``.

        Whoever had one when the broker before was killed was there until the last that was learned.
        """
        put(self._execute, "hidden", list(hidden))
        self._execute(
            "UPDATE device SET sessions = 0, last_seen = max(last_seen, (SELECT max(last_seen) FROM device)) "
            "WHERE sessions > 0"
        )

    def store_counters(self) -> None:
        """Write the counters that have changed."""
        store(self._execute, self.statistics, self.calibration)

    def tidy(self, now: float) -> None:
        """Forget stale addresses and, if there are more devices than are kept, those that were hardly known."""
        self._execute(_FORGET_ADDRESSES, (now - self._forget,))
        self._execute("DELETE FROM ticket WHERE issued < ?", (now - self._forget,))
        self.statistics.forget_some()
        surplus = self.statistics.devices - self._remember
        if surplus > 0:
            # Ids that came once and never again go first: whoever makes up an id for each connection only
            # crowds out the like. Not so those that never left.
            self._execute(
                "DELETE FROM device WHERE number IN "
                "(SELECT number FROM device ORDER BY sessions > 0, connects > 1, last_seen LIMIT ?)",
                (surplus + self._remember // 100,),
            )
        self._execute(_FORGET_FAILURES, (MOST_FAILURES,))
        recount(self._execute, self.statistics)

    def _see(self, sighting: Sighting) -> None:
        known = self._execute(
            "SELECT number, last_seen, last_admitted, address, network, look, former_look, rhythm, absence "
            "FROM device WHERE id = ?",
            (sighting.device,),
        ).fetchone()
        number = self._meet(sighting) if known is None else self._meet_again(sighting, known)
        if sighting.certificate is not None:
            self._keep_certificate(number, sighting)
        if sighting.ticket is not None:
            self._keep_ticket(number, sighting)
        self.statistics.count("admissions")
        if sighting.exam is not None and self._is_settled(sighting.evidence.moment):
            self.calibration.take(*sighting.exam)

    def _meet(self, sighting: Sighting) -> int:
        """Take in a device that was never seen."""
        evidence, statistics = sighting.evidence, self.statistics
        place, look, moment = evidence.place, evidence.look, evidence.moment
        if self._began is None:
            self._began = moment
            put(self._execute, "began", moment)
        if self._is_settled(moment):
            statistics.count(self._where_new(place.address, place.network))
        number = self._execute(
            "INSERT INTO device (id, user_name, first_seen, last_seen, last_admitted, address, network, look, served, "
            "listener, tls_version, protocol_version, keep_alive, connection_id, sessions) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (
                sighting.device, sighting.user_name, moment, moment, moment, place.address, place.network, look,
                evidence.served, sighting.listener, sighting.tls_version, sighting.protocol_version,
                sighting.keep_alive, sighting.connection_id,
            ),
        ).lastrowid  # fmt: skip
        statistics.devices += 1
        settle(statistics, None, place)
        if look is not None:
            shift(statistics.looks, None, look)
        self._keep_address(number or 0, sighting)
        return number or 0

    def _is_settled(self, moment: float) -> bool:
        return self._began is not None and moment - self._began > _SETTLED_SECONDS

    def _where_new(self, address: str, network: str) -> str:
        if self._execute("SELECT 1 FROM sighting WHERE address = ? LIMIT 1", (address,)).fetchone():
            return "new_at_address"
        return "new_in_network" if self.statistics.members.get(network) else "new_elsewhere"

    def _meet_again(self, sighting: Sighting, known: Sequence[Any]) -> int:
        """Take in a device that was seen before."""
        number, last_seen, last_admitted, address, network, look, former_look, rhythm, absence = known
        evidence = sighting.evidence
        place, moment = evidence.place, max(evidence.moment, last_admitted)
        gap = max(0.0, evidence.moment - last_seen)
        expected = 1.0 - self.statistics.stay(network, gap)
        is_new_place = self._keep_address(number, sighting)
        self._count_return(sighting, last_seen, Place(address, network), look, back=not is_new_place)
        if evidence.look != look and evidence.look is not None:
            former_look = look
        self._execute(
            _MEET_AGAIN,
            (
                sighting.user_name, moment, moment, _mean(rhythm, moment - last_admitted), _mean(absence, gap),
                place.address != address, expected, place.address, place.network, evidence.look, former_look,
                evidence.served, sighting.listener, sighting.tls_version, sighting.protocol_version,
                sighting.keep_alive, sighting.connection_id, number,
            ),
        )  # fmt: skip
        return int(number)

    def _count_return(
        self, sighting: Sighting, last_seen: float, before: Place, look: str | None, *, back: bool
    ) -> None:
        """Count what a device did that came back."""
        statistics, evidence = self.statistics, sighting.evidence
        place = evidence.place
        stayed = place.address == before.address
        statistics.count_return(before.network, max(0.0, evidence.moment - last_seen), stayed=stayed)
        statistics.count("returns")
        statistics.count("overlaps", sighting.overlapped)
        statistics.count("same_look", evidence.look is None or evidence.look == look)
        if not stayed:
            statistics.count("moves")
            statistics.count("moves_back", back)
            statistics.count("moves_near", not back and place.network == before.network)
        settle(statistics, before, place)
        if evidence.look is not None:
            shift(statistics.looks, look, evidence.look)

    def _keep_address(self, number: int, sighting: Sighting) -> bool:
        """Keep where a device was; return whether it was never seen there."""
        address, moment = sighting.evidence.place.address, sighting.evidence.moment
        if not address:  # log.privacy omits it: to be nowhere is no place that two attempts have in common
            return False
        row = self._execute(
            "INSERT INTO sighting VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET last = max(last, excluded.last), "
            "count = count + 1 RETURNING count",
            (address, number, moment, moment),
        ).fetchall()
        if row[0][0] > 1:
            return False
        statistics = self.statistics
        if len(self._execute("SELECT 1 FROM sighting WHERE address = ? LIMIT 2", (address,)).fetchall()) == 1:
            statistics.addresses += 1
            shift(statistics.pools, None, sighting.evidence.place.network)
        self._execute(
            "DELETE FROM sighting WHERE device = ?1 AND address IN "
            "(SELECT address FROM sighting WHERE device = ?1 ORDER BY last DESC LIMIT -1 OFFSET ?2)",
            (number, MOST_ADDRESSES),
        )
        return True

    def _keep_certificate(self, number: int, sighting: Sighting) -> None:
        moment = sighting.evidence.moment
        self._execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
            (sighting.certificate, number, sighting.subject, moment, moment),
        )
        self._execute(
            "DELETE FROM certificate WHERE device = ?1 AND sha256 IN "
            "(SELECT sha256 FROM certificate WHERE device = ?1 ORDER BY last DESC LIMIT -1 OFFSET ?2)",
            (number, MOST_CERTIFICATES),
        )

    def _keep_ticket(self, number: int, sighting: Sighting) -> None:
        self._execute(
            "INSERT INTO ticket VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET device = excluded.device, "
            "issued = excluded.issued",
            (sighting.ticket, number, sighting.evidence.moment),
        )
        self._execute(
            "DELETE FROM ticket WHERE device = ?1 AND digest IN "
            "(SELECT digest FROM ticket WHERE device = ?1 ORDER BY issued DESC LIMIT -1 OFFSET ?2)",
            (number, MOST_TICKETS),
        )

    def _note_failure(self, failure: Failure) -> None:
        """Note a failure beside what is learned: nothing that resolves reads this table."""
        is_known = self._execute(
            "SELECT 1 FROM device WHERE id = ?1 UNION ALL SELECT 1 FROM inventory WHERE id = ?1", (failure.device,)
        ).fetchone()
        if not is_known and (failure.whose is not Whose.OWN or self._failures() >= MOST_FAILURES):
            return
        self._execute(
            "INSERT INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET moment = excluded.moment, "
            "code = excluded.code, confidence = excluded.confidence, method = excluded.method, "
            "connection_id = excluded.connection_id, count = count + 1",
            (
                failure.device, failure.whose, failure.moment, failure.code, failure.confidence, failure.method,
                failure.connection_id,
            ),
        )  # fmt: skip

    def _failures(self) -> int:
        return int(self._execute("SELECT count(*) FROM failure").fetchone()[0])
