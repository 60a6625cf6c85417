"""What changed before a device began to fail: its last success beside the failures that followed, in sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from doorlog.events.codes import (
    LOOKS_LATE,
    Code,
    lacks_good_certificate,
    leaves_at_our_certificate,
    refuses_our_certificate,
)
from doorlog.readers.columns import COLUMNS
from doorlog.readers.filters import time_of
from doorlog.readers.record import number_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.readers.table import Table

MOST_ATTEMPTS: Final = 2_000
"""Of one device that are looked at, the latest ones."""
_COLUMNS: Final = """
time, outcome, code, stage, message, connection_id, source_ip, listener, confidence, generation, served_sha256,
served_issuer, server_name, ja4, tls_version, user_name, client_sha256, protocol_version
"""
_OWN: Final = f"""
SELECT {_COLUMNS} FROM records
WHERE device_id = $device AND action = 'connect' AND time >= $since AND time <= $until
"""  # noqa: S608 - names of our own
_ATTEMPTS: Final = f"{_OWN} ORDER BY time DESC, sequence DESC LIMIT {MOST_ATTEMPTS}"
_LAST_SUCCESS: Final = f"{_OWN} AND outcome = 'success' ORDER BY time DESC, sequence DESC LIMIT 1"
_FIRST_FAILURE: Final = f"{_OWN} AND outcome IS DISTINCT FROM 'success' ORDER BY time, sequence LIMIT 1"
_SINCE_THEN: Final = """
SELECT coalesce(sum(attempts) FILTER (device_id = $device AND outcome IS DISTINCT FROM 'success'), 0),
       count(DISTINCT device_id) FILTER (device_id <> $device AND code = $code)
