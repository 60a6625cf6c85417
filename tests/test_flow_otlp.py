"""The sink against a real OTLP/HTTP receiver: in the clear and over TLS, down, busy, stalled, and fed by strangers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from doorlog.errors import SinkError
from doorlog.events.parts import MqttPart, UserPart
from doorlog.log.faults import Faults
from doorlog.log.otlp_sink import OtlpSettings, OtlpSink
from doorlog.log.pipeline import Pipeline
from doorlog.log.processors import record_processors
from doorlog.log.sink import SinkContext
from support.events import SERVICE, admitted_connect, failed_connect, one_of_each, refused_password
from support.otlp_receiver import Answer, OtlpReceiver, attributes, otlp_receiver
from support.pki import Pki
from support.ports import free_port

TOKEN = "Bearer 6a9f2c-secret"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


def sink(endpoint: str, **keys: Any) -> OtlpSink:
    context = SinkContext("central", SERVICE.name, SERVICE.instance.id, SERVICE.version)
    return OtlpSink(OtlpSettings(endpoint=endpoint, **keys), context)


def lines_of(*events: Any) -> list[bytes]:
    pipeline = Pipeline(record_processors(lambda event: f"{event.event.action}"), SERVICE, Faults(lambda _: None))
    return [pipeline.line(event) for event in events]


def sequences(receiver: OtlpReceiver) -> list[int]:
    return [attributes(log.attributes)["event.sequence"] for log in receiver.taken]


def bring(central: OtlpSink, lines: list[bytes]) -> list[str]:
    """Do as a courier does: bring lines until they are taken; return what was wrong meanwhile."""
    faults: list[str] = []
    while lines:
        try:
            central.write(lines)
        except SinkError as error:
            faults.append(str(error))
            lines = lines[len(lines) - (len(lines) if error.lost is None else error.lost) :]
        else:
            return faults
    return faults


# whole


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_kind_of_record_arrives_whole(receiver: OtlpReceiver, compression: str) -> None:
    central = sink(receiver.endpoint, compression=compression)
    central.write(lines_of(*one_of_each()))
    central.close()

    (got,) = receiver.got
    assert (got.path, got.headers["content-type"]) == ("/v1/logs", "application/x-protobuf")
    assert got.headers.get("content-encoding", "none") == compression
    (resource,) = got.request.resource_logs
    assert attributes(resource.resource.attributes) == {
        "service.name": "doorlog", "service.version": "0.0.0", "service.instance.id": "test",
    }  # fmt: skip
    assert [log.event_name for log in got.logs] == [f"doorlog.{event.event.action}" for event in one_of_each()]
    assert sequences(receiver) == list(range(1, len(one_of_each()) + 1))


def test_over_tls_with_a_certificate_of_ours_and_a_token(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text(f"Authorization: {TOKEN}\n")
    ours = pki.client()
    with otlp_receiver(pki.server(), clients=pki.cafile) as receiver:
        keys = {"cafile": pki.cafile, "certfile": ours.certfile, "keyfile": ours.keyfile}
        central = sink(receiver.endpoint, **keys, headers_file=tmp_path / "headers", compression="gzip")
        central.write(lines_of(failed_connect()))
        central.write(lines_of(admitted_connect()))
        central.close()

    assert [log.event_name for log in receiver.taken] == ["doorlog.connect"] * 2
    assert {got.headers["authorization"] for got in receiver.got} == {TOKEN}


def test_lines_of_two_runs_keep_their_names(receiver: OtlpReceiver) -> None:
    before, now = lines_of(failed_connect(), failed_connect())
    sink(receiver.endpoint).write([before.replace(b'"id":"test"', b'"id":"before"'), now])

    resources = receiver.got[0].request.resource_logs
    assert [attributes(each.resource.attributes)["service.instance.id"] for each in resources] == ["before", "test"]


# whom it trusts


def test_a_receiver_of_somebody_else_gets_neither_records_nor_token(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text(f"Authorization: {TOKEN}\n")
    with otlp_receiver(pki.server_foreign()) as receiver:
        central = sink(receiver.endpoint, cafile=pki.cafile, headers_file=tmp_path / "headers")
        with pytest.raises(SinkError, match=r"^its certificate is not trusted: [a-z ]+$"):
            central.write(lines_of(failed_connect()))

    assert receiver.got == []


def test_without_cafile_only_the_operating_system_is_believed(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki.cafile))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(pki.cafile))
    with otlp_receiver(pki.server()) as receiver, pytest.raises(SinkError, match=r"^its certificate is not trusted"):
        sink(receiver.endpoint).write(lines_of(failed_connect()))


def test_a_certificate_for_another_name_is_not_believed(pki: Pki) -> None:
    with otlp_receiver(pki.server_wrong_host()) as receiver, pytest.raises(SinkError, match=r"not trusted: .*127\.0"):
        sink(receiver.endpoint, cafile=pki.cafile).write(lines_of(failed_connect()))


def test_a_redirect_does_not_lead_the_token_away(receiver: OtlpReceiver, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text(f"Authorization: {TOKEN}\n")
    with otlp_receiver() as elsewhere:
        receiver.answers.append(Answer(307, headers={"Location": elsewhere.endpoint}))
        with pytest.raises(SinkError, match=r"^it answered HTTP 307 Temporary Redirect$"):
            sink(receiver.endpoint, headers_file=tmp_path / "headers").write(lines_of(failed_connect()))

    assert elsewhere.got == []


def test_tokens_of_the_environment_are_not_for_our_receiver(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    sink(receiver.endpoint).write(lines_of(failed_connect()))

    assert not {"authorization", "content-encoding"} & set(receiver.got[0].headers)


# down, busy, stalled


def test_nothing_is_lost_while_the_receiver_is_busy(receiver: OtlpReceiver) -> None:
    receiver.answers.extend([Answer(503), Answer(429, headers={"Retry-After": "3600"}), Answer(500, b"\xff" * 99)])
    faults = bring(sink(receiver.endpoint), lines_of(*[failed_connect()] * 100))

    assert faults == [
        "it answered HTTP 503 Service Unavailable",
        "it answered HTTP 429 Too Many Requests",
        "it answered HTTP 500 Internal Server Error",
    ]
    assert sequences(receiver) == list(range(1, 101))
    assert len(receiver.got) == 4, "one try each: the courier does the waiting"


def test_nothing_but_the_poison_is_lost(receiver: OtlpReceiver) -> None:
    lines = lines_of(*[failed_connect()] * 40, refused_password(message="poison"), *[failed_connect()] * 23)
    receiver.poison = "poison"
    with pytest.raises(SinkError) as error:
        sink(receiver.endpoint).write(lines)

    assert (error.value.lost, error.value.retry) == (1, False)
    assert sequences(receiver) == [number for number in range(1, 65) if number != 41]


def test_a_receiver_that_stalls_is_waited_for_no_longer_than_said(receiver: OtlpReceiver) -> None:
    receiver.go.clear()
    central = sink(receiver.endpoint, timeout=0.2)
    begun = time.monotonic()
    with pytest.raises(SinkError, match=r"^no answer within 0\.2 s$"):
        central.write(lines_of(*[failed_connect()] * 256))
    took = time.monotonic() - begun
    receiver.go.set()

    assert took < 2
    assert bring(central, lines_of(failed_connect())) == []


def test_a_listener_that_takes_no_connection_is_waited_for_no_longer_than_said() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        taken = [socket.create_connection(full.getsockname()) for _ in range(1)]
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        begun = time.monotonic()
        with pytest.raises(SinkError, match=r"^no (connection|answer) within 0\.2 s$"):
            sink(f"http://127.0.0.1:{full.getsockname()[1]}/v1/logs", timeout=0.2).write(lines_of(failed_connect()))
        assert time.monotonic() - begun < 2
        for each in (*taken, *fillers):
            each.close()


def test_an_answer_without_end_is_not_read(receiver: OtlpReceiver) -> None:
    receiver.answers.append(Answer(200, b"\x00" * 5_000_000))
    central = sink(receiver.endpoint)
    central.write(lines_of(failed_connect()))
    central.write(lines_of(failed_connect()))

    assert len(receiver.taken) == 2


def test_it_connects_again_after_the_receiver_was_started_again() -> None:
    lines = lines_of(*[failed_connect()] * 3)
    with otlp_receiver() as before:
        central = sink(before.endpoint)
        central.write(lines[:1])
    with pytest.raises(SinkError, match=r"^(Connection refused|Connection reset by peer|the connection was closed)"):
        central.write(lines[1:])
    with otlp_receiver(port=urlsplit(before.endpoint).port or 0) as after:
        assert bring(central, lines[1:]) == []

    assert (sequences(before), sequences(after)) == ([1], [2, 3])


# hostile, and silent

HOSTILE = (
    '"}}\n{"event":{"action":"connect"}}',
    "\x1b[2J\x07\u202e\u2028\x00",
    "'; DROP TABLE logs; --${jndi:ldap://127.0.0.1/a}",
    "\U0001f4a3" * 512,
    "",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_client_chose_arrives_as_it_stands_in_the_record(receiver: OtlpReceiver, text: str) -> None:
    event = refused_password(mqtt=MqttPart(client_id=text, topic=text), user=UserPart(name=text))
    (line,) = lines_of(event)
    sink(receiver.endpoint).write([line])

    named = attributes(receiver.taken[0].attributes)
    record = orjson.loads(line)
    assert named["mqtt.client_id"] == named["mqtt.topic"] == record["mqtt"]["client_id"]
    assert named["user.name"] == record["user"]["name"]
    assert named["event.action"] == "connect"


def test_no_output_and_no_error_holds_a_header(
    receiver: OtlpReceiver, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    (tmp_path / "headers").write_text(f"Authorization: {TOKEN}\n")
    central = sink(receiver.endpoint, headers_file=tmp_path / "headers")
    receiver.answers.extend([Answer(401, TOKEN.encode()), Answer(400, TOKEN.encode()), Answer(503)])
    said = [*bring(central, lines_of(failed_connect(), failed_connect())), repr(central), repr(central._session)]
    central.close()

    assert "it answered HTTP 401 Unauthorized; see headers_file" in said
    assert "secret" not in "".join([*said, *capfd.readouterr(), caplog.text])
