"""Real programs with the configurations of config/shippers: records come out whole and in order, guesses count."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from doorlog.events.codes import Action, Code, Outcome
from doorlog.events.parts import FloodPart, SourcePart
from doorlog.events.records import Event, FloodEvent
from doorlog.log.segments import segments, whole_lines
from support.events import WHEN, admitted_connect, failed_connect, one_of_each, refused_password
from support.pki import Pki
from support.processes import run, serving
from support.shipped_lines import FORGED, VICTIM, Lines, failure, from_stranger
from support.shippers import SHIPPERS, GrowingLog, LogServer, Program, adapted, log_server, program

FILTER = SHIPPERS / "fail2ban" / "filter.d" / "doorlog.conf"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[GrowingLog]:
    (tmp_path / "log").mkdir()
    growing = GrowingLog(tmp_path / "log")
    yield growing
    growing.close()


async def grow_and_rotate(log: GrowingLog, server: LogServer) -> None:
    """Write, rename twice, once with words after the rename as under logrotate; all that was written must arrive."""
    lines = Lines()
    await server.wait_for(len(log.written))
    log.write(lines.next(40))
    log.rename("doorlog-20260301T150211Z-0000000000000000001.jsonl")
    log.reopen()
    log.write(lines.next(40))
    await server.wait_for(len(log.written))

    log.rename("doorlog.jsonl-20260301-1772377331")
    log.write(lines.next(20))
    log.reopen()
    log.write(lines.next(200))
    await server.wait_for(len(log.written))

    assert server.lines == log.written


# rsyslog and syslog-ng


def rsyslog(server: LogServer, pki: Pki, folder: Path) -> tuple[Program, list[str | Path], str]:
    """Return rsyslogd, its arguments and how it says that it is ready, with our file behind what it needs to say it."""
    shipped = adapted(
        "rsyslog.conf",
        {
            "/var/log/doorlog": folder / "log",
            "/etc/ssl/certs/ca-certificates.crt": pki.cafile,
            'target="logs.example.com" port="6514"': f'target="127.0.0.1" port="{server.port}"',
            '"logs.example.com"': '"localhost"',
        },
    )
    top = f'global(maxMessageSize="256k" workDirectory="{folder}" processInternalMessages="on")'
    says = 'if ($inputname == "rsyslogd") then { action(type="omfile" file="/dev/stdout") stop }'
    config = folder / "rsyslog.conf"
    config.write_text(f"{top}\n{shipped}\n{says}\n")
    return program("rsyslogd"), ["-n", "-f", config, "-i", folder / "pid"], r"rsyslogd.* start"


def syslog_ng(server: LogServer, pki: Pki, folder: Path) -> tuple[Program, list[str | Path], str]:
    """Return syslog-ng, its arguments and how it says that it is ready."""
    shipped = adapted(
        "syslog-ng.conf",
        {
            "/var/log/doorlog": folder / "log",
            'ca-dir("/etc/ssl/certs")': f'ca-file("{pki.cafile}")',
            "logs.example.com": "localhost",
            "port(6514)": f"port({server.port}) ip-protocol(4)",
        },
    )
    config = folder / "syslog-ng.conf"
    config.write_text(f"@version: current\n{shipped}")
    files: list[str | Path] = ["-R", folder / "persist", "-c", folder / "control", "--pidfile", folder / "pid"]
    return program("syslog-ng"), ["-F", "-e", "-v", "--no-caps", "-f", config, *files], "syslog-ng starting up"


@pytest.mark.parametrize("shipper", [rsyslog, syslog_ng])
async def test_every_line_arrives_across_renames_and_a_restart(
    shipper: Callable[[LogServer, Pki, Path], tuple[Program, list[str | Path], str]],
    log: GrowingLog,
    pki: Pki,
    tmp_path: Path,
) -> None:
    lines = Lines()
    log.write(lines.next(30))
    async with log_server(pki.server()) as server:
        daemon, arguments, ready = shipper(server, pki, tmp_path)
        argv = [daemon.path, *daemon.arguments, *arguments]
        async with serving(argv, ready=ready, env=daemon.environment, grace=10):
            await grow_and_rotate(log, server)
        log.write(lines.next(30))
        async with serving(argv, ready=ready, env=daemon.environment, grace=10):
            await server.wait_for(len(log.written))
            log.write(lines.next(10))
            await server.wait_for(len(log.written))

    assert server.lines == log.written


async def test_rsyslog_finds_nothing_wrong_with_its_file(pki: Pki, tmp_path: Path) -> None:
    daemon, arguments, _ = rsyslog(LogServer(port=6514), pki, tmp_path)

    checked = await run([daemon.path, "-N1", *arguments[1:]])

    assert (checked.exit_code, "error" in checked.output) == (0, False), checked.output


# logrotate


async def rotate(logrotate: Path, config: Path) -> None:
    debugged = await run([logrotate, "-d", config])
    assert (debugged.exit_code, "error" in debugged.output) == (0, False), debugged.output
    forced = await run([logrotate, "-f", "-s", config.with_name("state"), config])
    assert (forced.exit_code, forced.output) == (0, "")


def make_older(live: Path) -> None:
    """Rename what logrotate has just made: the next one is made in the same second."""
    (rotated,) = live.parent.glob("doorlog.jsonl-*")
    assert re.fullmatch(r"doorlog\.jsonl-\d{8}-\d{10}", rotated.name)
    rotated.rename(rotated.with_name("doorlog.jsonl-20260301-1772377331"))


async def test_logrotate_loses_no_line_and_leaves_files_that_our_readers_find(log: GrowingLog, tmp_path: Path) -> None:
    logrotate = program("logrotate").path
    lines = Lines()
    log.write(lines.next(20))
    config = tmp_path / "logrotate.conf"
    told = tmp_path / "told"
    signal = "systemctl kill --signal=HUP doorlog.service"
    config.write_text(adapted("logrotate.conf", {"/var/log/doorlog": tmp_path / "log", signal: f"touch {told}"}))
    config.chmod(0o644)

    await rotate(logrotate, config)

    assert told.exists(), "the broker was told"
    assert not log.path.exists(), "which makes its file itself"
    log.write(lines.next(5))  # until it heard it
    log.reopen()
    log.write(lines.next(20))
    make_older(log.path)
    assert [line for path in segments(log.path) for line in whole_lines(path)] == log.written

    await rotate(logrotate, config)
    log.reopen()
    log.write(lines.next(5))

    assert [path.suffix == ".gz" for path in segments(log.path)] == [True, False, False]
    assert [line for path in segments(log.path) for line in whole_lines(path)] == log.written


# fail2ban


async def banned(log: Path, *, patience: float = 15) -> list[str]:
    """Return the addresses that fail2ban takes from a log, one for each failure that it counts."""
    finished = await run([program("fail2ban-regex").path, "-o", "ip", log, FILTER], patience=patience)
    assert finished.exit_code in (0, 1), finished.output
    assert not finished.timed_out
    return finished.output.split()


async def banned_for(tmp_path: Path, *events: Event) -> list[str]:
    path = tmp_path / "doorlog.jsonl"
    path.write_bytes(b"".join(Lines().of(*events)))
    return await banned(path)


@pytest.mark.parametrize("code", [Code.BAD_PASSWORD, Code.UNKNOWN_USER])
async def test_a_guess_counts(tmp_path: Path, code: Code) -> None:
    event = refused_password(event=failure(Action.CONNECT, code))

    assert await banned_for(tmp_path, event, event) == ["10.0.0.9"] * 2


@pytest.mark.parametrize("ip", ["2001:db8::17", "::1", "203.0.113.7"])
async def test_addresses_of_both_kinds_count(tmp_path: Path, ip: str) -> None:
    assert await banned_for(tmp_path, refused_password(source=SourcePart(ip=ip, port=1))) == [ip]
    assert await banned_for(tmp_path, refused_password(source=SourcePart(ip=ip))) == [ip]


async def test_a_flood_counts_once(tmp_path: Path) -> None:
    counted = FloodPart(action="connect", count=9_000, first=WHEN, last=WHEN + timedelta(minutes=1), ports=9_000)
    like = refused_password()
    flood = FloodEvent(
        timestamp=WHEN,
        event=failure(Action.FLOOD, Code.BAD_PASSWORD),
        source=like.source,
        destination=like.destination,
        mqtt=like.mqtt,
        user=like.user,
        doorlog=like.doorlog.model_copy(update={"flood": counted}),
    )

    assert await banned_for(tmp_path, flood) == ["10.0.0.9"]


async def test_nothing_else_counts(tmp_path: Path) -> None:
    hidden = refused_password(source=SourcePart(address="hmac:5b1e1d0a77c3f2e4"))
    others = [event for event in one_of_each() if event.event.code != Code.BAD_PASSWORD]

    assert await banned_for(tmp_path, *others, hidden) == []


@pytest.mark.parametrize("text", FORGED)
async def test_a_stranger_can_not_have_somebody_else_banned(tmp_path: Path, text: str) -> None:
    forged = [from_stranger(text), from_stranger(text * 3)]
    not_counted = [from_stranger(text, code=Code.ADMITTED), from_stranger(text, outcome=Outcome.SUCCESS)]

    assert await banned_for(tmp_path, *forged, *not_counted) == ["10.0.0.9"] * 2


@pytest.mark.parametrize("text", FORGED)
async def test_it_is_all_the_same_where_the_objects_behind_the_event_stand(tmp_path: Path, text: str) -> None:
    path = tmp_path / "doorlog.jsonl"
    record = orjson.loads(Lines().of(from_stranger(text))[0])
    head = {name: record.pop(name) for name in ("@timestamp", "message", "event")}
    orders = [sorted(record), sorted(record, reverse=True), sorted(record, key=lambda name: name == "doorlog")]
    lines = [orjson.dumps(head | {name: record[name] for name in order}) + b"\n" for order in orders]
    path.write_bytes(b"".join(lines))

    assert await banned(path) == ["10.0.0.9"] * 3


async def test_a_stranger_is_banned_whatever_they_write_and_however_much(tmp_path: Path) -> None:
    texts = ['"' * 2_000, "\\" * 2_000, '\\"' * 1_000, (FORGED[1] * 60)[:2_000], "{[" * 1_000]
    begun = time.monotonic()

    assert await banned_for(tmp_path, *[from_stranger(text) for text in texts] * 20) == ["10.0.0.9"] * 100
    assert await banned_for(tmp_path, *[from_stranger(text, code="other") for text in texts] * 20) == []
    assert time.monotonic() - begun < 10


async def test_no_line_of_a_long_mixture_is_taken_for_another(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    lines = Lines().next(200)
    path.write_bytes(b"".join(lines))
    guesses = [line for line in lines if b'"outcome":"failure","code":"bad_password"' in line]

    assert await banned(path) == ["10.0.0.9"] * len(guesses)


async def test_fail2ban_takes_the_jail_and_bans_who_guesses(tmp_path: Path) -> None:
    server = program("fail2ban-server").path
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "doorlog.jsonl"
    now = datetime.now(UTC)
    guesses = [refused_password(timestamp=now), from_stranger(FORGED[1]).model_copy(update={"timestamp": now})]
    others = [each.model_copy(update={"timestamp": now}) for each in (admitted_connect(), failed_connect())]
    path.write_bytes(b"".join(Lines().of(*others * 9, *guesses * 3)))
    folder = fail2ban_folder(tmp_path)

    tested = await run([server.with_name("fail2ban-client"), "-c", folder, "-t"])
    assert (tested.exit_code, "OK: configuration test is successful" in tested.output) == (0, True), tested.output

    async with serving([server, "-c", folder, "-f", "start"], ready="Jail 'doorlog' started", grace=10) as running:
        match = await running.line(r"\[doorlog\] Ban (\S+)")

        assert match[1] == "10.0.0.9"
        assert not [line for line in running.lines if VICTIM in line]


def fail2ban_folder(tmp_path: Path) -> Path:
    """Lay out a configuration as Debian does, with our jail alone, that bans nobody in earnest."""
    folder = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", folder)
    for path in (folder / "jail.d").iterdir():
        path.unlink()
    (folder / "filter.d" / "doorlog.conf").write_text(FILTER.read_text())
    jail = adapted("fail2ban/jail.d/doorlog.conf", {"/var/log/doorlog": tmp_path / "log"})
    (folder / "jail.d" / "doorlog.conf").write_text(f"{jail}action = dummy[target={tmp_path / 'banned'}]\n")
    files = f"socket = {tmp_path}/socket\npidfile = {tmp_path}/pid\ndbfile = :memory:\nallowipv6 = auto\n"
    (folder / "fail2ban.local").write_text(f"[DEFAULT]\nlogtarget = STDOUT\n{files}")
    return folder
