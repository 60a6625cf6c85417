"""Settings of what only this machine can ask, and how an address to bind is written."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final

from pydantic import field_validator

from doorlog.settings.base import Setting

BIND: Final = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>(?:[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*)?)):(?P<port>[0-9]{1,5})"
)


def is_ip(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class LocalSettings(Setting):
    """What only this machine can ask."""

    bind: str
    """``address:port`` of this machine, as in ``127.0.0.1:9883``: nobody else can ask."""

    @field_validator("bind", mode="before")
    @classmethod
    def _bind_is_of_this_machine(cls, value: Any) -> Any:
        match = BIND.fullmatch(value) if isinstance(value, str) else None
        host = (match["v6"] or match["host"]) if match else ""
        if match is None or int(match["port"]) > 65535 or not is_ip(host) or not ip_address(host).is_loopback:
            raise ValueError('expected "127.0.0.1:port": others ask through a proxy of yours that checks who they are')
        return value

    @property
    def address(self) -> tuple[str, int]:
        """The address to bind and the port."""
        match = BIND.fullmatch(self.bind)
        assert match is not None  # noqa: S101 - the validator let it through
        return match["v6"] or match["host"], int(match["port"])


class MonitorSettings(LocalSettings):
    """``/health`` (JSON) and ``/metrics`` (Prometheus) about the log, its sinks and the door."""


class WebSettings(LocalSettings):
    """The page beside the broker, in a process of its own: the log in a browser."""
