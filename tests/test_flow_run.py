"""``doorlog run`` as a process of its own: started, used, stopped and killed as an operator would."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from doorlog.application.health import read_queues
from support.broker import ANYBODY, FREE, tls
from support.clients import MosquittoPub, usable
from support.clients.base import Target
from support.clients.raw import open_wire, tcp_open_and_close
from support.clients.raw_tls import handshake_then, open_tunnel
from support.commands import (
    DOORLOG,
    LOCAL_PORTS,
    READY,
    free_offset,
    ports_of,
    run_doorlog,
    serving_doorlog,
    stopped,
    write_yaml,
)
from support.pki import Pki
from support.processes import Finished, Serving, run, serving
from support.records import Record, action_is, following, parse_records, read_records, sequences, vouched_for

ACCEPTED = b"\x20\x02\x00\x00"
LOCAL_LOG = Path(".doorlog") / "log" / "doorlog.jsonl"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def configuration(folder: Path, **groups: Any) -> Path:
    given: dict[str, Any] = {
        "listeners": {"plain": {"bind": FREE}},
        "auth": {"plugins": {name: {} for name in ANYBODY}},
        "log": {"file": {"path": "doorlog.jsonl"}, "console": "never"},
    }
    return write_yaml(folder / "doorlog.yaml", **{**given, **groups})


def torn_files(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.torn-*"))


def target(server: Serving, listener: str = "plain") -> Target:
    return Target("127.0.0.1", ports_of(server)[listener])


def codes(records: list[Record]) -> list[tuple[str, str | None]]:
    return [(record["event"]["action"], record["event"].get("code")) for record in records]


def check_promise(records: list[Record]) -> None:
    """The last start of a broker in a log: no gap, and as many attempts recorded as sockets were accepted."""
    start = max(index for index, record in enumerate(records) if record["event"]["action"] == "audit_started")
    run_of_it = records[start:]
    first = run_of_it[0]["event"]["sequence"]
    assert [record["event"]["sequence"] for record in run_of_it] == list(range(first, first + len(run_of_it)))
    connects = [record for record in run_of_it if record["event"]["action"] == "connect"]
    last = vouched_for(run_of_it)[-1]
    assert last["event"]["action"] == "audit_stopped"
    assert last["doorlog"]["audit"] == {"accepted": len(connects), "connects": len(connects)}


# what does not start


async def test_a_port_that_is_taken_is_named_with_the_remedy(tmp_path: Path) -> None:
    offset = free_offset()
    with socket.create_server(("127.0.0.1", LOCAL_PORTS["mtls"] + offset)):
        finished = await run_doorlog("run", "--port-offset", str(offset), cwd=tmp_path)

    place = f"listeners.mtls.bind: 127.0.0.1:{LOCAL_PORTS['mtls'] + offset}"
    remedy = "stop what listens there, or choose another port, as with --port-offset 10000"
    assert finished.exit_code == 4
    assert finished.output.splitlines() == [f"doorlog: {place}: Address already in use: {remedy}"]
    assert read_records(tmp_path / LOCAL_LOG) == []


async def test_a_log_that_can_not_be_opened_is_told(tmp_path: Path) -> None:
    nowhere = "/proc/nowhere/doorlog.jsonl"  # which root can not write either
    finished = await run_doorlog("run", "-c", configuration(tmp_path, log={"file": {"path": nowhere}}), cwd=tmp_path)

    assert finished.exit_code == 3
    (line,) = finished.output.splitlines()
    assert re.fullmatch(rf"doorlog: .*{nowhere}.*", line)


async def test_a_port_without_credentials_is_not_opened_to_others(tmp_path: Path) -> None:
    finished = await run_doorlog("run", "-c", configuration(tmp_path, listeners={"p": {"bind": ":0"}}), cwd=tmp_path)

    assert finished.exit_code == 3
    assert "whoever reaches :0 comes in without credentials" in finished.output
    assert not (tmp_path / "doorlog.jsonl").exists()


# a local broker


async def paste(server: Serving, which: str, cwd: Path) -> tuple[str, Finished]:
    """Run a line that the broker has printed."""
    match = await server.line(rf"^  (mosquitto_pub .*{which}.*)$")
    return match[1], await run(["sh", "-c", match[1]], cwd=cwd)


async def test_the_lines_that_are_printed_work_as_pasted(tmp_path: Path) -> None:
    usable(MosquittoPub())
    with following(tmp_path / LOCAL_LOG) as log:
        async with serving_doorlog("run", "--port-offset", str(free_offset()), cwd=tmp_path) as server:
            for which, published in (("-u demo", True), ("demo-device", True), ("--capath", False)):
                line, finished = await paste(server, which, tmp_path)
                assert (finished.exit_code == 0) == published, f"{line}\n{finished.output}"
            await server.line(r"Stop: Ctrl-C")
            assert await stopped(server, signal.SIGTERM) == 0
        await log.first(action_is("audit_stopped"))
        await log.first(action_is("audit_checkpoint"))

    check_promise(log.records)
    attempts = [record for record in log.records if record["event"]["action"] == "connect"]
    assert [(record["doorlog"]["listener"], record["event"]["code"]) for record in attempts] == [
        ("tls", "admitted"),
        ("mtls", "admitted"),
        ("tls", "server_certificate_unknown_ca"),
    ]
    assert [record.get("device", {}).get("id") for record in attempts][:2] == ["my-device", "demo-device"]
    assert attempts[0]["user"]["name"] == "demo"
    assert attempts[1]["tls"]["client"]["x509"]["subject"]["common_name"] == ["demo-device"]


async def test_a_second_start_uses_all_of_the_first_again(tmp_path: Path) -> None:
    kept: list[dict[str, bytes]] = []
    for _ in range(2):
        async with serving_doorlog("run", "--port-offset", str(free_offset()), cwd=tmp_path) as server:
            assert await stopped(server, signal.SIGTERM) == 0
        files = (tmp_path / ".doorlog").iterdir()
        kept.append({path.name: path.read_bytes() for path in files if path.is_file()})

    assert kept[0] == kept[1]
    assert {"ca.crt", "server.crt", "users.txt", "demo.password", "demo-device.key"} <= set(kept[0])
    assert [record["event"]["action"] for record in read_records(tmp_path / LOCAL_LOG)].count("audit_started") == 2
    assert (tmp_path / ".doorlog").stat().st_mode & 0o777 == 0o700


async def test_others_get_in_only_when_asked_for(tmp_path: Path) -> None:
    for flags, host in (((), "127.0.0.1"), (("--bind-all",), "0.0.0.0")):
        offset = free_offset()
        async with serving_doorlog("run", *flags, "--port-offset", str(offset), cwd=tmp_path) as server:
            listening = read_queues()
            assert all((host, port + offset) in listening for port in LOCAL_PORTS.values())
            async with open_wire(Target("127.0.0.1", LOCAL_PORTS["plain"] + offset)) as wire:
                await wire.send(mqtt.connect("anybody"))
                assert await wire.receive() == b"\x20\x02\x00\x05"  # credentials are asked for
            if flags:
                await server.line(rf"Devices on your network connect to {re.escape(socket.gethostname())}")


# stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_leaves_a_record_for_everybody_who_was_there(tmp_path: Path, pki: Pki, number: int) -> None:
    doors = {"plain": {"bind": FREE}, "tls": {"bind": FREE, "tls": tls(pki.server())}}
    config = configuration(tmp_path, listeners=doors)
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        plain, encrypted = target(server), target(server, "tls")
        async with (
            open_wire(plain) as silent,
            open_wire(plain) as pump,
            open_tunnel(encrypted) as handshake,
            open_tunnel(encrypted) as meter,
        ):
            await handshake.read_flight()  # and no answer
            await pump.send(mqtt.connect("pump-17"))
            assert await pump.receive() == ACCEPTED
            await meter.shake_hands()
            await meter.send(mqtt.connect("meter-4"))
            await meter.read(len(ACCEPTED))
            code = await stopped(server, number)
            for wire in (silent, pump, handshake.wire, meter.wire):
                await wire.drain()
                assert wire.ended in ("eof", "reset")

    records = read_records(tmp_path / "doorlog.jsonl")
    assert code == 0
    check_promise(records)
    assert codes(records)[2:] == [
        ("connect", "admitted"),
        ("connect", "admitted"),
        ("connect", "server_shutdown"),
        ("connect", "server_shutdown"),
        ("disconnect", "server_shutdown"),
        ("disconnect", "server_shutdown"),
        ("audit_stopped", None),
        ("audit_checkpoint", None),
    ]
    ended = [record["doorlog"]["connection_id"] for record in records if record["event"]["action"] == "disconnect"]
    admitted = [record["doorlog"]["connection_id"] for record in records if record["event"].get("code") == "admitted"]
    assert sorted(ended) == sorted(admitted)
    stages = [record["doorlog"]["stage"] for record in records if record["event"]["action"] == "connect"]
    assert sorted(stages) == ["connect", "handshake", "session", "session"]


async def test_a_hangup_without_a_terminal_makes_it_go_on_in_the_file_that_is_there_now(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    async with serving_doorlog("run", "-c", configuration(tmp_path), cwd=tmp_path) as server:
        with following(path) as log:
            await log.first(action_is("audit_started"))
        path.rename(tmp_path / "doorlog.jsonl.1")  # as logrotate does
        with following(path) as log:
            server.process.send_signal(signal.SIGHUP)
            while not log.records:  # the first of them may still be for the other file
                await tcp_open_and_close(target(server))
                with suppress(AssertionError):
                    await log.nth(1, timeout_s=0.3)
            assert await stopped(server, signal.SIGTERM) == 0

    records = [*read_records(tmp_path / "doorlog.jsonl.1"), *read_records(path)]
    check_promise(records)
    assert sequences(records) == list(range(1, len(records) + 1))


def test_a_terminal_that_is_gone_stops_it(tmp_path: Path) -> None:
    config = configuration(tmp_path, log={"file": {"path": "doorlog.jsonl"}})
    assert "audit_stopped" in on_a_terminal(config, how=signal.SIGHUP)
    check_promise(read_records(tmp_path / "doorlog.jsonl"))


async def test_a_broker_that_is_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    ignoring = "trap '' HUP; exec \"$@\""  # as nohup does
    async with serving(
        ["sh", "-c", ignoring, "sh", *DOORLOG, "run", "-c", config], ready=READY, cwd=tmp_path
    ) as server:
        server.process.send_signal(signal.SIGHUP)
        await tcp_open_and_close(target(server))
        assert await stopped(server, signal.SIGTERM) == 0

    assert ("connect", "closed_before_connect") in codes(read_records(tmp_path / "doorlog.jsonl"))


async def test_a_broker_that_was_killed_appends_to_its_log_when_it_comes_back(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    path = tmp_path / "doorlog.jsonl"
    with following(path) as log:
        async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
            await tcp_open_and_close(target(server))
            await log.first(action_is("connect"))
            assert await stopped(server, signal.SIGKILL) == -signal.SIGKILL
    before = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"@timestamp":"2026-')  # what a power failure leaves
    async with serving_doorlog("run", "-c", config, cwd=tmp_path) as server:
        assert await stopped(server, signal.SIGTERM) == 0

    after = path.read_bytes()
    assert after.startswith(before)
    records = parse_records(after.splitlines())
    assert codes(records) == [
        ("audit_started", None),
        ("connect", "closed_before_connect"),
        ("audit_gap", "interrupted"),
        ("audit_started", None),
        ("audit_stopped", None),
        ("audit_checkpoint", None),
    ]
    (torn,) = torn_files(path)
    assert torn.read_bytes() == b'{"@timestamp":"2026-'
    gap = records[2]["doorlog"]["gap"]
    assert (gap["torn_file"], gap["torn_bytes"]) == (torn.name, len(torn.read_bytes()))
    assert sequences(records) == [1, 2, 3, 4, 5, 6]
    check_promise(records)
    assert len({record["event"]["id"] for record in records}) == len(records)


# certificates that devices refuse


async def test_a_certificate_that_devices_refuse_is_served_and_said_to_be(tmp_path: Path, pki: Pki) -> None:
    kinds = {"expired": pki.server_expired(), "incomplete": pki.server_incomplete(), "good": pki.server()}
    doors = {name: {"bind": FREE, "tls": tls(server)} for name, server in kinds.items()}
    async with serving_doorlog("run", "-c", configuration(tmp_path, listeners=doors), cwd=tmp_path) as server:
        seen = await handshake_then(target(server, "expired"), "fin")
        assert seen.established

    served = {
        record["doorlog"]["listener"]: record
        for record in read_records(tmp_path / "doorlog.jsonl")
        if record["event"]["action"] == "certificate_served"
    }
    assert {name: record["event"]["outcome"] for name, record in served.items()} == {
        "expired": "failure",
        "incomplete": "failure",
        "good": "success",
    }
    assert [finding["code"] for finding in served["expired"]["doorlog"]["findings"]] == ["certificate_expired"]
    assert "devices that look at dates refuse it" in served["expired"]["message"]
    assert [finding["code"] for finding in served["incomplete"]["doorlog"]["findings"]] == ["chain_incomplete"]
    assert "Devices that trust only the root CA refuse it" in served["incomplete"]["message"]
    assert "refuse" not in served["good"]["message"]


# where records go


async def test_records_on_standard_output_are_json_lines_and_nothing_else(tmp_path: Path) -> None:
    config = configuration(tmp_path, log={"stdout": True, "file": {"path": "doorlog.jsonl"}, "console": "always"})
    async with serving_doorlog("run", "-c", config, cwd=tmp_path, shell=">out.jsonl") as server:
        await tcp_open_and_close(target(server))
        assert await stopped(server, signal.SIGTERM) == 0

    printed = (tmp_path / "out.jsonl").read_bytes()
    assert printed == (tmp_path / "doorlog.jsonl").read_bytes()
    check_promise(parse_records(printed.splitlines()))


async def test_readable_lines_are_plain_in_a_pipe(tmp_path: Path) -> None:
    async with serving_doorlog("run", "--console", "-c", configuration(tmp_path), cwd=tmp_path) as server:
        await tcp_open_and_close(target(server))
        line = await server.line(r"closed_before_connect")
        assert await stopped(server, signal.SIGTERM) == 0
        await server.line(r"✓ audit_stopped|\+ audit_stopped")

    assert re.match(r"\d\d:\d\d:\d\d [✗x] closed_before_connect  127\.0\.0\.1  plain  ", line.string)
    assert not any("\x1b" in text for text in server.lines)


def on_a_terminal(
    config: Path, *flags: str, how: int = signal.SIGTERM, environment: Mapping[str, str] | None = None
) -> str:
    """Run a broker with a terminal as standard error, stop it when it is ready; return what the terminal shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DOORLOG, "run", "-c", config, *flags],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(environment or {})},
    )
    os.close(theirs)
    shown, asked = b"", False
    try:
        while select.select([ours], [], [], 30)[0]:
            shown += os.read(ours, 65_536)
            if not asked and b"ready" in shown:
                process.send_signal(how)
                asked = True
    except OSError:  # EIO: the broker has gone
        pass
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, (), "\x1b[32m✓ audit_stopped\x1b[0m"),
        ({"NO_COLOR": "1"}, (), " ✓ audit_stopped  "),
        ({}, ("--no-console",), None),
    ],
)
def test_readable_lines_are_coloured_on_a_terminal(
    tmp_path: Path, environment: dict[str, str], flags: tuple[str, ...], expected: str | None
) -> None:
    config = configuration(tmp_path, log={"file": {"path": "doorlog.jsonl"}})

    shown = on_a_terminal(config, *flags, environment=environment)

    assert expected in shown if expected is not None else "audit_stopped" not in shown


# an accident


async def test_a_reader_of_standard_output_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    config = configuration(tmp_path, log={"stdout": True, "file": {"path": "doorlog.jsonl"}, "console": "never"})
    os.mkfifo(tmp_path / "out")
    reader = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    async with serving_doorlog("run", "-c", config, cwd=tmp_path, shell=">out") as server:
        os.close(reader)
        for _ in range(3):
            await tcp_open_and_close(target(server))
        assert await stopped(server, signal.SIGTERM) == 0
        await server.line(r"^doorlog: log: stdout: ")

    records = read_records(tmp_path / "doorlog.jsonl")
    check_promise(records)
    assert codes(records).count(("connect", "closed_before_connect")) == 3
