"""Disks that are full or broken: a small filesystem of its own, and a broker whose writes fail as a test says."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCE = "failing_disk.c"


@contextmanager
def small_disk(folder: Path, size: str = "512k") -> Iterator[Path]:
    """Mount a filesystem (tmpfs) of a size; skip the test where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "doorlog-test", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1":
            pytest.fail(f"no right to mount: {mounted.stderr.decode()}")
        pytest.skip("no right to mount a filesystem")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def make_read_only(disk: Path) -> None:
    """Mount a disk again so that nothing can be written."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


class Ballast:
    """A file that fills a disk up, until it is thrown off."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def load(self) -> None:
        """Leave no byte free."""
        with self._path.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def drop(self) -> None:
        """Free all of it."""
        self._path.unlink()


class FailingDisk:
    """Makes the writes of a process to its log fail.

    Args:
        folder: For the library and its control file.
        log: The log whose writes fail.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._control = folder / "control"
        self._control.write_text("")
        self._log = log
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler")
        source = Path(__file__).parent / "clients" / _SOURCE
        self._library = folder / "failing_disk.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", self._library, source, "-ldl"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What the process is to be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAILING_LOG": str(self._log),
            "FAILING_CONTROL": str(self._control),
        }

    def fail(self, call: str, number: int) -> None:
        """From now on, a call (``write``, ``fdatasync``) fails with an errno."""
        self._control.write_text(f"{call} {number}")

    def mend(self) -> None:
        """All is well again."""
        self._control.write_text("")