FROM records WHERE time >= $first AND time <= $until AND attempts > 0
"""
_MAY_LOOK_LATE: Final = LOOKS_LATE | {Code.CONNECT_TIMEOUT}
_PATHS: Final = {column.name: column.path for column in COLUMNS}
_A_MOMENT: Final = timedelta(microseconds=1)


class Attempt(NamedTuple):
    """One attempt of a device."""

    time: datetime
    outcome: str
    code: str | None
    stage: str | None
    message: str | None
    connection_id: str | None
    source_ip: str | None
    listener: str | None
    confidence: str | None
    generation: int | None
    served_sha256: str | None
    served_issuer: str | None
    server_name: str | None
    ja4: str | None
    tls_version: str | None
    user_name: str | None
    client_sha256: str | None
    protocol_version: str | None

    @property
    def is_admitted(self) -> bool:
        """Whether it ended in a session."""
        return self.outcome == "success"


class Break(NamedTuple):
    """Where a device stopped getting in."""

    last_success: Attempt | None
    first_failure: Attempt
    failures: int
    """Since then, those that were folded into a ``flood`` included."""
    others: int
    """Other devices that failed for the same reason since then."""
    changes: list[str]
    """What was different then, the likeliest cause first."""


def attempts_of(table: Table, device: str, since: datetime, until: datetime) -> list[Attempt]:
    """Return the attempts of a device in a span, the latest first.

    Args:
        table: The log, opened for the span.
        device: Its id.
        since: Where the span begins.
        until: Where it ends.

    Raises:
        LogError: A file of the log can not be read.
    """
    return _found(table, _ATTEMPTS, device, since, until)


def break_of(table: Table, device: str, attempts: Sequence[Attempt], since: datetime, until: datetime) -> Break | None:
    """Find where a device began to fail; None while it gets in.

    Args:
        table: The log.
        device: Its id.
        attempts: What ``attempts_of`` returns of the same span.
        since: Where the span begins that is looked at.
        until: Where it ends.

    Raises:
        LogError: A file of the log can not be read.
    """
    failing = _failing(attempts)
    if not failing:
        return None
    before = attempts[len(failing)] if len(failing) < len(attempts) else None
    first = failing[-1]
    if len(failing) == MOST_ATTEMPTS:  # what was before these was not looked at
        before = next(iter(_found(table, _LAST_SUCCESS, device, since, until)), None)
        after = before.time + _A_MOMENT if before is not None else since
        first = next(iter(_found(table, _FIRST_FAILURE, device, after, until)), first)
    wanted = {"code": first.code, "device": device, "first": first.time, "until": until}
    [(failures, others)] = table.rows(_SINCE_THEN, wanted)
    changes = list(changes_between(before, first)) if before is not None else []
    return Break(before, first, int(failures), int(others), changes)


def changes_of(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[str]:
    """Tell what was different in two records of a device, as ``changes_between`` does; nothing if there is only one."""
    old, new = attempt_of(before), attempt_of(after)
    return list(changes_between(old, new)) if old is not None and new is not None else []


def attempt_of(record: dict[str, Any] | None) -> Attempt | None:
    """Return a record as a row of the view; what is odd in it is left out. None for what has no time."""
    time = time_of(text_at(record, "@timestamp"))
    if time is None:
        return None
    texts = {name: text_at(record, *_PATHS[name].split(".")) for name in Attempt._fields if name != "time"}
    generation = number_at(record, *_PATHS["generation"].split("."))
    return Attempt(time=time, **{**texts, "outcome": texts["outcome"] or "", "generation": generation})  # type: ignore[arg-type] # each name once


def changes_between(before: Attempt, after: Attempt) -> Iterator[str]:
    """Tell what was different in two attempts of a device, the likeliest cause of the failure first."""
    ours = _our_certificate(before, after)
    got_past = not _may_refuse_us(after.code)
    if ours and not got_past:
        yield (
            ours
            if refuses_our_certificate(after.code)
            else f"{ours}; it left without a word then: likely why, but not proven"
        )
    if lacks_good_certificate(after.code):
        yield from _its_certificate(before, after)
    if before.listener != after.listener:
        yield f"it came to listener {after.listener}, before to {before.listener}"
    pairs = (
        ("it speaks another version of MQTT", before.protocol_version, after.protocol_version),
        ("its certificate is another one", before.client_sha256, after.client_sha256),
        ("its TLS library or its settings are others (JA4)", before.ja4, after.ja4),
        ("it asks for another server name", before.server_name, after.server_name),
        ("its address is another one", before.source_ip, after.source_ip),
        ("it uses another user name", before.user_name, after.user_name),
    )
    for sentence, old, new in pairs:
        if old and new and old != new:
            yield f"{sentence}: {new}, before {old}"
    if ours and got_past:
        yield f"{ours}; that is not why: it got past that"


def _may_refuse_us(code: str | None) -> bool:
    """Whether the device may have gone because of the certificate that we served; some look at it late."""
    return refuses_our_certificate(code) or leaves_at_our_certificate(code) or code in _MAY_LOOK_LATE


def _our_certificate(before: Attempt, after: Attempt) -> str:
    if not before.served_sha256 or not after.served_sha256 or before.served_sha256 == after.served_sha256:
        return ""
    if before.served_issuer == after.served_issuer:
        return f"we serve another certificate, by the same issuer, {after.served_issuer}"
    return f"we serve another certificate, by {after.served_issuer}, before by {before.served_issuer}"


def _its_certificate(before: Attempt, after: Attempt) -> Iterator[str]:
    """Tell what became of the certificate with which it was admitted."""
    if before.client_sha256 and not after.client_sha256:
        yield "it showed a certificate then, and shows none now"
    elif before.client_sha256 and before.client_sha256 == after.client_sha256:
        if after.code == Code.CLIENT_CERTIFICATE_EXPIRED:
            yield "it shows the same certificate as then, which has expired since"
        else:
            yield "it shows the same certificate as then: what changed is whom we trust (cafile, crlfile)"


def _found(table: Table, sql: str, device: str, since: datetime, until: datetime) -> list[Attempt]:
    rows = table.rows(sql, {"device": device, "since": since, "until": until})
    return [Attempt(time.replace(tzinfo=UTC), *rest) for time, *rest in rows]


def _failing(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the failures since the last success, the latest first."""
    found: list[Attempt] = []
    for attempt in attempts:
        if attempt.is_admitted:
            break
        found.append(attempt)
    return found
