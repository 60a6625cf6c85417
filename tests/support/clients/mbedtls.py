"""A small C client on mbedTLS 2.28, the stack of many microcontrollers, compiled when first needed."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from support.clients.base import Client, judged
from support.processes import run

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login

SOURCE = Path(__file__).with_name("mbedtls_client.c")
CACHE = Path(__file__).parents[3] / "build" / "clients"
HEADER = Path("/usr/include/mbedtls/ssl.h")
REASONS = (
    r"verification: (.*)",  # "The certificate is not correctly signed by the trusted CA"
    r"received (alert \d+)",
    r"(?:handshake|read|write|connect|cafile|certfile|keyfile): (.*)",
)


class MbedTls(Client):
    """Sends a raw CONNECT through the tunnel, reads CONNACK, disconnects. TLS 1.2 at most, as 2.28 is built.

    Args:
        session: Where the device keeps its TLS session, to resume it.
    """

    name = "mbedTLS"
    plain = False
    tls_versions = ("1.2",)
    programs = ("gcc",)

    def __init__(self, session: Path | None = None) -> None:
        self.session = session

    def available(self) -> str | None:
        """Return None if the client can be compiled, or was."""
        if _binary().exists():
            return None
        if (missing := super().available()) is not None:
            return missing
        return None if HEADER.exists() else f"{HEADER} is missing (see .ci/apt-packages.txt)"

    async def _attempt(self, login: Login) -> ClientResult:
        program = await compiled()
        arguments = [*_arguments(login), *([str(self.session)] if self.session else [])]
        finished = await run([program, *arguments], stdin=login.connect_packet, patience=login.timeout)
        connack = re.search(r"CONNACK (\d+)", finished.output)
        found = (re.search(reason, finished.output) for reason in REASONS)
        said = (match[1].strip() for match in found if match is not None)
        return judged(finished, None if connack is None else int(connack[1]), said)


async def compiled() -> Path:
    """Return the compiled client, compiling it if this source has not been compiled yet; safe in parallel."""
    program = _binary()
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    libraries = ("-lmbedtls", "-lmbedx509", "-lmbedcrypto")
    built = await run(
        ["gcc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", fresh, SOURCE, *libraries], patience=60
    )
    if built.exit_code:
        raise RuntimeError(f"the mbedTLS client does not compile:\n{built.output}")
    fresh.replace(program)
    return program


def _binary() -> Path:
    return CACHE / f"mbedtls_client-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"


def _arguments(login: Login) -> list[str]:
    where = [login.target.host, str(login.target.port), login.hostname, str(login.cafile or "-")]
    if login.certfile is None:
        return where
    return [*where, str(login.certfile), str(login.keyfile or login.certfile)]
