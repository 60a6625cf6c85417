"""The keys of the sink, and what becomes of records that a receiver takes, refuses or ignores."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult

from doorlog.errors import SettingsError, SinkError
from doorlog.log import otlp_sink
from doorlog.log.otlp_sink import OtlpSettings, OtlpSink
from doorlog.log.registry import sink_class, sink_settings
from doorlog.log.sink import SinkContext
from support.otlp_receiver import Answer, OtlpReceiver, otlp_receiver, rejecting
from support.pki import Pki
from support.ports import free_port

CONTEXT = SinkContext("central", "doorlog", "this one", "1")
HTTP, HTTPS = "http://127.0.0.1:4318/v1/logs", "https://otel.example.com/v1/logs"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def sink(receiver: OtlpReceiver | str, **keys: Any) -> OtlpSink:
    endpoint = receiver if isinstance(receiver, str) else receiver.endpoint
    return OtlpSink(OtlpSettings(endpoint=endpoint, **keys), CONTEXT)


def lines(*bodies: object) -> list[bytes]:
    return [b'{"message":"%s"}\n' % str(body).encode() for body in bodies]


# keys


def test_it_is_registered_and_waits_in_memory() -> None:
    assert sink_class("log.sinks.central", "otlp").__name__ == "OtlpSink"
    assert OtlpSink.buffer == "memory"
    assert sink_settings("log.sinks.central", "otlp", {"endpoint": HTTP}) == OtlpSettings(endpoint=HTTP)


@pytest.mark.parametrize(
    "endpoint",
    [
        HTTP,
        HTTPS,
        "http://localhost/otlp",
        "https://[2001:db8::1]:4318/v1/logs",
        "https://otel.example.com/otlp/v1/logs",
    ],
)
def test_an_endpoint_is_a_whole_address(endpoint: str) -> None:
    assert OtlpSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({}, "endpoint: is missing"),
        *(
            ({"endpoint": wrong}, f"endpoint: expected a whole address, as in {HTTP}")
            for wrong in (
                "",
                "127.0.0.1:4318",
                "http://127.0.0.1:4318",
                "http://127.0.0.1:4318/",
                "http:///v1/logs",
                "grpc://127.0.0.1:4317/v1/logs",
                "http://127.0.0.1:port/v1/logs",
                "http://127.0.0.1:99999/v1/logs",
                "http://127.0.0.1:0/v1/logs",
                "http://[::1/v1/logs",
                "http://127.0.0.1/v1 /logs",
                "http://127.0.0.1/v1\n/logs",
                "http://b\u00fccher.example/v1/logs",
            )
        ),
        *(
            ({"endpoint": wrong}, "endpoint: an address without user, ? or #: what is secret belongs into headers_file")
            for wrong in (
                "https://me:secret@otel.example.com/v1/logs",
                "https://@otel.example.com/v1/logs",
                "https://otel.example.com/v1/logs?key=secret",
                "https://otel.example.com/v1/logs#secret",
            )
        ),
        ({"endpoint": HTTP, "cafile": "ca.pem"}, "cafile, certfile and keyfile are for https:// only"),
        ({"endpoint": HTTPS, "certfile": "c.pem"}, "certfile and keyfile belong together"),
        (
            {"endpoint": "http://otel.example.com/v1/logs", "headers_file": "h"},
            "headers_file: its secrets would cross the network in the clear: use https://",
        ),
        ({"endpoint": HTTP, "compression": "zstd"}, "compression: Input should be 'none' or 'gzip'"),
        ({"endpoint": HTTP, "timeout": 0}, "timeout: Input should be greater than or equal to 0.1"),
        ({"endpoint": HTTP, "headers": {"Authorization": "secret"}}, "headers: unknown key"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_right(keys: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as error:
        sink_settings("log.sinks.central", "otlp", keys)

    assert str(error.value).removeprefix("log.sinks.central").lstrip(".: ") == fault
    assert "secret@" not in str(error.value)


# files


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"cafile": "absent.pem"}, "cafile {}/absent.pem: No such file or directory"),
        ({"cafile": "text.pem"}, "cafile {}/text.pem: "),
        ({"certfile": "text.pem", "keyfile": "text.pem"}, "certfile {0}/text.pem, keyfile {0}/text.pem: "),
        ({"headers_file": "absent"}, "headers_file {}/absent: No such file or directory"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_at_once(tmp_path: Path, keys: dict[str, str], fault: str) -> None:
    (tmp_path / "text.pem").write_text("no PEM")
    with pytest.raises(SinkError) as error:
        sink(HTTPS, **{key: tmp_path / name for key, name in keys.items()})

    assert str(error.value).startswith(fault.format(tmp_path))


def test_an_encrypted_key_asks_nobody(pki: Pki, tmp_path: Path) -> None:
    files = pki.client()
    locked = tmp_path / "locked.key"
    secret = BestAvailableEncryption(b"wonderland")
    locked.write_bytes(files.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))

    with pytest.raises(SinkError, match=f"^certfile {files.certfile}, keyfile {locked}: [a-z0-9 ]+$"):
        sink(HTTPS, certfile=files.certfile, keyfile=locked)


def test_without_cafile_the_operating_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Paths:
        cafile, capath = None, "/etc/ssl/certs"

    monkeypatch.setattr("ssl.get_default_verify_paths", Paths)
    assert otlp_sink._system_authorities() == "/etc/ssl/certs"
    monkeypatch.setattr(Paths, "capath", None)
    assert otlp_sink._system_authorities() is True


# what becomes of records


def test_records_arrive_in_order() -> None:
    with otlp_receiver() as receiver:
        central = sink(receiver)
        central.write(lines(*range(300)))
        central.write(lines("last"))
        central.close()

    assert central.name == f"otlp {receiver.endpoint}"
    assert receiver.bodies == [*map(str, range(300)), "last"]
    assert len(receiver.got) == 2


def test_only_what_is_refused_is_left_out_and_counted() -> None:
    with otlp_receiver() as receiver:
        receiver.poison = "7"
        with pytest.raises(SinkError, match=r"^it refused records for good: HTTP 400 Bad Request$") as error:
            sink(receiver).write(lines(*range(16)))

    assert (error.value.lost, error.value.retry) == (1, False)
    assert receiver.bodies == [str(number) for number in range(16) if number != 7]
    assert len(receiver.got) == 9


def test_what_was_refused_before_a_breakdown_is_told_afterwards() -> None:
    with otlp_receiver() as receiver:
        central = sink(receiver)
        receiver.answers.extend([Answer(400), Answer(400), Answer(503)])
        with pytest.raises(SinkError, match=r"503") as broken:
            central.write(lines("poison", "b"))
        with pytest.raises(SinkError, match=r"^it rejected records$") as told:
            central.write(lines("b"))
        central.write(lines("c"))

    assert (broken.value.lost, broken.value.retry) == (1, True)
    assert (told.value.lost, told.value.retry) == (1, False)
    assert receiver.bodies == ["b", "c"]


def test_a_partial_success_is_not_brought_again() -> None:
    with otlp_receiver() as receiver:
        receiver.answers.append(Answer(200, rejecting(99)))
        with pytest.raises(SinkError, match=r"^it rejected records$") as error:
            sink(receiver).write(lines("a", "b", "c"))

    assert (error.value.lost, error.value.retry) == (3, False)


def test_a_receiver_that_takes_its_time_to_refuse_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(OTLPLogExporter, "export", lambda *_: LogRecordExportResult.FAILURE)
    with pytest.raises(SinkError, match=r"^records that can not be put into OTLP, and takes too long") as error:
        sink(HTTP).write(lines(*range(64)))

    assert (error.value.lost, error.value.retry) == (64, True)


def test_what_can_not_be_put_into_otlp_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.http._log_exporter.encode_logs", lambda _: None)
    with pytest.raises(SinkError, match=r"^records that can not be put into OTLP$") as error:
        sink(HTTP).write(lines("a", "b"))

    assert (error.value.lost, error.value.retry) == (2, False)


# silence


def test_the_libraries_say_nothing_of_our_exports_and_go_on_with_those_of_others(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = f"http://127.0.0.1:{free_port()}/v1/logs"
    central = sink(endpoint)
    with pytest.raises(SinkError, match=r"^Connection refused$"):
        central.write(lines("a"))
    central.close()
    central.close()
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))

    logging.getLogger("opentelemetry.exporter.otlp.proto.http._log_exporter").error("somebody else's")
    assert [record.message for record in caplog.records] == ["somebody else's"]
