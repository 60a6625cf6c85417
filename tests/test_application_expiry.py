"""A certificate that is about to expire is said so in time, every day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from doorlog.application.expiry import WARN_BEFORE, expiring, watch_expiry
from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.events.codes import Action, Outcome
from doorlog.events.records import CertificateEvent
from doorlog.settings.models import TlsSettings
from support.broker import FREE, running, tls
from support.pki import Pki


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def served(pki: Pki) -> dict[str, ServedChain]:
    files = pki.server()
    return {"tls": load_served_chain(TlsSettings(certfile=files.certfile, keyfile=files.keyfile))}


def test_nothing_is_said_while_there_is_time(pki: Pki) -> None:
    chains = served(pki)
    assert expiring(chains, chains["tls"].leaf.not_after - WARN_BEFORE - timedelta(days=1)) == []


def test_the_last_month_is_announced(pki: Pki) -> None:
    chains = served(pki)
    (event,) = expiring(chains, chains["tls"].leaf.not_after - timedelta(days=3))
    assert (event.event.action, event.event.outcome) == (Action.CERTIFICATE_EXPIRING, Outcome.UNKNOWN)
    assert event.doorlog.listener == "tls"


def test_an_expired_one_is_a_failure(pki: Pki) -> None:
    chains = served(pki)
    (event,) = expiring(chains, chains["tls"].leaf.not_after + timedelta(seconds=1))
    assert event.event.outcome is Outcome.FAILURE


async def test_it_is_said_again(pki: Pki) -> None:
    files = pki.server_expired()
    chains = {"tls": load_served_chain(TlsSettings(certfile=files.certfile, keyfile=files.keyfile))}
    said: asyncio.Queue[CertificateEvent] = asyncio.Queue()
    watching = asyncio.create_task(watch_expiry(chains, said.put_nowait, every=timedelta(0)))
    async with asyncio.timeout(10):
        first, second = await said.get(), await said.get()
    watching.cancel()
    assert first.timestamp <= second.timestamp <= datetime.now(UTC)


async def test_a_broker_that_serves_an_expired_certificate_says_so(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, {"tls": {"bind": FREE, "tls": tls(pki.server_expired())}}) as broker:
        record = await broker.record(lambda r: r["event"]["action"] == "certificate_expiring")
        assert "expired" in record["message"]
        assert record["doorlog"]["listener"] == "tls"
