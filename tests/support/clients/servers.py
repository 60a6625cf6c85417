"""Servers that are not ours, to try the clients against and to compare with: mosquitto and openssl s_server."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.clients.base import Target
from support.ports import free_ports
from support.processes import Serving, run, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MOSQUITTO = "/usr/sbin/mosquitto"  # Debian does not put it on everybody's PATH


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A running mosquitto with four listeners; `mtls` requires a client certificate."""

    plain: Target
    tls: Target
    mtls: Target
    wss: Target
    server: Serving


@asynccontextmanager
async def mosquitto(
    folder: Path, *, certfile: Path, keyfile: Path, cafile: Path, users: dict[str, str]
) -> AsyncIterator[Mosquitto]:
    """Run mosquitto on loopback with these users (name to password), its files in `folder`.

    `cafile` is whom it trusts to issue client certificates.
    """
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for name, password in users.items():
        await run(["mosquitto_passwd", "-b", passwords, name, password])
    async with AsyncExitStack() as stack:
        for tries_left in (2, 1, 0):
            ports = free_ports(4)
            config = folder / "mosquitto.conf"
            config.write_text(_config(ports, passwords, certfile, keyfile, cafile))
            try:
                start = serving([MOSQUITTO, "-c", config, "-v"], ready="version .* running", grace=1)
                server = await stack.enter_async_context(start)
                break
            except RuntimeError as error:  # somebody else took one of the ports in the meantime
                if not tries_left or "Address already in use" not in str(error):
                    raise
        plain, tls, mtls, wss = (Target("127.0.0.1", port) for port in ports)
        yield Mosquitto(plain, tls, mtls, wss, server)


def _config(ports: tuple[int, ...], passwords: Path, certfile: Path, keyfile: Path, cafile: Path) -> str:
    plain, tls, mtls, wss = ports
    files = f"certfile {certfile}\nkeyfile {keyfile}\n"
    return (
        f"user root\nallow_anonymous false\npassword_file {passwords}\n"
        f"listener {plain} 127.0.0.1\nlistener {tls} 127.0.0.1\n{files}"
        f"listener {mtls} 127.0.0.1\n{files}cafile {cafile}\nrequire_certificate true\n"
        f"listener {wss} 127.0.0.1\nprotocol websockets\n{files}"
    )


@asynccontextmanager
async def s_server(certfile: Path, keyfile: Path, *extra: str) -> AsyncIterator[tuple[Target, Serving]]:
    """Run `openssl s_server` on a port of the kernel's choice, with the options `extra`."""
    files: list[str | Path] = ["-cert", certfile, "-cert_chain", certfile, "-key", keyfile]
    argv: list[str | Path] = ["openssl", "s_server", "-accept", "127.0.0.1:0", *files, *extra]
    async with serving(argv, ready=r"ACCEPT 127\.0\.0\.1:(\d+)") as server:
        yield Target("127.0.0.1", int(server.ready[1])), server
