"""What truly happened, for each connection attempt: the file that a log can be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson


@dataclass(frozen=True, slots=True)
class Truth:
    """One connection attempt.

    Attributes:
        connection_id: As in the log.
        time: Simulated, UTC.
        device: Who it was; None for a stranger.
        what: ``admitted``, ``refuses`` (the device turned our chain down), ``refused`` (we turned it down), or the
            errand of a stranger.
        address: Where it came from.
        profile: The TLS client.
    """

    connection_id: str
    time: datetime
    device: str | None
    what: str
    address: str
    profile: str | None = None

    def line(self) -> bytes:
        """Return it as a line of JSON."""
        plain = {
            "@timestamp": self.time,
            "connection_id": self.connection_id,
            "device": self.device,
            "what": self.what,
            "address": self.address,
            "profile": self.profile,
        }
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
