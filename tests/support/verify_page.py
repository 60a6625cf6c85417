"""The examples of docs/verify.md: what ``doorlog verify`` says of a small log before and after it was spoiled."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.chained_logs import ChainedLog, log_key
from support.commands import doorlog

if TYPE_CHECKING:
    from collections.abc import Iterator


def examples(folder: Path) -> list[str]:
    """Return each command of the page with what it says.

    Args:
        folder: Empty.
    """
    with working_in(folder):
        log = _write()
        (folder / "kept.jsonl").write_bytes(b"".join(log.lines))
        return [
            _said("--log log --key log.pub"),
            _changed(),
            _without_a_segment(),
            _cut(),
        ]


def _write() -> ChainedLog:
    log = ChainedLog(log_key()).start().connect(40).session().flood(120).rotate()
    log.connect(12).overflow(3, 3).connect(5).rotate().connect(25).stop()
    log.start().connect(3)
    Path("log").mkdir(exist_ok=True)
    log.write(Path("log"))
    pem = log_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("log.pub").write_bytes(pem)
    return log


def _changed() -> str:
    first = min(Path("log").glob("*-*"))
    lines = first.read_bytes().splitlines(keepends=True)
    lines[16] = lines[16].replace(b"unknown_ca", b"expired")
    first.write_bytes(b"".join(lines))
    return _said("--log log --key log.pub")


def _without_a_segment() -> str:
    _write()
    _first, second = sorted(Path("log").glob("*-*"))
    second.unlink()
    return _said("--log log --key log.pub")


def _cut() -> str:
    _write()
    live = Path("log/doorlog.jsonl")
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:20]))
    return _said("--log log --key log.pub --checkpoint kept.jsonl")


def _said(arguments: str) -> str:
    said = doorlog("verify", *arguments.split())
    return "\n".join([f"$ doorlog verify {arguments}", *said.err, *said.out])


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        print("\n\n".join(examples(Path(name))))  # noqa: T201 - to be pasted into the page
