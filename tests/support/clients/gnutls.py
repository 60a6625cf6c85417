"""gnutls-cli: GnuTLS, whose alert does not tell apart why it refuses a certificate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.clients.base import Client, judged
from support.clients.connack import CONNACK
from support.packets import DISCONNECT
from support.processes import talk

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login

REASONS = (
    r"Status: (The certificate is NOT trusted\..*)",
    r"\*\*\* Received alert \[\d+\]: (.*)",
    r"\*\*\* Fatal error: (.*)",
    r"(Could not connect.*)",
)


class GnuTlsClient(Client):
    """Sends a raw CONNECT through the tunnel, reads CONNACK, disconnects."""

    name = "gnutls-cli"
    plain = False
    programs = ("gnutls-cli",)

    async def _attempt(self, login: Login) -> ClientResult:
        finished, connack = await talk(
            _arguments(login),
            say=login.connect_packet,
            until=CONNACK,
            then=DISCONNECT,
            patience=login.timeout,
        )
        found = (re.search(reason, finished.output) for reason in REASONS)
        said = (match[1].strip() for match in found if match is not None)
        return judged(finished, None if connack is None else connack[2][0], said)


def _arguments(login: Login) -> list[str]:
    names = ["--sni-hostname", login.hostname, "--verify-hostname", login.hostname]
    options = ["gnutls-cli", "--port", str(login.target.port), *names]
    if login.cafile is not None:
        options += ["--x509cafile", str(login.cafile)]
    if login.certfile is not None:
        key = str(login.keyfile or login.certfile)
        options += ["--x509certfile", str(login.certfile), "--x509keyfile", key]
    if login.tls_version is not None:
        options += ["--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{login.tls_version}"]
    return [*options, login.target.host]
