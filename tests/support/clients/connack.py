"""What a CONNACK says, for clients that bring nothing but a tunnel."""

from __future__ import annotations

import re

CONNACK = re.compile(rb"\x20\x02([\x00\x01])([\x00-\xff])", re.DOTALL)
"""Acknowledge flags and return code (MQTT 3.1.1, section 3.2)."""

RETURN_CODES = {
    0: "Connection Accepted",
    1: "Connection Refused, unacceptable protocol version",
    2: "Connection Refused, identifier rejected",
    3: "Connection Refused, Server unavailable",
    4: "Connection Refused, bad user name or password",
    5: "Connection Refused, not authorized",
}
"""MQTT 3.1.1, table 3.1."""


def return_code(output: bytes) -> int | None:
    """Return the return code of the first CONNACK in `output`, None if there is none."""
    match = CONNACK.search(output)
    return None if match is None else match[2][0]


def refusal(code: int) -> str | None:
    """Return what a return code says, None for 0."""
    return RETURN_CODES.get(code, f"return code {code}") if code else None
