"""Starts the servers that are compared, each in a process and a folder of its own, and ends them."""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.plugins import PASSWORD
from bench.records import RecordReader
from doorlog.certificates.development import create_development_pki
from doorlog.passwords import set_password

ROOT = Path(__file__).resolve().parent.parent
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PATIENCE = 30.0
USER = "device"
CHEAP: Mapping[str, Mapping[str, Any]] = {"bench.plugins.OnePassword": {}}


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the servers serve, and the roots of a client that trusts them and of one that does not."""

    chain: Path
    key: Path
    trusted: Path
    foreign: Path


def make_certificates(folder: Path) -> Certificates:
    now = datetime.now(UTC)
    ours = create_development_pki(folder / "ours", now=now)
    theirs = create_development_pki(folder / "theirs", now=now)
    return Certificates(ours.server_chain, ours.server_key, ours.ca_certificate, theirs.ca_certificate)


@dataclass(frozen=True, slots=True)
class Setup:
    """How to run the servers.

    Attributes:
        folder: For everything.
        certificates: For the TLS listeners.
        argon2: Whether logins are checked against a file of real password hashes.
        limits: doorlog's ``limits``.
        more_listeners: doorlog's, beside ``plain`` and ``tls``.
    """

    folder: Path
    certificates: Certificates
    argon2: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    more_listeners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Server:
    """A server that is running."""

    name: str
    process: subprocess.Popen[str]
    ports: Mapping[str, int]
    folder: Path
    records: RecordReader | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def address(self, listener: str) -> tuple[str, int]:
        return "127.0.0.1", self.ports[listener]

    def stop(self) -> None:
        """End it: politely, and surely."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def available(*, is_thorough: bool = True) -> tuple[str, ...]:
    """Return the names of the servers that can run here; only two of them if it need not be thorough."""
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    names = {
        "mosquitto": is_thorough and MOSQUITTO is not None,
        "amqtt": True,
        "doorlog": is_thorough and has_uvloop,
        "doorlog_asyncio": True,
    }
    return tuple(name for name, is_there in names.items() if is_there)


@contextmanager
def running(setup: Setup, names: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Run servers side by side."""
    with ExitStack() as stack:
        servers = {}
        for name in names:
            servers[name] = _launch(name, setup)
            stack.callback(servers[name].stop)
        for server in servers.values():
            _wait_until_ready(server)
        yield servers


def _launch(name: str, setup: Setup) -> Server:
    folder = setup.folder / f"{name}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    users = _users_file(folder) if setup.argon2 else None
    ports = _free_ports("plain", "tls", *setup.more_listeners)
    match name:
        case "mosquitto":
            argv, records = _mosquitto(setup, folder, ports), None
        case "amqtt":
            argv, records = _amqtt(setup, folder, ports, users), None
        case _:
            argv, records = _doorlog(setup, folder, ports, users), RecordReader(folder / "doorlog.jsonl")
            argv += ["asyncio"] if name == "doorlog_asyncio" else []
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    return Server(name, process, ports, folder, records)


def _doorlog(setup: Setup, folder: Path, ports: Mapping[str, int], users: Path | None) -> list[str]:
    tls = {"certfile": str(setup.certificates.chain), "keyfile": str(setup.certificates.key)}
    bind = {name: {"bind": f"127.0.0.1:{port}"} for name, port in ports.items()}
    bind["tls"]["tls"] = tls  # type: ignore[assignment] # one level deeper than the rest
    settings = {
        "listeners": {name: {**listener, **setup.more_listeners.get(name, {})} for name, listener in bind.items()},
        "auth": {
            "plugins": {"amqtt_doorlog.PasswordFilePlugin": {"password_file": str(users)}} if users else CHEAP,
        },
        "log": {
            "file": {"path": str(folder / "doorlog.jsonl")},
            "console": "never",
            "flood": {"enabled": False},  # each attempt is counted by its own record
        },
        "limits": dict(setup.limits),
    }
    return [sys.executable, "-m", "bench.door", str(_write(folder / "doorlog.yaml", settings))]


def _amqtt(setup: Setup, folder: Path, ports: Mapping[str, int], users: Path | None) -> list[str]:
    tls = {"ssl": True, "certfile": str(setup.certificates.chain), "keyfile": str(setup.certificates.key)}
    settings = {
        "listeners": {
            "default": {"type": "tcp", "bind": f"127.0.0.1:{ports['plain']}"},
            "tls": {"type": "tcp", "bind": f"127.0.0.1:{ports['tls']}", **tls},
        },
        "plugins": ({"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(users)}} if users else CHEAP),
    }
    return [sys.executable, "-m", "bench.stock", str(_write(folder / "amqtt.json", settings))]


def _mosquitto(setup: Setup, folder: Path, ports: Mapping[str, int]) -> list[str]:
    if MOSQUITTO is None:
        raise FileNotFoundError("mosquitto is not installed")
    passwords = folder / "passwords"
    passwords.write_text(f"{USER}:{_mosquitto_hash(PASSWORD)}\n")
    passwords.chmod(0o600)
    lines = [
        f"user {getpass.getuser()}",
        "log_dest none",
        "allow_anonymous false",
        f"password_file {passwords}",
        f"listener {ports['plain']} 127.0.0.1",
        f"listener {ports['tls']} 127.0.0.1",
        f"certfile {setup.certificates.chain}",
        f"keyfile {setup.certificates.key}",
    ]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    return [MOSQUITTO, "-c", str(folder / "mosquitto.conf")]


def _mosquitto_hash(password: str) -> str:
    """One round of PBKDF2: as cheap a login as mosquitto has."""
    salt, rounds = os.urandom(12), 1
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def _users_file(folder: Path) -> Path:
    path = folder / "users.txt"
    set_password(path, USER, PASSWORD)
    return path


def _write(path: Path, settings: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(settings))  # JSON is YAML too
    return path


def _free_ports(*names: str) -> dict[str, int]:
    """Choose ports that nobody is given by chance: below those of port 0 and of outgoing connections."""
    ports: dict[str, int] = {}
    while len(ports) < len(names):
        with closing(socket.socket()) as held, suppress(OSError):
            port = secrets.choice(range(10_000, 30_000))
            held.bind(("127.0.0.1", port))
            if port not in ports.values():
                ports[names[len(ports)]] = port
    return ports


def _wait_until_ready(server: Server) -> None:
    """Wait for the server's own word where it has one: to ask doorlog's port would be an attempt, and recorded."""
    end = time.monotonic() + PATIENCE
    while not _is_ready(server):
        if server.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{server.name} did not start:\n{(server.folder / 'output.txt').read_text()}")
        time.sleep(0.02)


def _is_ready(server: Server) -> bool:
    if server.records is not None:
        return server.records.count("audit_started") > 0
    if server.name == "amqtt":
        return "ready" in (server.folder / "output.txt").read_text()
    with suppress(OSError), socket.create_connection(server.address("tls"), 1):
        return True
    return False
