"""Sinks of a configuration as an operator writes it: a running broker, real receivers, and its health meanwhile."""

from __future__ import annotations

import json
import signal
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson

import support.packets as mqtt
from doorlog.readers.files import open_log
from doorlog.readers.verify import verify
from support.broker import ANYBODY, FREE
from support.clients.base import Target
from support.clients.raw import open_wire
from support.commands import doorlog, free_fixed_port, ports_of, serving_doorlog, stopped, write_yaml
from support.processes import Serving
from support.records import action_is, following
from support.whole_log import check_numbers, of_action, read_log

ADMITTED = b"\x20\x02\x00\x00"


def configuration(folder: Path, **log: Any) -> Path:
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={"plain": {"bind": FREE}},
        auth={"plugins": {name: {} for name in ANYBODY}},
        log={"file": {"path": "log/doorlog.jsonl"}, "console": "never", **log},
        monitor={"bind": f"127.0.0.1:{free_fixed_port()}"},
    )


def port_of_monitor(config: Path) -> int:
    return int(config.read_text("utf-8").split("monitor:")[1].split("127.0.0.1:")[1].split()[0].strip("'\""))


def health(config: Path) -> dict[str, Any]:
    connection = HTTPConnection("127.0.0.1", port_of_monitor(config), timeout=5)
    connection.request("GET", "/health")
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return told


async def knock(server: Serving, client_id: str) -> bytes:
    async with open_wire(Target("127.0.0.1", ports_of(server)["plain"])) as device:
        await device.send(mqtt.connect(client_id))
        answer = await device.receive()
        await device.send(mqtt.DISCONNECT)
        await device.drain()
        return answer


async def test_a_receiver_gets_the_very_lines_of_the_file(tmp_path: Path) -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(10)
    server_name = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
    config = configuration(tmp_path, sinks={"central": {"type": "syslog", "server": server_name}})
    log = tmp_path / "log" / "doorlog.jsonl"
    with receiver:
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            assert await knock(server, "pump-17") == ADMITTED
            with following(log) as records:
                await records.first(action_is("disconnect"))
            told = health(config)
            assert await stopped(server, signal.SIGTERM) == 0
        lines = log.read_bytes().splitlines()
        received = [receiver.recv(65_536) for _ in lines]

    assert [message[message.index(b'{"@timestamp"') :] for message in received] == lines
    assert told["status"] == "ok"
    (central,) = told["sinks"]
    assert (central["name"], central["dropped"], central["fault"]) == (f"syslog {server_name}", 0, None)
    with open_log(log) as opened:
        assert verify(opened.files).whole


async def test_a_receiver_that_is_down_delays_nobody_and_is_told(tmp_path: Path) -> None:
    nobody = free_fixed_port()
    sinks = {
        "central": {"type": "syslog", "server": f"tcp://127.0.0.1:{nobody}"},
        "fleet": {"type": "nats", "servers": [f"nats://127.0.0.1:{nobody}"], "timeout": 1},
    }
    config = configuration(tmp_path, sinks=sinks, mode="strict")
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert [await knock(server, f"pump-{number}") for number in range(20)] == [ADMITTED] * 20
        await server.line("syslog tcp://127.0.0.1")
        said = doorlog("health", "-c", config)
        assert await stopped(server, signal.SIGTERM) == 0

    assert "log: the log is written" in "\n".join(said.out)
    whole = read_log(tmp_path / "log" / "doorlog.jsonl")
    assert len(of_action(whole, "connect", "admitted")) == 20
    check_numbers(whole)


async def test_hidden_names_and_floods_reach_every_output_as_they_stand_in_the_file(tmp_path: Path) -> None:
    key = tmp_path / "privacy.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    config = configuration(
        tmp_path,
        stdout=True,
        privacy={"client_id": "hmac", "address": "omit", "keyfile": "privacy.key"},
        flood={"after": 2, "window": 60},
    )
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert await knock(server, "pump-17") == ADMITTED
        for _ in range(9):
            async with open_wire(Target("127.0.0.1", ports_of(server)["plain"])) as stranger:
                await stranger.send(b"GET / HTTP/1.1\r\n\r\n")
                await stranger.drain()
        assert await stopped(server, signal.SIGTERM) == 0

    whole = read_log(tmp_path / "log" / "doorlog.jsonl")
    (flood,) = of_action(whole, "flood")
    assert flood["doorlog"]["flood"]["count"] == 7
    assert "7 more times" in flood["message"]
    check_numbers(whole)
    text = orjson.dumps(whole)
    assert b"pump-17" not in text
    assert b"127.0.0.1" not in text
    assert whole[-1]["event"]["action"] == "audit_checkpoint"
