"""``doorlog verify`` over files: segments in order, compressed ones, torn and damaged ones, and what is no log."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorlog.errors import SettingsError
from doorlog.log.segments import open_segment, segments
from doorlog.readers import verify as verify_module
from doorlog.readers.verify import load_checkpoints, load_keys, verify_log
from support.audited import make_key, write_log


def log_of_segments(folder: Path) -> Path:
    """A log of some segments, some of them compressed."""
    log = folder / "doorlog.jsonl"
    for _ in range(2):
        write_log(log, file={"path": log, "rotate_bytes": 30_000, "rotate_hours": 0}, connects=60)
    assert len(segments(log)) > 3
    return log


def test_a_log_of_many_segments_is_whole_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    log = log_of_segments(tmp_path)
    told: list[str] = []
    report = verify_log(log, on_progress=lambda name, _records: told.append(name))
    assert report.is_whole
    assert report.files == len(segments(log))
    assert verify_log(tmp_path).records == report.records
    assert told[-1] == "doorlog.jsonl"


def test_blocks_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "doorlog.jsonl")
    whole = verify_log(tmp_path)
    monkeypatch.setattr(verify_module, "BLOCK", 97)
    assert verify_log(tmp_path) == whole


def test_a_segment_that_is_missing_is_missed(tmp_path: Path) -> None:
    log = log_of_segments(tmp_path)
    segments(log)[1].unlink()
    fault = verify_log(log).fault
    assert fault is not None
    assert (fault.kind, fault.line) == ("removed", 1)


def test_a_live_file_may_end_in_a_record_that_is_not_whole_yet(tmp_path: Path) -> None:
    log = log_of_segments(tmp_path)
    with log.open("ab") as file:
        file.write(b'{"half')
    report = verify_log(log)
    assert report.is_whole
    assert report.notes == ["doorlog.jsonl ends with 6 bytes of a record that is not whole yet"]


def test_a_closed_segment_may_not(tmp_path: Path) -> None:
    log = log_of_segments(tmp_path)
    first = segments(log)[0]
    with open_segment(first) as file:
        data = file.read()
    first.unlink()
    first.with_name(first.name.removesuffix(".zst")).write_bytes(data[:-5])
    fault = verify_log(log).fault
    assert fault is not None
    assert fault.kind == "torn"


@pytest.mark.parametrize("cut", [False, True])
def test_a_compressed_segment_that_was_changed_or_cut_is_damaged(tmp_path: Path, cut: bool) -> None:
    log = log_of_segments(tmp_path)
    for segment in segments(log)[:-1]:
        if segment.suffix == ".zst":
            break
    else:
        pytest.fail("no compressed segment")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data[: len(data) // 2] if cut else data)
    fault = verify_log(log).fault
    assert fault is not None
    assert fault.kind in ("damaged", "torn", "changed")


def test_what_logrotate_has_compressed_is_read(tmp_path: Path) -> None:
    log = tmp_path / "doorlog.jsonl"
    write_log(log)
    (tmp_path / "doorlog.jsonl.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    assert verify_log(log).is_whole


def test_a_line_without_end_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "LONGEST_LINE", 1_000)
    (tmp_path / "doorlog.jsonl").write_bytes(b"x" * 300_000)
    fault = verify_log(tmp_path).fault
    assert fault is not None
    assert fault.sentence == "has a line of more than 1000 bytes"


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify_log(tmp_path)


def test_keys_are_public_ones_in_pem(tmp_path: Path) -> None:
    key = make_key(tmp_path / "log.key")
    assert len(load_keys([key.with_suffix(".pub")])) == 1
    with pytest.raises(SettingsError, match="is no Ed25519 public key in PEM: make it with openssl pkey"):
        load_keys([key])
    with pytest.raises(SettingsError, match="No such file"):
        load_keys([tmp_path / "nowhere"])


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "other.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SettingsError, match="is no Ed25519 public key"):
        load_keys([tmp_path / "other.pub"])


def test_checkpoints_are_read_from_what_a_sink_wrote(tmp_path: Path) -> None:
    write_log(tmp_path / "doorlog.jsonl")
    assert load_checkpoints(tmp_path / "doorlog.jsonl")
    (tmp_path / "empty").write_bytes(b"nothing\n")
    with pytest.raises(SettingsError, match="holds no audit_checkpoint record"):
        load_checkpoints(tmp_path / "empty")
    with pytest.raises(SettingsError, match="No such file"):
        load_checkpoints(tmp_path / "nowhere")
