"""What changed before a device began to fail: its last success beside the failures that followed, in sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.readers.table import Table

MOST_ATTEMPTS: Final = 2_000
"""Of one device that are looked at, the latest ones."""
_ATTEMPTS: Final = f"""
SELECT time, outcome, code, stage, message, connection_id, source_ip, listener, confidence, generation, served_sha256,
       served_issuer, server_name, ja4, tls_version, user_name, client_sha256
FROM records WHERE device_id = $device AND action = 'connect' AND time >= $since AND time <= $until
ORDER BY time DESC, sequence DESC LIMIT {MOST_ATTEMPTS}
"""  # noqa: S608 - a number of our own
_OTHERS: Final = """
SELECT count(DISTINCT device_id) FROM records
WHERE code = $code AND device_id <> $device AND time >= $first AND time <= $until
"""


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

    @property
    def is_admitted(self) -> bool:
        """Whether it ended in a session."""
        return self.outcome == "success"


class Break(NamedTuple):
    """Where a device stopped getting in."""

    last_success: Attempt | None
    first_failure: Attempt
    failures: int
    """Since then."""
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
    rows = table.rows(_ATTEMPTS, {"device": device, "since": _naive(since), "until": _naive(until)})
    return [Attempt(time.replace(tzinfo=UTC), *rest) for time, *rest in rows]


def break_of(table: Table, device: str, attempts: Sequence[Attempt], until: datetime) -> Break | None:
    """Find where a device began to fail; None while it gets in.

    Args:
        table: The log.
        device: Its id.
        attempts: Its own, the latest first.
        until: Where the span ends that is looked at.

    Raises:
        LogError: A file of the log can not be read.
    """
    failing = _failing(attempts)
    if not failing:
        return None
    first = failing[-1]
    before = attempts[len(failing)] if len(failing) < len(attempts) else None
    wanted = {"code": first.code, "device": device, "first": _naive(first.time), "until": _naive(until)}
    [(others,)] = table.rows(_OTHERS, wanted)
    changes = list(changes_between(before, first)) if before is not None else []
    return Break(before, first, len(failing), int(others), changes)


def changes_between(before: Attempt, after: Attempt) -> Iterator[str]:
    """Tell what was different in two attempts of a device, the likeliest cause of a failure first."""
    if before.served_sha256 != after.served_sha256 and before.served_sha256 and after.served_sha256:
        is_same_issuer = before.served_issuer == after.served_issuer
        issuers = f"by the same issuer, {after.served_issuer}" if is_same_issuer else ""
        other = issuers or f"by {after.served_issuer}, before by {before.served_issuer}"
        yield f"we serve another certificate, {other} (generation {before.generation} to {after.generation})"
    if before.listener != after.listener:
        yield f"it came to listener {after.listener}, before to {before.listener}"
    pairs = (
        ("its certificate is another one", before.client_sha256, after.client_sha256),
        ("its TLS library or its settings are others (JA4)", before.ja4, after.ja4),
        ("it asks for another server name", before.server_name, after.server_name),
        ("its address is another one", before.source_ip, after.source_ip),
        ("it uses another user name", before.user_name, after.user_name),
    )
    for sentence, old, new in pairs:
        if old and new and old != new:
            yield f"{sentence}: {new}, before {old}"


def _failing(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the failures since the last success, the latest first."""
    found: list[Attempt] = []
    for attempt in attempts:
        if attempt.is_admitted:
            break
        found.append(attempt)
    return found


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
