"""Records at real syslog receivers: whole, in order, after an outage too, and never to a stranger."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import pytest

from doorlog.log.backoff import Backoff
from doorlog.log.courier import GRACE_SECONDS, QUEUE_BYTES, Courier
from doorlog.log.faults import Faults
from doorlog.log.log_file import LogFile
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.registry import build_sink
from doorlog.log.sink import SinkContext
from doorlog.log.writer import Log
from doorlog.settings.log_models import FileLogSettings, FloodSettings, LogSettings
from support.events import SERVICE, failed_connect, one_of_each
from support.pki import Pki
from support.records import Record, following, parse_records, read_records, sequences
from support.syslog_daemons import DAEMONS, TRANSPORTS, Daemon, Receiver, usable_daemon

CONTEXT = SinkContext(name="central", service_name="doorlog", instance_id="broker-1", version="0.1.0")
QUICK = Backoff(first=0.01, longest=0.05)
PATIENCE = 10.0
EACH = LogSettings(flood=FloodSettings(enabled=False))
"""Every event has its record."""

each_daemon = pytest.mark.parametrize("daemon", DAEMONS, ids=repr)
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_stream = pytest.mark.parametrize("transport", ["tcp", "tls"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class Said:
    """What the operator reads."""

    def __init__(self) -> None:
        self.sentences: SimpleQueue[str] = SimpleQueue()
        self.faults = Faults(self.sentences.put)

    def next(self) -> str:
        return self.sentences.get(timeout=PATIENCE)

    def all_of(self, *parts: str) -> None:
        """Wait until each of them was said, in whatever order."""
        unsaid = set(parts)
        while unsaid:
            sentence = self.next()
            unsaid = {part for part in unsaid if part not in sentence}


@contextmanager
def courier_to(
    server: str,
    said: Said | None = None,
    queue_bytes: int = QUEUE_BYTES,
    grace_seconds: float = GRACE_SECONDS,
    **options: Any,
) -> Iterator[Courier]:
    sink = build_sink("log.sinks.central", "syslog", {"server": server, **options}, CONTEXT)
    courier = Courier(
        sink, (said or Said()).faults, queue_bytes=queue_bytes, grace_seconds=grace_seconds, backoff=QUICK
    )
    try:
        yield courier
    finally:
        courier.close()


def options_for(transport: str, receiver: Receiver, pki: Pki) -> dict[str, Any]:
    host = "localhost" if transport == "tls" else "127.0.0.1"
    trusted = {"cafile": pki.cafile} if transport == "tls" else {}
    return {"server": f"{transport}://{host}:{receiver.ports[transport]}", **trusted}


def lines_of(*events: Any) -> list[bytes]:
    pipeline = Pipeline(record_processors(lambda event: f"{event.event.action} ünïcödé 漢字"), SERVICE, Faults())
    return [pipeline.line(event) for event in events]


@each_daemon
@each_transport
async def test_every_record_arrives_whole_and_in_order(
    daemon: Daemon, transport: str, tmp_path: Path, pki: Pki
) -> None:
    lines = lines_of(*one_of_each() * (5 if transport == "udp" else 100))
    async with usable_daemon(daemon).serving(tmp_path, pki.server()) as receiver:
        with following(receiver.records) as records:
            with courier_to(**options_for(transport, receiver, pki)) as courier:
                courier.write(lines)
            assert (courier.status().sent, courier.status().retried) == (len(lines), 0)
            await records.nth(len(lines))
            assert records.records == parse_records(lines)


@each_daemon
async def test_the_header_says_how_bad_it_is_and_which_record(daemon: Daemon, tmp_path: Path, pki: Pki) -> None:
    async with usable_daemon(daemon).serving(tmp_path, pki.server()) as receiver:
        with following(receiver.records) as records:
            options = options_for("tcp", receiver, pki)
            with courier_to(**options, facility="authpriv", hostname="broker.example", app_name="door") as courier:
                courier.write(lines_of(failed_connect()))
            await records.nth(1)
        (header,) = receiver.headers.read_text().splitlines()
    (record,) = records.records
    number = record["event"]["id"]
    assert re.fullmatch(
        r"84 2026-03-01T15:02:11\.25(0000)?(Z|\+00:00) broker\.example door \d+ connect "
        r'\[meta sequenceId="1"\]\[origin software="doorlog" swVersion="0\.1\.0"\]'
        r'\[doorlog@32473 code="server_certificate_unknown_ca" outcome="failure" '
        rf'id="{number}" sequence="1" instance="broker-1"\]',
        in_order(header),
    ), header


def in_order(header: str) -> str:
    """syslog-ng sorts structured data by name; put its elements and values back in our order."""
    head, _, data = header.partition("[")
    elements = dict(re.findall(r"\[([^ ]+) ([^\]]*)\]", f"[{data}"))
    order = {"meta": 0, "origin": 1, "doorlog@32473": 2}
    values = ["sequenceId", "software", "swVersion", "code", "outcome", "id", "sequence", "instance"]
    return head + "".join(
        f"[{name} {' '.join(sorted(elements[name].split(), key=lambda item: values.index(item.partition('=')[0])))}]"
        for name in sorted(elements, key=order.__getitem__)
    )


@each_daemon
@each_stream
async def test_a_receiver_that_was_killed_gets_what_waited_when_it_is_back(
    daemon: Daemon, transport: str, tmp_path: Path, pki: Pki
) -> None:
    lines, said = lines_of(*[failed_connect()] * 300), Said()
    with following(tmp_path / "records") as records:
        async with usable_daemon(daemon).serving(tmp_path, pki.server()) as receiver:
            options = options_for(transport, receiver, pki)
            with courier_to(said=said, **options) as courier:
                courier.write(lines[:100])
                await records.nth(100)
                await receiver.kill()
                courier.write(lines[100:200])
                courier.write(lines[200:])
                assert "Connection refused (said once" in said.next()
                async with daemon.serving(tmp_path, pki.server(), ports=receiver.ports):
                    await records.nth(300)
                    assert said.next() == f"{courier.name}: works again"
                    assert courier.status().dropped == 0
    assert sequences(records.records) == list(range(1, 301))
    assert said.sentences.empty()


@each_daemon
async def test_datagrams_that_nobody_was_there_for_arrive_when_somebody_is(
    daemon: Daemon, tmp_path: Path, pki: Pki
) -> None:
    lines, said = lines_of(*[failed_connect()] * 20), Said()
    with following(tmp_path / "records") as records:
        async with usable_daemon(daemon).serving(tmp_path, pki.server()) as receiver:
            with courier_to(said=said, **options_for("udp", receiver, pki)) as courier:
                courier.write(lines[:5])
                await records.nth(5)
                await receiver.kill()
                courier.write(lines[5:])
                assert "Connection refused (said once" in said.next()
                async with daemon.serving(tmp_path, pki.server(), ports=receiver.ports):
                    await records.nth(20)
    assert sequences(without_repeats(records.records)) == list(range(1, 21))


def without_repeats(records: list[Record]) -> list[Record]:
    return list({record["event"]["id"]: record for record in records}.values())


@each_daemon
async def test_a_record_that_is_too_long_for_a_datagram_arrives_as_one_that_says_so(
    daemon: Daemon, tmp_path: Path, pki: Pki
) -> None:
    (line,) = lines_of(failed_connect())
    async with usable_daemon(daemon).serving(tmp_path, pki.server()) as receiver:
        with following(receiver.records) as records:
            with courier_to(**options_for("udp", receiver, pki), max_bytes=2048) as courier:
                courier.write([line])
            record = await records.nth(1)
    (whole,) = parse_records([line])
    assert record["event"] == whole["event"]
    assert record["source"] == whole["source"]
    assert record["message"] == whole["message"]
    assert record["doorlog"]["fault"].startswith(f"this copy was shortened, the record has {len(line)} bytes")


# whom we trust, and who trusts us


@each_daemon
async def test_a_receiver_of_another_authority_gets_nothing(daemon: Daemon, tmp_path: Path, pki: Pki) -> None:
    said = Said()
    async with usable_daemon(daemon).serving(tmp_path, pki.server_foreign()) as receiver:
        with courier_to(said=said, grace_seconds=0.1, **options_for("tls", receiver, pki)) as courier:
            courier.write(lines_of(failed_connect()))
            sentence = said.next()
    port = receiver.ports["tls"]
    assert sentence == (
        f"syslog tls://localhost:{port}: its certificate is refused: unable to get local issuer certificate "
        "(cafile says whom to trust) (said once; further faults here are only counted)"
    )
    assert not receiver.records.exists()


@each_daemon
async def test_a_receiver_by_another_name_gets_nothing(daemon: Daemon, tmp_path: Path, pki: Pki) -> None:
    said = Said()
    async with usable_daemon(daemon).serving(tmp_path, pki.server_wrong_host()) as receiver:
        with courier_to(said=said, grace_seconds=0.1, **options_for("tls", receiver, pki)) as courier:
            courier.write(lines_of(failed_connect()))
            assert "Hostname mismatch, certificate is not valid for 'localhost'" in said.next()
    assert not receiver.records.exists()


@each_daemon
async def test_a_receiver_that_asks_for_our_certificate_gets_it(daemon: Daemon, tmp_path: Path, pki: Pki) -> None:
    mine = pki.client("broker-1")
    async with usable_daemon(daemon).serving(tmp_path, pki.server(), cafile=pki.cafile) as receiver:
        options = options_for("tls", receiver, pki)
        with following(receiver.records) as records:
            with courier_to(**options, certfile=mine.certfile, keyfile=mine.keyfile) as courier:
                courier.write(lines_of(*[failed_connect()] * 10))
            await records.nth(10)


@each_daemon
async def test_a_receiver_that_asks_for_a_certificate_we_have_not_is_a_fault(
    daemon: Daemon, tmp_path: Path, pki: Pki
) -> None:
    said = Said()
    async with usable_daemon(daemon).serving(tmp_path, pki.server(), cafile=pki.cafile) as receiver:
        with courier_to(said=said, grace_seconds=0.1, **options_for("tls", receiver, pki)) as courier:
            courier.write(lines_of(failed_connect()))
            assert re.search("certificate required|handshake failure|closed the connection|reset", said.next())
            assert courier.status().sent == 0
    assert not receiver.records.exists()


# who does not read


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    """A receiver that accepts in its kernel alone, and takes as little there as it can."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield listener, listener.getsockname()[1]


