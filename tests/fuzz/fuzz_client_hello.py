"""Fuzzes what reads the first bytes of a TLS client: ``python tests/fuzz/fuzz_client_hello.py -runs=20000``.

Arguments are libFuzzer's: ``-max_total_time=600``, a folder to keep what was found worth keeping, a crash to repeat.
"""

from __future__ import annotations

import importlib
import os
import re
import ssl
import sys
import tempfile
from pathlib import Path
from types import FunctionType, ModuleType

from doorlog.door import client_hello, ja4, tls_records
from doorlog.errors import MalformedHello

_JA4 = re.compile(r"t(?:[01][0-3]|s[23]|d[123])[di]\d{4}[0-9A-Za-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")


def one_input(data: bytes) -> None:
    """Read the bytes in every way in which a peer's bytes are read."""
    _read_hello(data)
    _read_hello(b"\1" + len(data).to_bytes(3, "big") + data)
    _watch(data)
    for tls13 in (False, True):
        certificates = tls_records.certificates_of(data, tls13=tls13)
        assert len(certificates) <= tls_records.MAX_CERTIFICATES
        assert all(certificate in data for certificate in certificates)


def _read_hello(message: bytes) -> None:
    try:
        hello = client_hello.parse_client_hello(message)
    except MalformedHello:
        return
    assert hello.cipher_suites
    assert hello.versions
    assert all(hello.alpn)
    if hello.server_name is not None:
        assert 1 <= len(hello.server_name) <= 255
        assert hello.server_name.isascii()
        assert hello.server_name.isprintable()
    assert _JA4.fullmatch(ja4.ja4(hello))


def _watch(stream: bytes) -> None:
    whole = tls_records.RecordObserver()
    whole.feed(stream)
    middle = stream[0] % len(stream) if stream else 0
    halves = tls_records.RecordObserver()
    halves.feed(stream[:middle])
    halves.feed(memoryview(stream)[middle:])
    assert halves == whole
    assert whole.total_bytes == len(stream)
    assert len(whole.handshake_types) <= 32
    if whole.client_hello is not None:
        _read_hello(whole.client_hello)


def _write_seeds(folder: Path) -> None:
    """Begin with what a real client and a real server say."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["mqtt"])
    client = context.wrap_bio(incoming, outgoing, server_hostname="broker.example")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        record = outgoing.read()
    (folder / "record").write_bytes(record)
    (folder / "message").write_bytes(record[5:])
    (folder / "body").write_bytes(record[9:])
    (folder / "alert").write_bytes(record + b"\x14\3\3\0\1\1\x15\3\3\0\2\2\x30")


def _instrument(atheris: ModuleType) -> None:
    for module in (client_hello, ja4, tls_records):
        for value in list(vars(module).values()):
            for function in vars(value).values() if isinstance(value, type) else [value]:
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    atheris.instrument_func(function)


def main() -> None:
    """Hand the arguments to libFuzzer, with the coverage of the parsers alone."""
    atheris = importlib.import_module("atheris")  # only there where fuzzing is done
    with tempfile.TemporaryDirectory() as seeds:
        _write_seeds(Path(seeds))
        child = os.fork()
        if child == 0:
            _instrument(atheris)
            atheris.Setup([*sys.argv, seeds], one_input)
            atheris.Fuzz()  # ends the process without cleaning up
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
