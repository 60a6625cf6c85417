"""Keys and kept checkpoints from files, and what is said of files that are something else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from doorlog.errors import LogError
from doorlog.log.chain import line_hash
from doorlog.readers.trusted import read_checkpoints, read_key
from support.chained_logs import ChainedLog, log_key

PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_public_key_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.pub"
    path.write_bytes(log_key().public_key().public_bytes(*PUBLIC))

    assert read_key(path).public_bytes_raw() == log_key().public_key().public_bytes_raw()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_a_key_that_openssl_made_is_read(tmp_path: Path) -> None:
    """As docs/verify.md says it."""
    for command in ("genpkey -algorithm ed25519 -out log.key", "pkey -in log.key -pubout -out log.pub"):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)

    assert len(read_key(tmp_path / "log.pub").public_bytes_raw()) == 32
    with pytest.raises(LogError, match="this is a private key"):
        read_key(tmp_path / "log.key")


def test_what_is_no_such_key_is_told(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*PUBLIC)
    private = log_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data, said in (
        (other, "expected an Ed25519 key, as from: openssl genpkey"),
        (private, "this is a private key, to be kept where the broker runs; give the public one: openssl pkey"),
        (b"hello", "expected a public key in PEM, as from: openssl pkey"),
        (b"", "expected a public key in PEM"),
    ):
        (tmp_path / "key").write_bytes(data)
        with pytest.raises(LogError, match=f"key: {said}"):
            read_key(tmp_path / "key")
    with pytest.raises(LogError, match="can not be read: No such file or directory"):
        read_key(tmp_path / "none")


def test_checkpoints_are_picked_out_of_what_a_sink_wrote(tmp_path: Path) -> None:
    log = ChainedLog(log_key()).start().connect(2).checkpoint().connect(2).checkpoint()
    first, second = log.lines[3], log.lines[6]
    path = tmp_path / "kept.jsonl"
    header = b"<110>1 2026-03-01T15:02:11Z host doorlog - - - "
    path.write_bytes(
        b"".join([*log.lines[:3], header + first, first, b"\n", b"x" * 3_000_000, b"\r\n", second[:-1] + b"\r\n"])
    )

    assert read_checkpoints(path) == {4: {line_hash(first)}, 7: {line_hash(second)}}


def test_checkpoints_that_contradict_each_other_are_both_kept(tmp_path: Path) -> None:
    one, other = (ChainedLog(log_key(number)).start().checkpoint().last for number in (1, 2))
    (tmp_path / "kept.jsonl").write_bytes(one + other)

    assert read_checkpoints(tmp_path / "kept.jsonl") == {2: {line_hash(one), line_hash(other)}}


def test_a_file_without_checkpoints_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl").write_bytes(b"hello\n" + ChainedLog().start().last)

    with pytest.raises(LogError, match=r"kept\.jsonl: holds no audit_checkpoint record"):
        read_checkpoints(tmp_path / "kept.jsonl")
    with pytest.raises(LogError, match="can not be read"):
        read_checkpoints(tmp_path / "none")
