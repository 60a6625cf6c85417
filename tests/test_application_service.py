"""The running broker: started and stopped in the right order, whatever is under way."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.application.service import Service, serve
from doorlog.door.door import Door
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.errors import AddressError, CertificateError, LogFailed, SettingsError, SinkError
from doorlog.settings.models import Settings
from support.broker import ANYBODY, FREE, running, tls
from support.clients.base import Target
from support.clients.raw import open_wire
from support.clients.raw_tls import open_tunnel
from support.pki import Pki
from support.records import Record, action_is, read_records, vouched_for

EVENT_LOOPS = ("asyncio", "uvloop")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def configuration(folder: Path, **groups: Any) -> Settings:
    log = {"file": {"path": folder / "doorlog.jsonl"}, "console": "never"}
    given = {"listeners": {"plain": {"bind": FREE}}, "auth": {"plugins": ANYBODY}, "log": log}
    return Settings.model_validate({**given, **groups})


def service(settings: Settings) -> Service:
    return Service(settings, lambda on_refusal: EmbeddedAuthority(settings, on_refusal))


def names(records: list[Record]) -> list[tuple[str, str | None]]:
    return [(record["event"]["action"], record["event"].get("code")) for record in records]


# what can not start


async def test_a_port_that_is_taken_opens_none_of_the_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        doors = {"free": {"bind": FREE}, "taken": {"bind": f"127.0.0.1:{port}"}}
        broker = service(configuration(tmp_path, listeners=doors))
        with pytest.raises(AddressError) as caught:
            await broker.start()

    assert str(caught.value).startswith(f"listeners.taken.bind: 127.0.0.1:{port}: ")
    assert str(caught.value).endswith(": stop what listens there, or choose another port")
    free = broker.door.listeners["free"].port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free))
    assert read_records(tmp_path / "doorlog.jsonl") == []


async def test_what_can_not_be_used_is_an_error_before_the_log_is_opened(tmp_path: Path) -> None:
    broken_tls = {"tls": {"bind": FREE, "tls": {"certfile": "c.pem", "keyfile": "k.pem"}}}

    with pytest.raises(CertificateError, match=r"c\.pem"):
        service(configuration(tmp_path, listeners=broken_tls))
    with pytest.raises(SettingsError, match=r"auth\.plugins\.no\.Such"):
        service(configuration(tmp_path, auth={"plugins": {"no.Such": {}}}))
    assert not (tmp_path / "doorlog.jsonl").exists()


async def test_a_log_that_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="can not open the log file"):
        service(configuration(tmp_path, log={"file": {"path": tmp_path}}))


# stopping


async def test_a_device_directory_that_can_not_be_used_keeps_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full, say: the door and the log do without it."""
    async with running(tmp_path, {"plain": {"bind": FREE}}, device={"directory": str(tmp_path)}) as broker:
        assert broker.service.directory is None
        async with open_wire(broker.target("plain")) as device:
            await device.send(mqtt.connect("pump-17"))
            await broker.record(action_is("connect", code="admitted"))
    (warning,) = [record.getMessage() for record in caplog.records if "device directory" in record.getMessage()]
    assert warning.endswith("can not be used: unable to open database file; devices are named by what they say alone, "
                            "and nothing is learned")  # fmt: skip


async def test_a_broker_that_is_to_remember_nobody_does_not(tmp_path: Path) -> None:
    async with service(configuration(tmp_path, device={"learn": False})) as broker:
        assert broker.directory is None
    assert not (tmp_path / "devices.db").exists()


async def test_a_stop_records_first_who_was_under_way_then_the_sessions_then_itself(tmp_path: Path, pki: Pki) -> None:
    settings = configuration(
        tmp_path, listeners={"plain": {"bind": FREE}, "tls": {"bind": FREE, "tls": tls(pki.server())}}
    )
    came = asyncio.Event()
    door: list[Door] = []

    def started(opened: Door) -> None:
        door.append(opened)
        came.set()

    serving = asyncio.create_task(serve(settings, started))
    await came.wait()
    plain, encrypted = (Target("127.0.0.1", door[0].listeners[name].port) for name in ("plain", "tls"))
    async with open_wire(plain) as silent, open_wire(plain) as session, open_tunnel(encrypted) as handshake:
        await session.send(mqtt.connect("pump-17"))
        assert await session.receive() == b"\x20\x02\x00\x00"
        await handshake.read_flight()  # and no answer
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await serving
        for wire in (session, silent, handshake.wire):
            await wire.drain()
            assert wire.ended in ("eof", "reset")

    said = read_records(tmp_path / "doorlog.jsonl")
    assert names(said) == [
        ("audit_started", None),
        ("certificate_served", None),
        ("connect", "admitted"),
        ("connect", "server_shutdown"),
        ("connect", "server_shutdown"),
        ("disconnect", "server_shutdown"),
        ("audit_stopped", None),
        ("audit_checkpoint", None),
    ]
    assert said[-2]["doorlog"]["audit"] == {"accepted": 3, "connects": 3}


