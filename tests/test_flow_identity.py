"""The founding story, with real clients: a certificate is rotated, devices go dark, and the log says which ones."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import orjson
import pytest

import support.packets as mqtt
from doorlog.identity.store import open_to_read
from support.broker import ANYBODY, FREE, Running, running, tls
from support.clients.base import Target
from support.clients.mosquitto import MosquittoPub
from support.clients.openssl import OpenSslClient
from support.clients.raw import open_wire
from support.commands import ports_of, run_doorlog, serving_doorlog, stopped, write_yaml
from support.pki import CertificateFiles, Pki
from support.records import Record, action_is, following
from support.users import our_auth, write_users

PUMP, VALVE, GATEWAY, ATTACKER = "127.7.0.17", "127.7.0.18", "127.7.0.19", "127.66.0.1"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@asynccontextmanager
async def serving(folder: Path, name: str, server: CertificateFiles, **more: Any) -> AsyncIterator[Running]:
    """A broker that serves a certificate; all that are started in one folder have one device directory."""
    listeners = {"tls": {"bind": FREE, "tls": tls(server)}}
    device = {"directory": str(folder / "devices.db")}
    async with running(folder / name, listeners, device=device, **more) as broker:
        yield broker


async def pump(broker: Running, cafile: Path, **login: Any) -> Record:
    """A device on libmosquitto connects, or tries to."""
    return await knock(broker, MosquittoPub(PUMP), PUMP, cafile, client_id="pump-17", **login)


async def valve(broker: Running, cafile: Path) -> Record:
    """Another one, on a stack of its own: TLS 1.2 only."""
    return await knock(broker, OpenSslClient(("-bind", f"{VALVE}:0", "-tls1_2")), VALVE, cafile, client_id="valve-18")


async def knock(broker: Running, client: Any, ip: str, cafile: Path, **login: Any) -> Record:
    before = len(of_source(broker, ip))
    await client.run(broker.target("tls"), cafile=cafile, **login)
    await broker.record(lambda _record: len(of_source(broker, ip)) > before)
    assert broker.service.directory is not None
    await asyncio.to_thread(broker.service.directory.flush)
    return of_source(broker, ip)[-1]


def of_source(broker: Running, ip: str) -> list[Record]:
    return [r for r in broker.log.records if r["event"]["action"] == "connect" and r.get("source", {}).get("ip") == ip]


async def test_after_a_rotation_the_log_names_the_devices_that_refuse_the_new_certificate(
    tmp_path: Path, pki: Pki
) -> None:
    async with serving(tmp_path, "before", pki.server()) as broker:
        assert (await pump(broker, pki.cafile))["device"]["id"] == "pump-17"
        assert (await valve(broker, pki.cafile))["device"]["id"] == "valve-18"

    async with serving(tmp_path, "after", pki.server_foreign()) as broker:
        refused = await pump(broker, pki.cafile)
        assert refused["event"]["code"] == "server_certificate_unknown_ca"
        assert "mqtt" not in refused, "it never said who it is"
        assert refused["device"]["id"] == "pump-17"
        assert refused["doorlog"]["device"]["confidence"] == "likely"
        assert refused["message"].startswith(f"device likely pump-17 ({PUMP}) refused our certificate")
        also = await valve(broker, pki.cafile)
        assert also["device"]["id"] == "valve-18"

        listed = await run_doorlog("devices", "--directory", tmp_path / "devices.db", "--json", cwd=tmp_path)
        states = {device["id"]: device["state"] for device in orjson.loads(listed.output)}
        assert states == {"pump-17": "failing", "valve-18": "failing"}

        # Somebody gives the pump the new authority: it explains the failure of before.
        assert (await pump(broker, pki.other_cafile))["event"]["code"] == "admitted"
        confirmed = await broker.record(action_is("device_confirmed"))
        assert confirmed["device"]["id"] == "pump-17"
        assert confirmed["doorlog"]["confirmed"]["connection_ids"] == [refused["doorlog"]["connection_id"]]
        assert "pump-17" in confirmed["message"]

        listed = await run_doorlog("devices", "--directory", tmp_path / "devices.db", "--json", cwd=tmp_path)
        states = {device["id"]: device["state"] for device in orjson.loads(listed.output)}
        assert states == {"pump-17": "ok", "valve-18": "failing"}


async def test_a_device_that_moved_to_a_new_address_is_known_by_the_session_that_it_wants_to_resume(
    tmp_path: Path, pki: Pki
) -> None:
    session = tmp_path / "session.pem"
    async with serving(tmp_path, "before", pki.server()) as broker:
        client = OpenSslClient(("-bind", f"{PUMP}:0", "-tls1_2", "-sess_out", str(session)))
        admitted = await knock(broker, client, PUMP, pki.cafile, client_id="pump-17")
        assert admitted["tls"]["ticket"]
    async with serving(tmp_path, "after", pki.server_foreign()) as broker:
        client = OpenSslClient(("-bind", f"{GATEWAY}:0", "-tls1_2", "-sess_in", str(session)))
        refused = await knock(broker, client, GATEWAY, pki.cafile, client_id="pump-17")
        assert refused["event"]["outcome"] == "failure"
        assert refused["device"]["id"] == "pump-17"
        assert refused["doorlog"]["device"]["method"] == "resumption_ticket"


async def test_whoever_writes_a_devices_name_neither_becomes_it_nor_harms_it(tmp_path: Path, pki: Pki) -> None:
    auth = our_auth(write_users(tmp_path / "users.txt", {"pump": "right"}))
    async with serving(tmp_path, "broker", pki.server(), auth=auth) as broker:
        await pump(broker, pki.cafile, username="pump", password="right")
        learned = tables(tmp_path)
        for _ in range(3):
            claim = await knock(
                broker, MosquittoPub(ATTACKER), ATTACKER, pki.cafile,
                client_id="pump-17", username="pump", password="guess",
            )  # fmt: skip
            assert claim["event"]["code"] == "bad_password"
            assert "this device was never admitted from this address" in claim["doorlog"]["device"]["evidence"]
        assert tables(tmp_path) == learned, "failures teach nothing"
        nobody = await knock(broker, MosquittoPub(ATTACKER), ATTACKER, pki.other_cafile, client_id="pump-17")
        assert "device" not in nobody, "its address is not the pump's, however often it wrote its name"
        listed = await run_doorlog("devices", "--directory", tmp_path / "devices.db", "--json", cwd=tmp_path)
        (device,) = orjson.loads(listed.output)
        assert device["state"] == "ok"
        assert device["last_claim"]["code"] == "bad_password"


def tables(folder: Path) -> list[Any]:
    """Return all that resolutions look at."""
    with closing(open_to_read(folder / "devices.db")) as connection:
        names = ("device", "sighting", "certificate", "ticket", "statistic")
        columns = {"device": "id, last_admitted, address, look, connects"}
        return [
            row
            for name in names
            for row in connection.execute(f"SELECT {columns.get(name, '*')} FROM {name} ORDER BY 1")
        ]


# kill -9


async def come_and_go(target: Target, name: str, admitted: list[str]) -> None:
    number = 0
    while True:
        number += 1
        try:
            async with open_wire(target) as device:
                await device.send(mqtt.connect(f"{name}-{number}"))
                if await device.receive() == b"\x20\x02\x00\x00":
                    admitted.append(f"{name}-{number}")
        except OSError:
            return


async def test_a_broker_that_is_killed_leaves_a_directory_that_works(tmp_path: Path) -> None:
    config = write_yaml(
        tmp_path / "doorlog.yaml",
        listeners={"plain": {"bind": FREE}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": "log/doorlog.jsonl"}, "console": "never"},
    )
    path = tmp_path / "log" / "devices.db"
    moments, known = random.Random(4), 0
    for life in range(4):
        admitted: list[str] = []
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            target = Target("127.0.0.1", ports_of(server)["plain"])
            devices = [asyncio.create_task(come_and_go(target, f"{life}-{n}", admitted)) for n in range(3)]
            with following(tmp_path / "log" / "doorlog.jsonl") as records:
                await records.nth(len(records.records) + moments.randrange(100, 400))
            server.process.kill()
            await server.process.wait()
            await asyncio.gather(*devices)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            now = connection.execute("SELECT count(*) FROM device").fetchone()[0]
        assert now >= known
        known = now
    assert known, "something was learned in between"
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert await stopped(server, signal.SIGTERM) == 0
    rebuilt = await run_doorlog("devices", "rebuild", "-c", config, cwd=tmp_path)
    assert rebuilt.exit_code == 0, rebuilt.output
    with closing(open_to_read(path)) as connection:
        assert connection.execute("SELECT count(*) FROM device").fetchone()[0] >= known
