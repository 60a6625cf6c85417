"""A whole doorlog in the test's own event loop: real sockets, a real log file, every record checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from doorlog.application.service import Service
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.settings.models import Settings
from support.clients.base import Target
from support.clients.raw import Seen
from support.pki import CertificateFiles, Pki
from support.records import Record, RecordFile, following

FREE = "127.0.0.1:0"
ANYBODY: Mapping[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}


def tls(server: CertificateFiles, **more: Any) -> dict[str, Any]:
    """Return a ``tls`` group that serves a test certificate."""
    return {"certfile": str(server.certfile), "keyfile": str(server.keyfile), **more}


def listeners(pki: Pki) -> dict[str, dict[str, Any]]:
    """Return one listener of each kind."""
    mutual = tls(pki.server(), cafile=str(pki.cafile), client_certificate="required")
    return {
        "plain": {"bind": FREE},
        "tls": {"bind": FREE, "tls": tls(pki.server())},
        "mtls": {"bind": FREE, "tls": mutual},
        "ws": {"bind": FREE, "websocket": True},
        "wss": {"bind": FREE, "websocket": True, "tls": tls(pki.server())},
        "lb": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]},
    }


@dataclass(slots=True)
class Running:
    """A broker that is running.

    Attributes:
        service: All of it.
        log: Its log file.
    """

    service: Service
    log: RecordFile

    def target(self, listener: str) -> Target:
        """Return where a listener listens."""
        return Target("127.0.0.1", self.service.door.listeners[listener].port)

    async def record(self, wanted: Callable[[Record], bool], timeout_s: float = 10) -> Record:
        """Wait for a record."""
        return await self.log.first(wanted, timeout_s=timeout_s)

    async def connect_of(self, client: Seen | tuple[str, int]) -> Record:
        """Wait for the one ``connect`` record of a client, known by its own address."""
        address = client.address if isinstance(client, Seen) else client
        return await self.record(from_source(address, "connect"))

    async def disconnect_of(self, client: Seen | tuple[str, int]) -> Record:
        """Wait for the ``disconnect`` record of a client."""
        address = client.address if isinstance(client, Seen) else client
        return await self.record(from_source(address, "disconnect"))

    async def failure(self, code: str) -> Record:
        """Wait for a ``connect`` record with a code."""
        return await self.record(lambda record: record["event"].get("code") == code)


def from_source(address: tuple[str, int], action: str) -> Callable[[Record], bool]:
    """Return a predicate: the action, from this source."""

    def matches(record: Record) -> bool:
        source = record.get("source", {})
        return record["event"]["action"] == action and (source.get("ip"), source.get("port")) == address

    return matches


@asynccontextmanager
async def running(
    folder: Path,
    listeners: Mapping[str, Any],
    *,
    auth: Mapping[str, Any] = ANYBODY,
    acl: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Running]:
    """Run a broker; afterwards every accepted socket has exactly one ``connect`` record, and sequences have no gap.

    Args:
        folder: For the log.
        listeners: As in a configuration file.
        auth: Authentication plugins.
        acl: Topic plugins.
        limits: As in a configuration file.
        more: Further groups of the configuration.
    """
    path = folder / "log" / "doorlog.jsonl"
    settings = Settings.model_validate(
        {
            "listeners": listeners,
            "auth": {"plugins": auth},
            "acl": {"plugins": acl or {}},
            "limits": limits or {},
            "log": {"file": {"path": path}, "console": "never", "flood": {"enabled": False}},
            **more,
        }
    )
    with following(path) as log:
        async with Service(settings, partial(EmbeddedAuthority, settings)) as service:
            yield Running(service, log)
        await log.first(lambda record: record["event"]["action"] == "audit_stopped")
        await log.first(lambda record: record["event"]["action"] == "audit_checkpoint")
        check_promises(log.records, service)


def check_promises(records: list[Record], service: Service) -> None:
    """Accepted sockets = ``connect`` records, whatever happened; and no gap."""
    connects = [record for record in records if record["event"]["action"] == "connect"]
    assert len(connects) == service.door.accepted == service.door.connects
    assert len({record["doorlog"]["connection_id"] for record in connects}) == len(connects)
    admitted = [record for record in connects if record["event"]["code"] == "admitted"]
    ended = [record for record in records if record["event"]["action"] == "disconnect"]
    assert {r["doorlog"]["connection_id"] for r in admitted} == {r["doorlog"]["connection_id"] for r in ended}
    assert [record["event"]["sequence"] for record in records] == list(range(1, len(records) + 1))
    assert not service.log.faults
