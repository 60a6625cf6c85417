"""What stands around a shipper in a test: the file that it reads, the server that it sends to, and its own files.

The configurations are those of config/shippers with only names of files and of the server replaced.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from support.pki_certificates import CertificateFiles

ROOT = Path(__file__).parent.parent.parent
SHIPPERS = ROOT / "config" / "shippers"
UNPACKED = Path("/opt/syslog-ng/usr")
"""rsyslog and syslog-ng refuse to be installed beside each other: one may be unpacked here instead (see .ci/run)."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that may be installed, and what it needs to run from where it is."""

    path: Path
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def program(name: str) -> Program:
    """Find a program, or skip the test; fail it under DOORLOG_REQUIRE_CLIENTS=1."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if found is not None:
        return Program(Path(found))
    modules = UNPACKED / "lib" / "syslog-ng"
    if name == "syslog-ng" and (UNPACKED / "sbin" / name).exists():
        place = str(max(modules.glob("[0-9]*")))
        return Program(UNPACKED / "sbin" / name, ("--module-path", place), {"LD_LIBRARY_PATH": str(modules)})
    if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{name} is required here, but not installed (see .ci/apt-packages.txt)", pytrace=False)
    pytest.skip(f"{name} is not installed")


def adapted(name: str, replacements: Mapping[str, object]) -> str:
    """Return a configuration with names replaced; each must stand there."""
    text = (SHIPPERS / name).read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text, f"{name} does not say {old}"
        text = text.replace(old, str(new))
    return text


class GrowingLog:
    """A log file as the broker writes it: appended to, renamed when it is full, and begun anew."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "doorlog.jsonl"
        self.written: list[bytes] = []
        self._fd = self._opened()

    def write(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            os.write(self._fd, line)
            self.written.append(line)

    def rename(self, name: str) -> Path:
        """Give the file another name and keep writing to it, as between logrotate's rename and its SIGHUP."""
        return self.path.rename(self.path.with_name(name))

    def reopen(self) -> None:
        """Go on in a new file."""
        os.close(self._fd)
        self._fd = self._opened()

    def close(self) -> None:
        os.close(self._fd)

    def _opened(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


@dataclass(slots=True)
class LogServer:
    """A syslog server over TLS (RFC 5425: each message behind its length) that keeps what it gets."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def lines(self) -> list[bytes]:
        """The records of the messages, each with one line feed as in the file; their headers hold no brace."""
        return [message[message.index(b"{") :].removesuffix(b"\n") + b"\n" for message in self.messages]

    async def wait_for(self, count: int) -> None:
        """Wait until so many messages have come."""
        try:
            async with asyncio.timeout(20), self._news:
                await self._news.wait_for(lambda: len(self.messages) >= count)
        except TimeoutError:
            raise AssertionError(f"{len(self.messages)} of {count} messages came") from None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while length := await reader.readuntil(b" "):
                message = await reader.readexactly(int(length))
                async with self._news:
                    self.messages.append(message)
                    self._news.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def log_server(certificate: CertificateFiles) -> AsyncIterator[LogServer]:
    """Run a syslog server on 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certfile, certificate.keyfile)
    server = LogServer()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
