"""The first packet of a device: CONNECT with all that it may hold."""

from __future__ import annotations

import struct
from typing import Final

MQTT_3_1_1: Final = 4
MQTT_5_0: Final = 5
_CLEAN, _WILL, _PASSWORD, _USER_NAME = 0x02, 0x04, 0x40, 0x80


def connect_packet(
    client_id: str,
    credentials: tuple[str, str] | None = None,
    *,
    keep_alive: int = 60,
    clean_session: bool = True,
    will_topic: str | None = None,
    level: int = MQTT_3_1_1,
) -> bytes:
    """Return a CONNECT (MQTT 3.1.1, 3.1; MQTT 5.0, 3.1) of at most 127 bytes after its header.

    Args:
        client_id: The client id.
        credentials: User name and password, if it says any.
        keep_alive: Seconds.
        clean_session: Whether it begins without what was kept for it.
        will_topic: Where its will is to be published, if it leaves one.
        level: The protocol level, 4 or 5.
    """
    flags = (
        (_CLEAN if clean_session else 0) | (_WILL if will_topic else 0) | (_USER_NAME | _PASSWORD if credentials else 0)
    )
    properties = b"\x00" if level == MQTT_5_0 else b""
    will = (properties + _text(will_topic) + _text("gone")) if will_topic else b""
    said = b"".join(map(_text, credentials or ()))
    header = _text("MQTT") + struct.pack(">BBH", level, flags, keep_alive)
    body = header + properties + _text(client_id) + will + said
    return bytes((0x10, len(body))) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2) + data
