"""The broker of the demo: a process that is started, stopped and started again on the same ports."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from doorlog.demo.broker import CONFIG, Broker
from doorlog.errors import SettingsError
from doorlog.passwords import hash_password
from doorlog.settings.load import load_settings
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pki").mkdir()
    Pki(tmp_path / "pki", Plan())
    (tmp_path / "users.txt").write_text(f"pump-11:{hash_password('secret')}\n")
    return tmp_path


async def test_it_keeps_its_ports_and_leaves_a_configuration_that_can_be_run(folder: Path) -> None:
    broker = Broker(folder)
    await broker.start(1)
    first = broker.ports
    for port in first.values():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    await broker.stop()
    await broker.start(2)
    await broker.stop()

    assert broker.ports == first
    settings = load_settings(folder / CONFIG)
    assert {name: listener.address[1] for name, listener in settings.listeners.items()} == first
    assert str(settings.listeners["tls"].tls).count("server-2") == 2
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", first["tls"])


async def test_it_says_why_it_did_not_start(folder: Path) -> None:
    (folder / "pki" / "server-1.key").unlink()

    with pytest.raises(SettingsError, match=r"(?s)did not start:\n.*server-1\.key"):
        await Broker(folder).start(1)


async def test_one_that_never_started_is_stopped_for_nothing(folder: Path) -> None:
    await Broker(folder).stop()
