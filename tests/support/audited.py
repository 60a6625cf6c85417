"""Logs to be audited: written by the real log, with a signing key, over several segments and starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from doorlog.events.audit_parts import AuditPart
from doorlog.events.codes import Action
from doorlog.events.records import AuditEvent
from doorlog.events.sentences import message_of
from doorlog.log import open_log
from doorlog.settings.log_models import LogSettings
from support.events import SERVICE, admitted_connect, failed_connect, stopped_audit

if TYPE_CHECKING:
    from pathlib import Path


def make_key(path: Path) -> Path:
    """Write a private key, and its public one beside it as ``.pub``."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


def write_log(path: Path, *, key: Path | None = None, connects: int = 12, **log: Any) -> None:
    """Let one life of a broker write to a log, in good order; its numbers add up."""
    checkpoint = {"records": 10, **({"keyfile": key} if key else {})}
    file = {"path": path, "rotate_hours": 0}  # the events are old
    settings = LogSettings.model_validate({"file": file, "checkpoint": checkpoint, **log})
    with open_log(settings, service=SERVICE, message_of=message_of) as opened:
        accepted = 0

        def count() -> int:
            return accepted

        opened.attach(accepted=count, on_pressure=lambda _high: None, on_failure=lambda _why: None)
        opened.record(_audit(Action.AUDIT_STARTED, 0))
        for number in range(connects):
            accepted += 1
            opened.record(admitted_connect() if number % 3 else failed_connect())
        opened.record(_audit(Action.AUDIT_STOPPED, accepted))


def _audit(action: Action, accepted: int) -> AuditEvent:
    event = stopped_audit()
    return event.model_copy(
        update={
            "event": event.event.model_copy(update={"action": action}),
            "doorlog": event.doorlog.model_copy(update={"audit": AuditPart(accepted=accepted, connects=0)}),
        }
    )