@each_stream
def test_a_receiver_that_never_reads_delays_nobody(transport: str, tmp_path: Path) -> None:
    said = Said()
    with (
        listening() as (_, port),
        courier_to(
            f"{transport}://127.0.0.1:{port}", said, queue_bytes=1_000_000, grace_seconds=0.5, timeout=0.2
        ) as stalled,
    ):
        file = LogFile(FileLogSettings(path=tmp_path / "log"), syncs=False, faults=said.faults)
        log = Log(
            record_processors(lambda _: "it happened"),
            [stalled],
            service=SERVICE,
            faults=said.faults,
            file=file,
            settings=EACH,
        )
        recorded = 0
        with log:
            # Each new connection has room in the kernel: how much it takes to fill the queue depends on the machine.
            while recorded < 6_000 or (not stalled.status().dropped and recorded < 40_000):
                log.record(failed_connect())
                recorded += 1
        said.all_of("no sign of life for 0.2 s", "what waits for it fills its 1000000 bytes")
        records = read_records(tmp_path / "log")
        # a log of so many records vouches for them in checkpoints of its own
        assert sum(record["event"]["action"] == "connect" for record in records) == recorded
        assert sequences(records) == list(range(1, len(records) + 1))
    status = stalled.status()
    assert status.sent + status.dropped == len(records)
    assert (status.waiting, status.dropped > 0) == (0, True)


