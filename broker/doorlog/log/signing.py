"""When there is a checkpoint, and the key that signs it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from doorlog.errors import SettingsError
from doorlog.log.chain import key_id

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.settings.log_models import CheckpointSettings

_REMEDY = "make one with openssl genpkey -algorithm ed25519 -out FILE"


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read the key that signs checkpoints.

    Raises:
        SettingsError: It can not be read, or is no unencrypted Ed25519 private key in PEM; with the remedy.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(f"log.checkpoint.keyfile: {path}: {error.strerror}: {_REMEDY}") from error
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise SettingsError(f"log.checkpoint.keyfile: {path} is no unencrypted private key: {_REMEDY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"log.checkpoint.keyfile: {path} is no Ed25519 key: {_REMEDY}")
    return key


class Checkpoints:
    """Tells when the next checkpoint is due. For one thread.

    Args:
        settings: ``log.checkpoint``.

    Attributes:
        key: What signs them, None for nothing.
        records: How many records stand behind the last one.

    Raises:
        SettingsError: The key can not be used.
    """

    def __init__(self, settings: CheckpointSettings) -> None:
        self._settings = settings
        self.key: Ed25519PrivateKey | None = None
        self.records = 0
        self._since = 0.0
        self.reload()

    def reload(self) -> None:
        """Read the key again.

        Raises:
            SettingsError: It can not be used; the one before stays.
        """
        if self._settings.keyfile is not None:
            self.key = load_signing_key(self._settings.keyfile)

    @property
    def key_id(self) -> str | None:
        """The id of the key."""
        return key_id(self.key.public_key()) if self.key is not None else None

    def count(self, records: int) -> None:
        """Count records behind the last checkpoint."""
        if not self.records:
            self._since = time.monotonic()
        self.records += records

    def made(self) -> None:
        """There was one just now."""
        self.records = 0

    @property
    def due_at(self) -> float | None:
        """Monotonic time of the next one; None while there is nothing to vouch for."""
        if not self.records:
            return None
        return 0.0 if self.records >= self._settings.records else self._since + self._settings.seconds
