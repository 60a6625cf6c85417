"""``doorlog run`` in this process: what is told before, what once the ports are open, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorlog.application import start
from doorlog.errors import AddressError, SettingsError
from support.broker import ANYBODY, FREE, tls
from support.commands import free_offset, write_yaml
from support.pki import Pki
from support.records import Record, read_records

Say = Callable[[str], None]


class Told:
    """What an operator is told; the broker is asked to stop as soon as it is ready."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        self.warnings: list[str] = []
        self.told: list[str] = []
        self._number = number

    def tell(self, line: str) -> None:
        self.told.append(line)
        signal.raise_signal(self._number)

    def run(self, config: Path, *, console: bool | None = False) -> None:
        start.run_configured(config, console=console, warn=self.warnings.append, tell=self.tell)


def configuration(folder: Path, **groups: Any) -> Path:
    listeners = groups.pop("listeners", {"plain": {"bind": FREE}})
    log = {"file": {"path": "doorlog.jsonl"}}
    everybody = {"auth": {"plugins": dict(ANYBODY)}, "log": log}
    return write_yaml(folder / "doorlog.yaml", listeners=listeners, **{**everybody, **groups})


def actions(folder: Path) -> list[str]:
    return [record["event"]["action"] for record in records(folder)]


def records(folder: Path) -> list[Record]:
    return read_records(folder / "doorlog.jsonl")


# what is not started


def test_everything_that_is_wrong_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    doors = {"tls": {"bind": FREE, "tls": {"certfile": "c.pem", "keyfile": "k.pem"}}, "plain": {"bind": ":0"}}
    config = configuration(tmp_path, listeners=doors)
    told = Told()

    with pytest.raises(SettingsError) as caught:
        told.run(config)

    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "listeners.tls.tls.certfile",
        "listeners.tls.tls.keyfile",
        "listeners.plain",
    ]
    assert all(line.startswith(f"{config}: ") for line in lines)
    assert not (tmp_path / "doorlog.jsonl").exists()
    assert told.told == []


def test_a_door_that_is_open_to_everybody_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"whoever reaches 0\.0\.0\.0:0 comes in without credentials"):
        Told().run(configuration(tmp_path, listeners={"plain": {"bind": "0.0.0.0:0"}}))


def test_an_address_that_is_nobodys(tmp_path: Path) -> None:
    config = configuration(
        tmp_path,
        listeners={"plain": {"bind": "192.0.2.1:0"}},
        auth={"plugins": {"amqtt_doorlog.ClientCertificatePlugin": {}}},
    )

    with pytest.raises(
        AddressError, match=r"listeners\.plain\.bind: 192\.0\.2\.1:0: .*choose an address of this machine"
    ):
        Told().run(config)


# what is


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_as_soon_as_the_ports_are_open_stops_cleanly(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)

    Told(number).run(configuration(tmp_path))

    assert actions(tmp_path) == ["audit_started", "audit_stopped", "audit_checkpoint"]
    assert signal.getsignal(number) == before


def test_where_the_broker_listens_is_told_with_the_ports_that_it_got(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    doors = {
        "plain": {"bind": "127.0.0.1:0"},
        "six": {"bind": "[::1]:0"},
        "tls": {"bind": "127.0.0.1:0", "tls": tls(pki.server())},
        "ws": {"bind": "127.0.0.1:0", "websocket": True},
        "wss": {"bind": "127.0.0.1:0", "websocket": True, "tls": tls(pki.server())},
    }
    told = Told()

    told.run(configuration(tmp_path, listeners=doors))

    (line,) = told.told
    urls = dict(entry.split(" ") for entry in line.removeprefix("ready: ").split(", "))
    assert {name: url.rpartition(":")[0] for name, url in urls.items()} == {
        "plain": "mqtt://127.0.0.1",
        "six": "mqtt://[::1]",
        "tls": "mqtts://127.0.0.1",
        "ws": "ws://127.0.0.1",
        "wss": "wss://127.0.0.1",
    }
    assert all(int(url.rpartition(":")[2]) > 0 for url in urls.values())


def test_a_certificate_that_devices_refuse_is_told_and_served(tmp_path: Path) -> None:
    server = Pki(tmp_path).server_expired()
    told = Told()

    told.run(configuration(tmp_path, listeners={"tls": {"bind": FREE, "tls": tls(server)}}))

    (warning,) = told.warnings
    assert "listeners.tls.tls.certfile" in warning
    assert "expired on" in warning
    assert actions(tmp_path)[:2] == ["audit_started", "certificate_served"]


@pytest.mark.parametrize(
    ("configured", "asked", "shown"),
    [
        ("always", None, True),
        ("never", None, False),
        ("auto", None, False),
        ("never", True, True),
        ("always", False, False),
    ],
)
def test_readable_lines_as_configured_or_as_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], configured: str, asked: bool | None, shown: bool
) -> None:
    log = {"file": {"path": "doorlog.jsonl"}, "console": configured}

    Told().run(configuration(tmp_path, log=log), console=asked)

    assert ("audit_started" in capfd.readouterr().err) == shown


def test_a_local_broker_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = Told()

    start.run_locally(
        Path(".doorlog"),
        bind_all=False,
        port_offset=free_offset(),
        console=False,
        warn=told.warnings.append,
        tell=told.tell,
    )

    assert told.warnings == []
    assert told.told[0].startswith("doorlog is ready.")
    assert actions(tmp_path / ".doorlog" / "log") == [
        "audit_started",
        "certificate_served",
        "certificate_served",
        "certificate_served",
        "audit_stopped",
        "audit_checkpoint",
    ]
