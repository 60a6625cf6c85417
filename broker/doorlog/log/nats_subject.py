"""The subject of a record in NATS: ``doorlog.INSTANCE.DEVICE``, whatever a device calls itself.

A client chooses its client id, and subjects have a syntax: dots part tokens, ``*`` and ``>`` are wildcards, white space
ends them. So each token is encoded: letters, digits, ``-`` and ``_`` stand for themselves, every other byte of UTF-8 is
``=`` and two hexadecimal digits, and what gets too long ends in ``==`` and a hash. Two names never share a token, but
for a collision of SHA-256 (128 bits of it), and ``_`` alone is no name: it stands where there is no device.

A stream remembers every subject that it has seen. Who fails to log in with ever new client ids could fill the servers'
memory, so only so many unproven names get a subject of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

NO_DEVICE: Final = "_"
TOKEN_LIMIT: Final = 96
"""Characters of a token."""
_HASH_DIGITS: Final = 32
_ENCODED: Final = re.compile(rb"[^A-Za-z0-9_-]")
_ID: Final = re.compile(r"[!-~]{1,128}")
"""What ``event.id`` may be for it to stand in a header."""


def token(name: str) -> str:
    """Return a name as one token of a subject: never empty, at most 96 characters, another one for another name."""
    data = name.encode("utf-8", "surrogatepass")
    if name in ("", NO_DEVICE):
        return "=" if not name else "=5F"
    text = _ENCODED.sub(lambda match: b"=%02X" % match[0][0], data[: TOKEN_LIMIT + 1]).decode()
    if len(text) <= TOKEN_LIMIT:
        return text
    return f"{text[: TOKEN_LIMIT - _HASH_DIGITS - 2]}=={sha256(data).hexdigest()[:_HASH_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Message:
    """A record on its way.

    Attributes:
        subject: Where it goes.
        id: ``event.id``, by which JetStream knows one that comes again.
        payload: The line without its line feed.
    """

    subject: str
    id: str
    payload: bytes


@dataclass(slots=True)
class Addressing:
    """Finds the subject and the id of each record. For one thread.

    Args:
        prefix: The first tokens of each subject.
        unproven_limit: How many device ids that nobody has proven get a subject of their own; the records of more
            stand under the subject of no device.
    """

    prefix: str
    unproven_limit: int
    _unproven: set[str] = field(default_factory=set, init=False)

    def message(self, line: bytes) -> Message:
        """Return a line as a message; one that is no record of ours has a subject and an id too."""
        payload = line.removesuffix(b"\n")
        try:
            record = orjson.loads(payload)
        except orjson.JSONDecodeError:
            record = None
        name = _text(record, "event", "id")
        if name is None or not _ID.fullmatch(name):
            name = sha256(payload).hexdigest()
        instance = _text(record, "service", "instance", "id")
        instance = token(instance) if instance is not None else NO_DEVICE
        return Message(f"{self.prefix}.{instance}.{self._device(record)}", name, payload)

    def _device(self, record: Any) -> str:
        device = _text(record, "device", "id")
        if device is None:
            return NO_DEVICE
        name = token(device)
        if _text(record, "doorlog", "device", "confidence") == "certain" or name in self._unproven:
            return name
        if len(self._unproven) >= self.unproven_limit:
            return NO_DEVICE
        self._unproven.add(name)
        return name


def _text(record: Any, *keys: str) -> str | None:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record if isinstance(record, str) else None
