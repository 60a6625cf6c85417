"""openssl s_client: a tunnel with every knob, for a login and for offers that no other stack can be talked into."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from support.clients.base import Client, judged
from support.clients.connack import CONNACK
from support.packets import DISCONNECT
from support.processes import talk

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login

REASONS = (
    r"verify error:num=\d+:(.*)",
    r"error:[0-9A-F]{8}:[^:]*:[^:]*:([^:]*)",
    r"(connect:errno=\d+)",
)

EXOTIC = MappingProxyType(
    {
        # a server that begins at TLS 1.2: alert 70
        "tls_1_1_only": ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
        # alert 40, "no shared cipher"
        "cipher_1_2": ("-tls1_2", "-cipher", "ECDHE-ECDSA-CAMELLIA128-SHA256"),
        "cipher_1_3": ("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"),
        # alert 40; OpenSSL calls it "no shared cipher" in 1.2, "no suitable key share" in 1.3. In 1.3 the server must
        # have been told its groups: OpenSSL 3.0 accepts by default all that its own client can offer
        "group_1_2": ("-tls1_2", "-groups", "secp224r1"),
        "group_1_3": ("-tls1_3", "-groups", "ffdhe8192"),
        # alert 40; "no shared signature algorithms" in 1.2 (with ed25519 there it would be "no shared cipher"),
        # "no suitable signature algorithm" in 1.3
        "signature_1_2": ("-tls1_2", "-sigalgs", "ECDSA+SHA1:RSA+SHA1", "-cipher", "DEFAULT@SECLEVEL=0"),
        "signature_1_3": ("-tls1_3", "-sigalgs", "ed25519"),
        # a server that has ALPN protocols, none of them h2: alert 120
        "alpn": ("-alpn", "h2"),
        # a server that could do better than 1.2: alert 86, "inappropriate fallback"
        "fallback": ("-tls1_2", "-fallback_scsv"),
    }
)
"""Options of offers that a server must refuse, and what `openssl s_server` 3.0 (ECDSA certificate) makes of them."""


class OpenSslClient(Client):
    """Sends a raw CONNECT through the tunnel, reads CONNACK, disconnects.

    Args:
        extra: further options of s_client, for example one of `EXOTIC`.
    """

    name = "openssl s_client"
    plain = False
    programs = ("openssl",)

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self.extra = extra

    async def _attempt(self, login: Login) -> ClientResult:
        finished, connack = await talk(
            [*_arguments(login), *self.extra],
            say=login.connect_packet,
            until=CONNACK,
            then=DISCONNECT,
            patience=login.timeout,
        )
        found = (re.search(reason, finished.output) for reason in REASONS)
        said = (match[1].strip() for match in found if match is not None)
        return judged(finished, None if connack is None else connack[2][0], said)


def _arguments(login: Login) -> list[str]:
    where = ["-connect", str(login.target), "-servername", login.hostname, "-verify_hostname", login.hostname]
    options = ["openssl", "s_client", *where, "-verify_return_error", "-brief", "-ign_eof", "-nocommands"]
    if login.cafile is not None:
        options += ["-CAfile", str(login.cafile), "-no-CApath", "-no-CAstore"]
    if login.certfile is not None:
        key = str(login.keyfile or login.certfile)
        options += ["-cert", str(login.certfile), "-cert_chain", str(login.certfile), "-key", key]
    if login.tls_version is not None:
        options += [f"-tls{login.tls_version.replace('.', '_')}"]
    return options