async def test_a_stop_can_be_asked_for_more_than_once(tmp_path: Path) -> None:
    def ask_thrice(_door: Door) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)

    async with asyncio.timeout(10):
        await serve(configuration(tmp_path), ask_thrice)

    assert names(vouched_for(read_records(tmp_path / "doorlog.jsonl")))[-1] == ("audit_stopped", None)


# certificates


@pytest.mark.parametrize("kind", ["server_expired", "server_incomplete", "server_not_yet_valid", "server_self_signed"])
async def test_what_devices_will_refuse_is_recorded_at_the_start(tmp_path: Path, pki: Pki, kind: str) -> None:
    doors = {"tls": {"bind": FREE, "tls": tls(getattr(pki, kind)())}}

    async with running(tmp_path, doors) as broker:
        record = await broker.record(lambda record: record["event"]["action"] == "certificate_served")

    (finding,) = record["doorlog"]["findings"]
    assert record["event"]["outcome"] == "failure"
    assert finding["severity"] == "warning"
    assert finding["sentence"] in record["event"]["reason"] or finding["sentence"][:60] in record["event"]["reason"]
    assert record["destination"]["port"] == broker.service.door.listeners["tls"].port


async def test_a_good_certificate_is_recorded_as_one(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, {"tls": {"bind": FREE, "tls": tls(pki.server())}}) as broker:
        record = await broker.record(lambda record: record["event"]["action"] == "certificate_served")

    assert record["event"]["outcome"] == "success"
    assert "findings" not in record["doorlog"]
    assert record["tls"]["server"]["hash"]["sha256"] == pki.server().sha256


# who it is


async def test_records_name_the_broker_as_configured_or_a_new_instance_each_time(tmp_path: Path) -> None:
    named = configuration(tmp_path, service={"name": "gate", "instance_id": "gate-1"})
    for settings in (named, configuration(tmp_path), configuration(tmp_path)):
        async with service(settings):
            pass

    started = filter(action_is("audit_started"), read_records(tmp_path / "doorlog.jsonl"))
    services = [record["service"] for record in started]
    assert (services[0]["name"], services[0]["instance"]["id"]) == ("gate", "gate-1")
    assert services[1]["name"] == "doorlog"
    assert services[1]["instance"]["id"] != services[2]["instance"]["id"]


# a log that can not be written


async def test_a_broker_that_is_to_stop_when_its_log_can_not_be_written_does_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    def fdatasync(fd: int) -> None:
        if broken:
            raise OSError(5, "Input/output error")
        os.fsync(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    log = {"file": {"path": tmp_path / "doorlog.jsonl"}, "console": "never", "on_error": "stop"}
    async with asyncio.timeout(20):
        with pytest.raises(LogFailed, match="stopped, since the log can not be written: Input/output error"):
            await serve(configuration(tmp_path, log=log))
    broken = False


async def test_a_log_under_pressure_holds_the_door_and_lets_it_go(tmp_path: Path) -> None:
    broker = service(configuration(tmp_path))
    async with broker:
        listener = broker.door.listeners["plain"]
        for held in (True, False):
            broker.log._on_pressure(held)
            await asyncio.sleep(0)
            assert listener._is_held is held


def test_a_log_that_outlives_its_loop_harms_nobody(tmp_path: Path) -> None:
    made: list[Service] = []

    async def run() -> None:
        made.append(service(configuration(tmp_path)))
        async with made[0]:
            pass

    asyncio.run(run())
    made[0].log._on_pressure(True)
    made[0].log._on_failure("gone")
