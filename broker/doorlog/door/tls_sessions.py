"""Which TLS sessions devices are given to resume, so that a ClientHello which offers one tells whose it was.

OpenSSL either seals a session in a ticket, of which ``ssl`` tells nothing, or keeps it and gives its id away. That id
is what the client offers later: as session id in TLS 1.2 (RFC 5246, 7.4.1.2), as identity of a pre-shared key in
TLS 1.3 (RFC 8446, 4.2.11). OpenSSL forgets a session whose connection ends without our close_notify.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

LIFETIME: Final = 7200.0
"""Seconds for which OpenSSL keeps a session."""
BYTES_WITH_CERTIFICATES: Final = 3 << 20
"""Bytes of handshakes whose sessions are kept with a client's certificates, per ``LIFETIME``: some 2,000 devices.

OpenSSL keeps 20,480 sessions in all, those that were used last. Each takes 0.8 KB, so 17 MB; but with certificates it
takes ten times the bytes of the handshake: 11.6 KB as a rule, so 238 MB, and 320 KB with all that a device can send.
"""


def session_digest(identity: bytes) -> str:
    """Return what stands in records for a session: 16 hexadecimal digits of the SHA-256 of its id or ticket."""
    return sha256(identity).hexdigest()[:16]


class SessionKeeper:
    """Decides for each connection of a context whether its session is kept, or sealed in a ticket.

    Args:
        context: Of a server.
        clock: Seconds that only ever grow.
    """

    __slots__ = ("_clock", "_context", "_keeps", "_left", "_since")

    def __init__(self, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._since = clock()
        self._left = BYTES_WITH_CERTIFICATES
        self._keeps = True
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 1  # one resumes as well as OpenSSL's two, and is the one that the id is of

    def begin(self) -> bool:
        """Prepare the context for its next connection.

        Returns:
            Whether the session of that connection is kept, and known by its id.
        """
        now = self._clock()
        if now - self._since >= LIFETIME:
            self._since, self._left = now, BYTES_WITH_CERTIFICATES
        keeps = self._left > 0
        if keeps is not self._keeps:  # OpenSSL copies the options when a connection begins
            self._keeps = keeps
            self._context.options ^= ssl.OP_NO_TICKET
        return keeps

    def keep_certificates(self, received: int) -> None:
        """Take note of a session that is kept with the client's certificates.

        Args:
            received: Bytes of the client's handshake: the certificates, and little else.
        """
        self._left -= received
