"""The keys of a syslog sink, and what it sends."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from doorlog.errors import SettingsError, SinkError
from doorlog.log.registry import build_sink, sink_settings
from doorlog.log.sink import SinkContext
from doorlog.log.syslog_sink import SyslogSettings, SyslogSink, tls_context
from support.pki import Pki

CONTEXT = SinkContext(name="central", service_name="my broker", instance_id="broker-1", version="0.1.0")
LINE = b'{"@timestamp":"2026-03-01T15:02:11.250000Z","event":{"action":"connect","outcome":"failure"}}\n'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({}, "log.sinks.x.server: is missing"),
        ({"server": "logs:514"}, 'log.sinks.x.server: expected "udp://HOST:PORT"'),
        ({"server": "udp://logs", "port": 514}, "log.sinks.x.port: unknown key"),
        ({"server": "tcp://logs", "cafile": "ca.pem"}, "are for tls:// only"),
        ({"server": "tls://logs", "keyfile": "key.pem"}, "certfile and keyfile belong together"),
        ({"server": "udp://logs", "facility": "local8"}, "log.sinks.x.facility"),
        ({"server": "udp://logs", "app_name": "two words"}, "log.sinks.x.app_name"),
        ({"server": "udp://logs", "hostname": "h" * 256}, "log.sinks.x.hostname"),
        ({"server": "udp://logs", "max_bytes": 480}, "log.sinks.x.max_bytes"),
        ({"server": "udp://logs", "timeout": 0}, "log.sinks.x.timeout"),
    ],
)
def test_a_wrong_key_is_named(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(fault)):
        sink_settings("log.sinks.x", "syslog", options)


def test_it_is_named_after_its_receiver_and_waits_in_memory() -> None:
    sink = build_sink("log.sinks.x", "syslog", {"server": "udp://[::1]"}, CONTEXT)
    assert isinstance(sink, SyslogSink)
    assert (sink.name, sink.buffer) == ("syslog udp://[::1]:514", "memory")
    sink.close()


def test_without_keys_it_says_who_it_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = SyslogSink(SyslogSettings(server=f"udp://127.0.0.1:{receiver.getsockname()[1]}"), CONTEXT)
        sink.write([LINE])
        sink.close()
        message = receiver.recv(65536).decode()
    head = f"<132>1 2026-03-01T15:02:11.250000Z {socket.gethostname()} my_broker {os.getpid()} connect [meta]"
    assert message.startswith(head)
    assert message.endswith(LINE.decode().rstrip())


def test_over_tcp_a_record_is_never_shortened() -> None:
    line = b'{"message":"' + b"x" * 100_000 + b'"}\n'
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = SyslogSink(SyslogSettings(server=f"tcp://127.0.0.1:{listener.getsockname()[1]}"), CONTEXT)
        sink.write([line])
        accepted, _ = listener.accept()
        with accepted.makefile("rb") as stream, accepted:
            length = int(stream.read(7))
            assert stream.read(length).endswith(line.rstrip())
        sink.close()


# certificates


def tls(**files: Path) -> SyslogSettings:
    return SyslogSettings(server="tls://logs", **files)


def test_files_that_can_not_be_used_are_known_at_once(tmp_path: Path, pki: Pki) -> None:
    good, empty = pki.client(), tmp_path / "empty.pem"
    empty.touch()
    missing = tmp_path / "missing.pem"
    for settings, why in (
        (tls(cafile=missing), f"cafile {missing}: No such file or directory"),
        (tls(cafile=empty), f"cafile {empty}: no certificate or crl found"),
        (tls(certfile=missing, keyfile=missing), f"certfile {missing}, keyfile {missing}: No such file or directory"),
        (tls(certfile=good.certfile, keyfile=pki.server().keyfile), "key values mismatch"),
    ):
        with pytest.raises(SinkError, match=re.escape(why)):
            SyslogSink(settings, CONTEXT)


def test_a_key_with_a_passphrase_asks_nobody_for_it(tmp_path: Path, pki: Pki) -> None:
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(SinkError, match=r"^certfile .*encrypted\.key: "):
        SyslogSink(tls(certfile=pki.client().certfile, keyfile=encrypted), CONTEXT)


def test_without_cafile_the_operating_system_says_whom_to_trust() -> None:
    context = tls_context(tls())
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    SyslogSink(tls(), CONTEXT).close()


def test_with_files_they_are_used(pki: Pki) -> None:
    good = pki.client()
    context = tls_context(tls(cafile=pki.cafile, certfile=good.certfile, keyfile=good.keyfile))
    (root,) = context.get_ca_certs()
    assert "Example Root CA" in str(root["subject"])
