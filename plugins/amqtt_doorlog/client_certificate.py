"""Client certificates as credentials: TLS has verified the certificate, this says whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from doorlog.embedded.session_attributes import (
    METHOD,
    certificate_subject,
    refuse,
    verified_certificate,
    vouch,
    withdraw,
)
from doorlog.events.codes import Code

_METHOD = "certificate"
_SAN_TYPES = {"san_dns": "DNS", "san_uri": "URI", "san_email": "email"}


class ClientCertificatePlugin(BaseAuthPlugin):
    """Admits devices by the client certificate that the TLS listener has verified.

    The name in the certificate becomes the principal, by which topic rules know the device; a user name
    that a password plugin has verified goes before it. Without TLS or without a certificate, the device is left
    to other plugins. Names are compared exactly, and names with control characters count for nothing.
    """

    @dataclass
    class Config:
        """Where a certificate names the device, and what the name must agree with."""

        identity: Literal["subject_common_name", "san_dns", "san_uri", "san_email", "subject"] = "subject_common_name"
        """Where the name stands; ``subject`` is the whole distinguished name (RFC 4514)."""
        must_match: Literal["client_id", "user_name", "either", "none"] = "none"
        """What CONNECT must repeat; with several names in a certificate, one of them."""
        allowed: list[str] | None = None
        """Patterns of names (``*``, ``?``, ``[a-z]``), one of which must match; without it, every name."""

    async def authenticate(self, *, session: Session) -> bool | None:
        """Judge the certificate.

        Returns:
            None without a verified certificate; else whether its name is one that may come in as this device.
        """
        withdraw(session, _METHOD)
        certificate = verified_certificate(session)
        if certificate is None:
            return None
        names = list(self._names(certificate, session))
        if not names:
            return refuse(session, Code.NOT_AUTHORIZED, f"its certificate has no {self.config.identity}")
        allowed = [name for name in names if self._is_allowed(name)]
        if not allowed:
            return refuse(session, Code.NOT_AUTHORIZED, f"its certificate's {self.config.identity} is not allowed")
        name = next((name for name in allowed if self._agrees(name, session)), None)
        if name is None:
            return refuse(session, Code.NOT_AUTHORIZED, self._disagreement())
        if METHOD not in session.attributes:
            vouch(session, name, _METHOD)
        return True

    def _names(self, certificate: dict[str, Any], session: Session) -> Iterator[str]:
        identity = self.config.identity
        if identity == "subject":
            found = [certificate_subject(session)]
        elif identity == "subject_common_name":
            found = [value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"]
        else:
            kind = _SAN_TYPES[identity]
            found = [value for key, value in certificate.get("subjectAltName", ()) if key == kind]
        return (name for name in found if name and name.isprintable())

    def _is_allowed(self, name: str) -> bool:
        patterns = self.config.allowed
        return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)

    def _agrees(self, name: str, session: Session) -> bool:
        match self.config.must_match:
            case "client_id":
                return name == session.client_id
            case "user_name":
                return name == session.username
            case "either":
                return name in {session.client_id, session.username}
        return True

    def _disagreement(self) -> str:
        other = {"client_id": "the client id", "user_name": "the user name"}.get(
            self.config.must_match, "the client id or the user name"
        )
        return f"its certificate's {self.config.identity} is not {other}"
