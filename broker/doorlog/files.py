"""Files that are replaced as a whole: whoever reads one sees the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600
"""For its owner alone."""


def replace_file(path: Path, content: bytes, mode: int = PRIVATE, *, keeps_owner: bool = False) -> None:
    """Write a file anew, durably.

    Args:
        path: Where it is, or is to be; its folder exists.
        content: All of it.
        mode: Its permissions.
        keeps_owner: Whether it belongs to whom it belonged, where this process may say so.

    Raises:
        OSError: It can not be written; then it is what it was.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if keeps_owner:
                with suppress(FileNotFoundError, PermissionError):
                    old = path.stat()
                    os.fchown(descriptor, old.st_uid, old.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
