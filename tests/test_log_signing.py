"""When a checkpoint is due, and the keys that sign it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from doorlog.errors import SettingsError
from doorlog.log.chain import key_id
from doorlog.log.signing import Checkpoints, load_signing_key
from doorlog.settings.log_models import CheckpointSettings

REMEDY = "make one with openssl genpkey -algorithm ed25519 -out FILE"


def write_key(path: Path, key: Any = None, encryption: Any = None) -> Ed25519PrivateKey:
    key = key or Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    made: Ed25519PrivateKey = key
    return made


def due(checkpoints: Checkpoints) -> tuple[float | None, int]:
    return checkpoints.due_at, checkpoints.records


def test_a_key_that_is_none_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(SettingsError, match=f"log.checkpoint.keyfile: .*key.pem: No such file or directory: {REMEDY}"):
        load_signing_key(path)
    path.write_text("-----BEGIN PRIVATE KEY-----\nrubbish\n")
    with pytest.raises(SettingsError, match="is no unencrypted private key"):
        load_signing_key(path)
    write_key(path, encryption=BestAvailableEncryption(b"secret"))
    with pytest.raises(SettingsError, match="is no unencrypted private key"):
        load_signing_key(path)
    public = Ed25519PrivateKey.generate().public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsError, match="is no unencrypted private key"):
        load_signing_key(path)
    write_key(path, generate_private_key(SECP256R1()))
    with pytest.raises(SettingsError, match="is no Ed25519 key"):
        load_signing_key(path)


def test_a_key_is_read_again_and_a_broken_one_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    first = write_key(path)
    checkpoints = Checkpoints(CheckpointSettings(keyfile=path))
    assert checkpoints.key_id == key_id(first.public_key())
    second = write_key(path)
    checkpoints.reload()
    assert checkpoints.key_id == key_id(second.public_key())
    path.write_text("rubbish")
    with pytest.raises(SettingsError):
        checkpoints.reload()
    assert checkpoints.key_id == key_id(second.public_key())


def test_without_a_key_there_is_none() -> None:
    checkpoints = Checkpoints(CheckpointSettings())
    checkpoints.reload()
    assert (checkpoints.key, checkpoints.key_id) == (None, None)


def test_one_is_due_after_so_many_records_or_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints = Checkpoints(CheckpointSettings(records=10, seconds=60))
    assert checkpoints.due_at is None
    checkpoints.count(1)
    assert checkpoints.due_at == 160.0
    now = 130.0
    checkpoints.count(8)
    assert due(checkpoints) == (160.0, 9)
    checkpoints.count(1)
    assert due(checkpoints) == (0.0, 10)
    checkpoints.made()
    assert due(checkpoints) == (None, 0)
