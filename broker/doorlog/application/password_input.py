"""A password from a person or from a pipe; never from an argument, which every user of the machine could read."""

from __future__ import annotations

from getpass import getpass
from typing import TextIO

from doorlog.passwords import MAX_BYTES


def read_password(stdin: TextIO) -> str:
    """Ask twice without echo on a terminal, or read one line.

    Args:
        stdin: Standard input.

    Returns:
        The password, without the end of its line.

    Raises:
        ValueError: If the two are not the same, or the line is no UTF-8 or too long.
    """
    if not stdin.isatty():
        return _line(stdin)
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise ValueError("the two passwords are not the same: nothing was changed")
    return password


def _line(stdin: TextIO) -> str:
    line = stdin.buffer.readline(MAX_BYTES + 3)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("the password on standard input is not UTF-8: nothing was changed") from None
    if not text.endswith("\n") and len(line) > MAX_BYTES:
        raise ValueError(f"the password on standard input is longer than {MAX_BYTES} bytes: nothing was changed")
    return text.removesuffix("\n").removesuffix("\r")
