"""A customer's devices refuse the certificate: one message says so, and one says when it is over."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.store import open_store
from support.broker import ANYBODY, FREE, running, tls
from support.clients import MosquittoPub, usable
from support.clients.base import Target
from support.commands import free_fixed_port, ports_of, serving_doorlog, stopped, write_yaml
from support.pki import Pki
from support.webhook_receiver import Receiver, receiving

BERLIN = {f"pump-{number}": f"127.7.1.{number}" for number in range(1, 6)}
OTHERS = {f"valve-{number}": f"127.7.2.{number}" for number in range(1, 7)}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def configuration(folder: Path, pki: Pki, receiver: Receiver, monitor: int) -> Path:
    with closing(open_store(folder / "devices.db")) as connection:
        devices = [Imported(name, site="berlin", addresses=(address,)) for name, address in BERLIN.items()]
        store_inventory(connection, devices, replace=True)
    (folder / "hook.url").write_text(receiver.url, "utf-8")
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={"tls": {"bind": FREE, "tls": tls(pki.server())}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": "doorlog.jsonl"}, "console": "never"},
        monitor={"bind": f"127.0.0.1:{monitor}"},
        alerts={
            "webhook": {"url_file": "hook.url"},
            "interval": 0.05,
            "resolve": 0,
            "rules": {"cohort_failing": {"pending": 0}},
        },
    )


async def connect(target: Target, devices: dict[str, str], cafile: Path) -> list[bool]:
    results = [
        await MosquittoPub(address).run(target, cafile=cafile, client_id=name) for name, address in devices.items()
    ]
    return [result.connected for result in results]


async def firing(monitor: int) -> Any:
    def ask() -> Any:
        connection = HTTPConnection("127.0.0.1", monitor, timeout=5)
        connection.request("GET", "/health")
        try:
            return json.loads(connection.getresponse().read())["alerts"]
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_one_message_when_a_site_fails_and_one_when_it_is_over(tmp_path: Path, pki: Pki) -> None:
    usable(MosquittoPub())
    monitor = free_fixed_port()
    with receiving() as receiver:
        config = configuration(tmp_path, pki, receiver, monitor)
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            target = Target("127.0.0.1", ports_of(server)["tls"])
            assert all(await connect(target, OTHERS, pki.cafile))
            assert await firing(monitor) == {"count": 0, "firing": []}

            assert not any(await connect(target, BERLIN, pki.other_cafile))
            (message,) = await asyncio.to_thread(receiver.wait_for, 1)
            assert await firing(monitor) == {"count": 1, "firing": ["cohort_failing"]}

            assert all(await connect(target, BERLIN, pki.cafile))
            _, over = await asyncio.to_thread(receiver.wait_for, 2)
            assert await stopped(server, signal.SIGTERM) == 0
            said = "\n".join(server.lines)

    assert (message["status"], message["rule"], message["cohort"]) == ("firing", "cohort_failing", "site:berlin")
    assert message["summary"] == (
        "The cohort site:berlin fails: 5 of its 5 attempts in 15 minutes, 5 devices; of the rest of the fleet, 0 of 6."
    )
    assert set(message["devices"]) == set(BERLIN)
    assert "doorlog devices --state failing --site berlin" in message["commands"]
    assert (over["status"], over["rule"], over["cohort"]) == ("resolved", "cohort_failing", "site:berlin")
    assert len(receiver.got) == 2
    assert "s3cret" not in said + (tmp_path / "doorlog.jsonl").read_text("utf-8")


async def test_devices_that_refuse_a_renewed_certificate_are_told_with_their_names(tmp_path: Path, pki: Pki) -> None:
    usable(MosquittoPub())
    device = {"directory": str(tmp_path / "devices.db")}
    with receiving() as receiver:
        rules = {"failures_after_new_certificate": {"pending": 1}}
        alerts = {"webhook": {"url": receiver.url}, "interval": 0.05, "rules": rules}
        listeners = {"tls": {"bind": FREE, "tls": tls(pki.server())}}
        async with running(tmp_path / "before", listeners, device=device, alerts=alerts) as broker:
            assert all(await connect(broker.target("tls"), BERLIN, pki.cafile))
        assert receiver.got == []

        listeners = {"tls": {"bind": FREE, "tls": tls(pki.server_foreign())}}
        async with running(tmp_path / "after", listeners, device=device, alerts=alerts) as broker:
            assert not any(await connect(broker.target("tls"), BERLIN, pki.cafile))
            (message,) = await asyncio.to_thread(receiver.wait_for, 1)

    assert (message["rule"], message["listener"]) == ("failures_after_new_certificate", "tls")
    # An attempt is counted a moment before its device is named: a second is long enough for it.
    assert re.fullmatch(
        r"Devices refuse the new certificate of tls: 5 of 5 attempts in 15 minutes, [45] devices\.", message["summary"]
    )
    assert set(message["devices"]) <= set(BERLIN)
