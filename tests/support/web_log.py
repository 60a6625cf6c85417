"""A log for the page: a small fleet on the day of a rotation, and what somebody hostile wrote into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from support.log_files import WrittenLog

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">\u202e"\'{{7*7}}</script><script>alert(2)</script>'
OLD, NEW = "AA" * 32, "BB" * 32


class Day:
    """Writes records of the last hours, the earliest first."""

    def __init__(self, folder: Path) -> None:
        self.log = WrittenLog(folder)
        self.now = datetime.now(UTC)

    def served(self, hours_ago: float, issuer: str, sha256: str) -> None:
        self._write(hours_ago, "certificate_served", "success", None, tls=_tls(issuer, sha256))

    def started(self, hours_ago: float) -> None:
        self._write(hours_ago, "audit_started", "success", None)

    def attempt(
        self,
        hours_ago: float,
        code: str,
        device: str | None = None,
        *,
        issuer: str = "CA 1",
        sha256: str = OLD,
        **more: Any,
    ) -> str:
        """Write an attempt; return the id of its connection."""
        outcome = "success" if code == "admitted" else "failure"
        return self._write(hours_ago, "connect", outcome, code, device=device, tls=_tls(issuer, sha256), **more)

    def flood(self, hours_ago: float, code: str, device: str, count: int) -> None:
        """Write that so many attempts more were counted instead of recorded."""
        folded = {"action": "connect", "count": count}
        self._write(hours_ago, "flood", "failure", code, device=device, flood=folded)

    def ambiguous(self, hours_ago: float, code: str, *candidates: str) -> None:
        """Write an attempt of one of several devices."""
        self._write(hours_ago, "connect", "failure", code, candidates=candidates)

    def _write(self, hours_ago: float, action: str, outcome: str, code: str | None, **more: Any) -> str:
        number = self.log.sequence + 1
        moment = (self.now - timedelta(hours=hours_ago)).isoformat().replace("+00:00", "Z")
        device, message = more.pop("device", None), more.pop("message", f"record {number}: {code or action}")
        doorlog: dict[str, Any] = {"listener": "tls", "connection_id": f"{number:016x}"}
        if action == "connect":
            doorlog["stage"] = "session" if code == "admitted" else "handshake"
        record = {
            "@timestamp": moment,
            "message": message,
            "event": {"action": action, "outcome": outcome, "code": code, "sequence": number, "id": f"x-{number}"},
            "source": {"ip": "192.0.2.17", "port": 1024 + number},
            **more,
        }
        if "flood" in record:
            doorlog["flood"] = record.pop("flood")
        if "candidates" in record:
            candidates = [{"id": name, "score": 0.5} for name in record.pop("candidates")]
            doorlog["device"] = {"confidence": "ambiguous", "candidates": candidates}
        if device is not None:
            record["device"] = {"id": device}
            doorlog["device"] = {"method": "address", "confidence": "likely", "evidence": ["it was here before"]}
        record["doorlog"] = doorlog
        self.log.append_raw(orjson.dumps(record) + b"\n")
        self.log.sequence = number
        return str(doorlog["connection_id"])


def _tls(issuer: str, sha256: str) -> dict[str, Any]:
    x509 = {"subject": {"distinguished_name": "CN=mqtt"}, "issuer": {"distinguished_name": f"CN={issuer}"}}
    return {"server": {"x509": x509, "hash": {"sha256": sha256}, "generation": 1 if sha256 == OLD else 2}}


def rotation(folder: Path) -> Day:
    """Write a day: pump-17 and pump-18 are admitted, the certificate is rotated, and pump-17 refuses the new one."""
    day = Day(folder)
    day.started(20)
    day.served(20, "CA 1", OLD)
    for hour in (19, 18, 17):
        day.attempt(hour, "admitted", "pump-17")
        day.attempt(hour, "admitted", "pump-18")
    day.served(5, "CA 2", NEW)
    for hour in (4, 3, 2):
        day.attempt(hour, "server_certificate_unknown_ca", "pump-17", issuer="CA 2", sha256=NEW)
        day.attempt(hour, "admitted", "pump-18", issuer="CA 2", sha256=NEW)
    return day
