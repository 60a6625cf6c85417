"""The door as a plugin of a stock amqtt: what stops it, what stops amqtt, and that the order of plugins is all one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker
from amqtt.errors import PluginInitError
from amqtt.plugins.base import BasePlugin

from amqtt_doorlog import DoorPlugin
from doorlog.application.service import Service
from doorlog.errors import CertificateError, SettingsError
from support.amqtt_door import DOOR, EXTERNAL, PLAIN, door_config, stock_behind_the_door
from support.amqtt_plugins import load_plugin
from support.broker import tls
from support.devices import REFUSED, devices
from support.pki import Pki
from support.records import read_records

PLACE = "plugins.amqtt_doorlog.DoorPlugin"
ALLOWS: dict[str, Any] = {"support.third_party.Allows": {}}
HERE = "test_plugins_door"


class FailsToStop(BasePlugin[Any]):
    """A plugin of somebody else's that is in trouble itself."""

    async def on_broker_pre_shutdown(self) -> None:
        self.left_behind = asyncio.create_task(asyncio.Event().wait())
        raise RuntimeError("not my day")

    async def close(self) -> None:
        raise RuntimeError("nor this")


class SubscribesEarly(BasePlugin[Any]):
    """Brings back subscriptions before the broker is started."""

    async def on_broker_pre_start(self) -> None:
        for topic_filter in ("lp/#", "secret/#"):
            await self.context.add_subscription("pump-17", topic_filter, 1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """What a Python program finds when it starts, whatever pytest or its workers have made of it."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


# What is wrong is said before anything is open.


@pytest.mark.parametrize(
    ("door", "sentences"),
    [
        ({}, [f"{PLACE}: listeners: is missing"]),
        ({"listeners": {}}, [f"{PLACE}: listeners: is missing"]),
        ({"listeners": {"a": {"bind": "8883"}}}, [f'{PLACE}: listeners.a.bind: expected "address:port"']),
        (
            {"listeners": {"a": {"bind": ":1", "tsl": {}}}, "limits": {"auth_timeout": 0}},
            [f'{PLACE}: listeners.a.tsl: unknown key; did you mean "tls"?', f"{PLACE}: limits.auth_timeout: "],
        ),
        ({"listeners": ["a"]}, [f"{PLACE}: listeners: "]),
        ({"listeners": PLAIN, "log": "doorlog.jsonl"}, [f"{PLACE}: log: "]),
        (
            {"listeners": {"a": {"bind": ":1", "tls": {"certfile": "none.pem", "keyfile": "none.key"}}}},
            [f"{PLACE}: ", "none.pem"],
        ),
        (
            {"listeners": PLAIN, "log": {"sinks": {"far": {"type": "nats"}, "own": {"type": "mqtt"}}}},
            [f"{PLACE}: log.sinks.own.type: a stock amqtt can not keep an MQTT topic for the log alone"],
        ),
    ],
)
async def test_a_wrong_configuration(
    door: dict[str, Any], sentences: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(PluginInitError) as caught:
        Broker({"listeners": EXTERNAL, "plugins": {**ALLOWS, DOOR: door}})

    assert isinstance(caught.value.__cause__, SettingsError | CertificateError)
    for sentence in sentences:
        assert sentence in caplog.text, "amqtt itself says no more than that the plugin failed"


@pytest.mark.parametrize(
    ("listeners", "sentence"),
    [
        (None, "amqtt's own listeners.default opens a port beside the door: set its type to external, and bind here"),
        ({"default": {"type": "tcp", "bind": "127.0.0.1:0"}}, "amqtt's own listeners.default opens a port"),
        ({"default": {"type": "external"}, "web": {"type": "ws"}}, "amqtt's own listeners.web opens a port"),
        ({"default": {"type": "external", "bind": None}}, "amqtt's own listeners.default.bind is null"),
    ],
)
@pytest.mark.parametrize("door_first", [True, False])
async def test_amqtt_opens_no_port_of_its_own(
    listeners: dict[str, Any] | None,
    sentence: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    door_first: bool,
) -> None:
    config = door_config(tmp_path, PLAIN, plugins=ALLOWS, door_first=door_first)
    if listeners is None:
        del config["listeners"]
    else:
        config["listeners"] = listeners

    with pytest.raises(PluginInitError):
        Broker(config)

    assert f"{PLACE}: {sentence}" in caplog.text
    assert not (tmp_path / "log").exists()


async def test_it_is_for_brokers() -> None:
    with pytest.raises(PluginInitError):
        load_plugin(DoorPlugin, listeners=PLAIN)


# What shows only when the door opens ends the process: amqtt itself would go on without a port.


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop as amqtt's command makes it; in the end, it has nothing left to do."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
        assert not asyncio.all_tasks(loop)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def exit_code(config: dict[str, Any]) -> object:
    """Start amqtt as its command does, and return the exit code that ends it."""
    with event_loop() as loop:
        broker = Broker(config, loop=loop)
        starting = loop.create_task(broker.start())
        with pytest.raises(SystemExit) as caught:
            loop.run_forever()
        assert starting.done()
    return caught.value.code


def test_a_port_that_is_taken(tmp_path: Path, taken_port: int, caplog: pytest.LogCaptureFixture) -> None:
    listeners = {"a": {"bind": "127.0.0.1:0"}, "b": {"bind": f"127.0.0.1:{taken_port}"}}

    assert exit_code(door_config(tmp_path, listeners, plugins=ALLOWS)) == 1
    assert f"{PLACE}: listeners.b.bind: 127.0.0.1:{taken_port}: Address already in use: stop what" in caplog.text
    assert read_records(tmp_path / "log" / "doorlog.jsonl") == []


def test_a_log_that_can_not_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "log" / "doorlog.jsonl").mkdir(parents=True)

    assert exit_code(door_config(tmp_path, PLAIN, plugins=ALLOWS)) == 1
    assert f"{PLACE}: " in caplog.text
    assert "doorlog.jsonl" in caplog.text


def test_nobody_who_could_be_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    acl: dict[str, Any] = {"amqtt_doorlog.TopicAclPlugin": {"rules": {}}}

    assert exit_code(door_config(tmp_path, PLAIN, plugins=acl)) == 1
    assert f"{PLACE}: name an authentication plugin beside it under plugins" in caplog.text


def test_plugins_that_fail_at_the_end_do_not_keep_the_process(
    tmp_path: Path, taken_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = {"a": {"bind": f"127.0.0.1:{taken_port}"}}

    assert exit_code(door_config(tmp_path, listeners, plugins={**ALLOWS, f"{HERE}.FailsToStop": {}})) == 1
    assert "amqtt did not stop cleanly" in caplog.text


def test_a_fault_of_our_own_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_door: DoorPlugin) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DoorPlugin, "_open", fail)

    assert exit_code(door_config(tmp_path, PLAIN, plugins=ALLOWS)) == 1
    assert f"{PLACE}: the door can not be opened" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# Signals.


def send(loop: asyncio.AbstractEventLoop, *numbers: signal.Signals) -> None:
    """Let this process get signals, and its event loop stop at the first that stops it."""
    for number in numbers:
        loop.call_soon(os.kill, os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM, signal.SIGINT)],
    ids=["SIGTERM", "Ctrl-C", "an impatient operator"],
)
def test_a_signal_ends_the_loop_between_two_steps(numbers: tuple[signal.Signals, ...], tmp_path: Path) -> None:
    with event_loop() as loop:
        broker = Broker(door_config(tmp_path, PLAIN, plugins=ALLOWS), loop=loop)
        loop.run_until_complete(broker.start())
        send(loop, numbers[0])
        if numbers[1:]:
            send(loop, *numbers[1:])  # the second SIGTERM changes nothing, Ctrl-C does
        loop.run_until_complete(broker.shutdown())
    actions = [record["event"]["action"] for record in read_records(tmp_path / "log" / "doorlog.jsonl")]
    assert actions == ["audit_started", "audit_stopped", "audit_checkpoint"]


async def test_a_program_around_amqtt_keeps_its_signals(tmp_path: Path) -> None:
    def mine(_number: int, _frame: object) -> None: ...

    signal.signal(signal.SIGTERM, mine)
    signal.signal(signal.SIGINT, mine)
    async with stock_behind_the_door(tmp_path, ALLOWS):
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is mine


def test_outside_the_main_thread_signals_are_somebody_elses(tmp_path: Path) -> None:
    async def run() -> None:
        async with stock_behind_the_door(tmp_path, ALLOWS):
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


# Before, behind and after.


@pytest.mark.parametrize("door_first", [True, False])
async def test_the_order_of_plugins_is_all_one(tmp_path: Path, *, door_first: bool) -> None:
    rules = {"*": {"publish": ["lp/#"], "subscribe": ["lp/#"]}}
    plugins: dict[str, Any] = {
        "amqtt.plugins.logging_amqtt.EventLoggerPlugin": {},
        "support.third_party.Vouches": {},
        "amqtt_doorlog.TopicAclPlugin": {"rules": rules},
        **ALLOWS,
    }
    async with (
        stock_behind_the_door(tmp_path, plugins, door_first=door_first) as broker,
        devices(broker.target()) as dial,
    ):
        device = await dial("pump-17", "anna", "x")
        assert await device.subscribe("lp/+") == 0
        assert await device.subscribe("#") == REFUSED
        record = await broker.connect_of(device.address)

    assert [said["plugin"] for said in record["doorlog"]["auth"]["verdicts"]] == ["Vouches", "Allows"]


async def test_subscriptions_that_plugins_make_before_the_door_is_open(tmp_path: Path) -> None:
    rules = {"*": {"subscribe": ["lp/#"]}}
    plugins = {f"{HERE}.SubscribesEarly": {}, "amqtt_doorlog.TopicAclPlugin": {"rules": rules}, **ALLOWS}
    async with stock_behind_the_door(tmp_path, plugins) as broker:
        assert list(broker.broker.subscriptions) == ["lp/#"], "the other topic plugins decide"


async def test_sessions_end_when_the_broker_stops(tmp_path: Path) -> None:
    async with stock_behind_the_door(tmp_path, ALLOWS) as broker, devices(broker.target()) as dial:
        device = await dial("pump-17", "anna", "x", clean_session=False)
        watcher = await dial("pump-18", "bert", "x")
    codes = {(record["source"]["port"], record["event"]["code"]) for record in broker.log.records if "source" in record}
    assert {(one.address[1], "server_shutdown") for one in (device, watcher)} <= codes


async def test_a_log_that_fails_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Service.stop

    async def fail(service: Service) -> None:
        await stop(service)
        raise OSError("the disk is gone")

    monkeypatch.setattr(Service, "stop", fail)
    async with stock_behind_the_door(tmp_path, ALLOWS):
        pass
    assert f"{PLACE}: the door did not close cleanly" in caplog.text


async def test_the_ports_are_told(tmp_path: Path, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    listeners = {"plain": {"bind": "127.0.0.1:0"}, "mqtts": {"bind": "[::1]:0", "tls": tls(pki.server())}}
    async with stock_behind_the_door(tmp_path, ALLOWS, listeners) as broker:
        plain, mqtts = broker.ports["plain"], broker.ports["mqtts"]
        assert f"the door is open: plain at 127.0.0.1:{plain}, mqtts at [::1]:{mqtts} with TLS" in caplog.text
