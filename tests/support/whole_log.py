"""Reads a log back as an auditor would, with nothing of doorlog's own: chain, order, and the numbers of each run."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Any

import orjson
import zstandard

if TYPE_CHECKING:
    from pathlib import Path

Record = dict[str, Any]


def read_log(live: Path) -> list[Record]:
    """Return all records of a log, closed segments first; fail where the chain or the order is broken."""
    closed = sorted(path for path in live.parent.glob(f"{live.stem}-*") if ".partial" not in path.name)
    once = {path.name.removesuffix(".zst"): path for path in reversed(closed)}  # twice: a crash while compressing
    files = [once[name] for name in sorted(once, key=lambda name: name.rpartition("-")[2])]  # by first sequence
    lines = [line for path in (*files, live) for line in whole_lines(path)]
    return check_chain(lines)


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file without their ends; one that is not whole at the end is left out."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.split(b"\n")[:-1]


def check_chain(lines: list[bytes]) -> list[Record]:
    """Each line holds the hash of the one before, each sequence is one more; overflow gaps jump as they say."""
    records = [orjson.loads(line) for line in lines]
    previous, sequence = "0" * 64, 0
    for line, record in zip(lines, records, strict=True):
        gap = record["doorlog"].get("gap", {})
        if record["doorlog"]["previous_sha256"] != previous:
            assert gap["after_sha256"] == previous, record
        if gap.get("records"):
            assert gap["first_sequence"] == sequence + 1
            sequence = gap["last_sequence"]
        assert record["event"]["sequence"] == sequence + 1, record
        previous, sequence = hashlib.sha256(line).hexdigest(), sequence + 1
    return records


def of_action(records: list[Record], action: str, code: str | None = None) -> list[Record]:
    """Return the records of an action, of one code if it is given."""
    return [r for r in records if r["event"]["action"] == action and code in (None, r["event"].get("code"))]


def check_numbers(records: list[Record]) -> None:
    """The last run, which ended in good order: every accepted socket is accounted for."""
    start = max(index for index, record in enumerate(records) if record["event"]["action"] == "audit_started")
    (stopped,) = of_action(records[start:], "audit_stopped")
    audit = stopped["doorlog"]["audit"]
    folded = sum(
        r["doorlog"]["flood"]["count"]
        for r in of_action(records[start:], "flood")
        if r["doorlog"]["flood"]["action"] == "connect"
    )
    assert audit["connects"] == len(of_action(records[start:], "connect"))
    assert audit.get("folded", 0) == folded
    assert audit["accepted"] == audit["connects"] + folded + audit.get("lost", 0)
