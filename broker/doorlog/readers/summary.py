"""What happened at the door in a span of time, in numbers, beside the span of the same length before it.

The log is read once: it is tallied by device, code and served certificate, and all that is told is made of the tally.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from doorlog.readers.table import Row, Table

_MOST_SOURCES: Final = 1_000
_CLAIMED: Final = "device_method IN ('client_id', 'user_name') AND confidence <> 'certain' AND outcome = 'failure'"
_TALLY: Final = f"""
CREATE OR REPLACE TEMP TABLE tally AS
SELECT time >= $since AS now, action, outcome, code, listener, device_id, {_CLAIMED} AS claimed,
       CASE WHEN device_id IS NULL THEN source_ip END AS source_ip,
       generation, served_sha256, served_subject, served_issuer, served_not_after,
       sum(attempts) AS attempts, sum(missing) AS missing, count(*) AS records, min(time) AS first, max(time) AS last
FROM records
WHERE time >= $before AND time <= $until
  AND action IN ('connect', 'flood', 'certificate_served', 'audit_gap', 'audit_started', 'audit_stopped')
GROUP BY ALL
"""  # noqa: S608 - made of our own names
_TOTALS: Final = """
SELECT coalesce(sum(attempts), 0), coalesce(sum(attempts) FILTER (outcome = 'success'), 0),
       coalesce(sum(missing), 0), coalesce(sum(records) FILTER (action = 'audit_started'), 0)
FROM tally WHERE now = $now
"""
_STOPPED: Final = """
SELECT max(last) FILTER (action = 'audit_stopped') AS stopped, max(last) FILTER (action <> 'audit_stopped') AS other
FROM tally
"""
_CODES: Final = """
SELECT code, sum(attempts) FILTER (now) AS failed, coalesce(sum(attempts) FILTER (NOT now), 0),
       count(DISTINCT device_id) FILTER (now), count(DISTINCT source_ip) FILTER (now),
       min(first) FILTER (now), max(last) FILTER (now)
FROM tally WHERE attempts > 0 AND outcome <> 'success' AND code IS NOT NULL
GROUP BY code HAVING failed > 0 ORDER BY failed DESC, code
"""
_DEVICES: Final = """
SELECT device_id, source_ip, sum(attempts) FILTER (now AND outcome <> 'success') AS failed,
       coalesce(sum(attempts) FILTER (NOT now AND outcome <> 'success'), 0),
       arg_max(code, attempts) FILTER (now AND outcome <> 'success'),
       min(first) FILTER (now AND outcome <> 'success'), max(last) FILTER (now AND outcome <> 'success') AS last_failed,
       max(last) FILTER (outcome = 'success') AS admitted,
       coalesce(bool_and(claimed) FILTER (now AND outcome <> 'success'), false) AS claims
FROM tally WHERE attempts > 0 AND (device_id IS NOT NULL OR source_ip IS NOT NULL)
GROUP BY device_id, source_ip HAVING failed > 0
ORDER BY device_id IS NULL, coalesce(admitted > last_failed, false), admitted IS NULL, claims, failed DESC,
         device_id, source_ip
"""
_CERTIFICATES: Final = """
SELECT listener, served_sha256, any_value(served_subject), any_value(served_issuer), any_value(served_not_after),
       max(generation), min(first), coalesce(sum(attempts) FILTER (now AND outcome = 'success'), 0),
       coalesce(sum(attempts) FILTER (now AND outcome <> 'success'), 0)
