"""A few days of a small fleet in a second: devices come and go, one is pinned to another CA, somebody tries names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from support import packets
from support.broker import FREE, listeners, running, tls
from support.clients.raw import Dial
from support.clients.raw_tls import Offer, handshake_then
from support.users import our_auth, write_users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Running
    from support.pki import CertificateFiles, Pki
    from support.records import Record

USER, PASSWORD = "anna", "wonderland-17"
HOMES: Final = {"pump-17": "127.1.0.17", "pump-18": "127.1.0.18", "valve": "127.2.0.19"}
STRANGER: Final = "127.66.0.6"


class Story:
    """Devices that knock at a broker, each from its own address."""

    def __init__(self, broker: Running, pki: Pki) -> None:
        self._broker = broker
        self._pki = pki

    def learned(self) -> None:
        """Wait until the directory holds what was taught so far."""
        assert self._broker.service.directory is not None
        self._broker.service.directory.flush()

    async def log_in(
        self, device: str, *, at: str | None = None, password: str = PASSWORD, listener: str = "tls"
    ) -> Record:
        """Log in with TLS and go again; return the record of the attempt."""
        files = self._pki.client(device) if listener == "mtls" else None
        data = packets.connect(device, user_name=USER, password=password)
        record = await self._knock(device, listener, at, _offer(self._pki.cafile, files), data)
        if record["event"]["code"] == "admitted":
            source = record["source"]
            await self._broker.disconnect_of((source["ip"], source["port"]))
            self.learned()
        return record

    async def distrust(self, device: str, *, at: str | None = None) -> Record:
        """Refuse the certificate that no device has accepted before."""
        return await self._knock(device, "rotated", at, _offer(self._pki.other_cafile, None), b"")

    async def show_expired(self, device: str) -> Record:
        """Show a certificate that has expired."""
        offer = _offer(self._pki.cafile, self._pki.client_expired(device))
        return await self._knock(device, "mtls", None, offer, b"")

    async def whole(self) -> None:
        """Let all of it happen."""
        for _ in range(3):
            await self.log_in("pump-17")
            await self.log_in("pump-18")
        await self.log_in("valve", listener="mtls")
        await self.distrust("pump-17")
        await self.distrust("pump-17")
        await self.distrust("pump-18")
        await self.log_in("pump-18", at=STRANGER, password="guessed")
        await self.log_in("nobody", at=STRANGER, password="guessed")
        await self.show_expired("meter")
        await self.log_in("pump-17")

    async def _knock(self, device: str, listener: str, at: str | None, offer: Offer, data: bytes) -> Record:
        dial = Dial(source=at or HOMES.get(device, "127.0.0.1"))
        target = self._broker.target(listener)
        seen = await handshake_then(target, "close_notify", offer, dial, data=data, expect=4 if data else 0)
        return await self._broker.connect_of(seen)


@asynccontextmanager
async def fleet(folder: Path, pki: Pki, **more: Any) -> AsyncIterator[Story]:
    """Run a broker with ``log/doorlog.jsonl`` and ``log/devices.db`` in a folder."""
    auth = our_auth(write_users(folder / "users.txt", {USER: PASSWORD}))
    rotated = {"bind": FREE, "tls": tls(pki.server("rotated"))}
    async with running(folder, {**listeners(pki), "rotated": rotated}, auth=auth, **more) as broker:
        yield Story(broker, pki)


def _offer(cafile: Path, files: CertificateFiles | None) -> Offer:
    return Offer(cafile=cafile, certfile=files.certfile if files else None, keyfile=files.keyfile if files else None)