def test_a_tls_receiver_that_stops_reading_in_the_middle_is_noticed(pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server().certfile, pki.server().keyfile)
    said = Said()
    with listening() as (listener, port):
        server = f"tls://localhost:{port}"
        with courier_to(server, said, grace_seconds=0.1, cafile=pki.cafile, timeout=0.3) as courier:
            courier.write(lines_of(failed_connect()) * 1000)
            accepted, _ = listener.accept()
            with context.wrap_socket(accepted, server_side=True):
                assert "no sign of life for 0.3 s" in said.next()


def test_a_receiver_that_reads_slowly_gets_every_record_once(pki: Pki) -> None:
    """Progress is what counts, not the time that a batch takes."""
    lines = lines_of(*[failed_connect()] * 300)
    with listening() as (listener, port), courier_to(f"tcp://127.0.0.1:{port}", timeout=2.0) as courier:
        courier.write(lines)
        accepted, _ = listener.accept()
        with accepted, accepted.makefile("rb") as stream:
            received = [read_frame(stream) for _ in range(300)]
        assert [message.partition(b"{")[2] for message in received] == [
            line.rstrip(b"\n").partition(b"{")[2] for line in lines
        ]


def read_frame(stream: BinaryIO) -> bytes:
    length = b""
    while (digit := stream.read(1)) != b" ":
        length += digit
    return stream.read(int(length))