FROM tally WHERE served_sha256 IS NOT NULL
GROUP BY listener, served_sha256 HAVING bool_or(now) ORDER BY listener, min(first)
"""


class CodeCount(NamedTuple):
    """How often attempts failed for one reason."""

    code: str
    attempts: int
    before: int
    """In the span before."""
    devices: int
    """Different devices that are known by name."""
    sources: int
    """Different addresses of attempts whose device is not known."""
    first: datetime
    last: datetime

    @property
    def new(self) -> bool:
        """Whether there was none in the span before."""
        return self.before == 0


class Failing(NamedTuple):
    """A device that failed; or an address, where nobody knows which device it was."""

    device: str | None
    """Its id; None for an address."""
    source: str | None
    attempts: int
    before: int
    """In the span before."""
    code: str | None
    """The most frequent."""
    first: datetime
    """Its first failure in the span."""
    last: datetime
    admitted: datetime | None
    """When it was last admitted, in both spans."""
    claimed: bool
    """Whether only refused logins wrote its name: it may have been somebody else."""
    last_there: tuple[str, ...] = ()
    """Devices that were last admitted from the address of an unknown one, as far as that is remembered."""

    @property
    def new(self) -> bool:
        """Whether it did not fail in the span before."""
        return self.before == 0

    @property
    def recovered(self) -> bool:
        """Whether it was admitted after its last failure."""
        return self.admitted is not None and self.admitted > self.last


class Served(NamedTuple):
    """A certificate that a listener served, and how devices took it."""

    listener: str
    sha256: str
    subject: str | None
    issuer: str | None
    not_after: datetime | None
    generation: int | None
    """The latest number that it had."""
    first: datetime
    admitted: int
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A span of time at the door.

    Attributes:
        since: Where it begins; the span before it is as long.
        until: Where it ends.
        attempts: How many there were, those that were folded into a ``flood`` included.
        admitted: How many of them.
        before: Attempts and admissions in the span before.
        missing: Records that are not there, as the log says.
        starts: How often a broker started.
        codes: Reasons, the most frequent first.
        devices: Devices that failed: first those that were admitted before, then those that never were, and those that
            have recovered; addresses of unknown devices come last.
        certificates: What was served, by listener, in order.
        stopped: When the broker stopped, if that was the last that it did.
    """

    since: datetime
    until: datetime
    attempts: int
    admitted: int
    before: tuple[int, int]
    missing: int
    starts: int
    codes: list[CodeCount]
    devices: list[Failing]
    certificates: list[Served]
    stopped: datetime | None = None

    @property
    def names(self) -> list[str]:
        """Devices that failed and are known by name."""
        return [one.device for one in self.devices if one.device is not None]

    @property
    def sources(self) -> list[str]:
        """Addresses of those that failed and are not known, as many as it is worth while to ask about."""
        sources = (one.source for one in self.devices if one.device is None and one.source is not None)
        return list(islice(sources, _MOST_SOURCES))

    @property
    def is_comparable(self) -> bool:
        """Whether there was anything in the span before: else all is new, which says nothing."""
        return self.before[0] > 0

    @property
    def failed(self) -> int:
        """Attempts that did not end in a session."""
        return self.attempts - self.admitted


def summary_of(table: Table, since: datetime, until: datetime) -> Summary:
    """Tell what happened in a span of time.

    Args:
        table: The log, opened for the span and the one of the same length before.
        since: Where it begins.
        until: Where it ends.

    Raises:
        LogError: A file of the log can not be read.
    """
    spans = {"since": since, "until": until, "before": since - (until - since)}
    table.rows(_TALLY, spans)
    [(attempts, admitted, missing, starts)] = table.rows(_TOTALS, {"now": True})
    [(*before, _, _)] = table.rows(_TOTALS, {"now": False})
    return Summary(
        since=since,
        until=until,
        attempts=int(attempts),
        admitted=int(admitted),
        before=(int(before[0]), int(before[1])),
        missing=int(missing),
        starts=int(starts),
        codes=[CodeCount(*_plain(row)) for row in table.rows(_CODES)],
        devices=[Failing(*_plain(row)) for row in table.rows(_DEVICES)],
        certificates=[Served(*_plain(row)) for row in table.rows(_CERTIFICATES)],
        stopped=_stopped(table),
    )


def vouched(summary: Summary, own: Collection[str]) -> Summary:
    """Return a summary in which the names of these devices are more than claimed: they failed where they always are."""
    devices = [one._replace(claimed=one.claimed and one.device not in own) for one in summary.devices]
    devices.sort(key=lambda one: (one.device is None, one.recovered, one.admitted is None, one.claimed))
    return replace(summary, devices=devices)


def with_neighbours(summary: Summary, last_there: Mapping[str, tuple[str, ...]]) -> Summary:
    """Return a summary that tells of unknown devices which ones were last at their address."""
    devices = [
        one if one.device is not None else one._replace(last_there=last_there.get(one.source or "", ()))
        for one in summary.devices
    ]
    return replace(summary, devices=devices)


def _stopped(table: Table) -> datetime | None:
    [(stopped, other)] = map(_plain, table.rows(_STOPPED))
    return stopped if stopped is not None and (other is None or stopped >= other) else None


def _plain(row: Row) -> Row:
    """Give times their zone; sums come as integers of any size."""
    return tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row)
