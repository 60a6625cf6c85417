"""The settings of the log: its file, what is promised of it, who is named in it, and where else records go.

Each attribute's docstring is what the configuration reference prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from doorlog.settings.base import Setting


class FileLogSettings(Setting):
    """The log file: one that grows, and closed segments beside it, compressed with zstd."""

    path: Path
    """JSON lines are appended here; folders are created."""
    rotate_bytes: Annotated[int, Field(ge=0)] = 134_217_728
    """The file becomes a closed segment when it has so many bytes; 0 for never."""
    rotate_hours: Annotated[float, Field(ge=0)] = 24.0
    """And when its first record is so many hours old; 0 for never."""
    compress: bool = True
    """Whether closed segments are compressed (``.jsonl.zst``, about a twentieth of the size)."""
    keep_bytes: Annotated[int, Field(ge=65_536)] | None = None
    """The oldest closed segments are deleted when all together have more bytes than this; without it, never."""
    keep_days: Annotated[float, Field(gt=0)] | None = None
    """Closed segments are deleted when their last record is so many days old; without it, never."""


class CheckpointSettings(Setting):
    """Records that vouch for all records before them, see docs/log.md."""

    keyfile: Path | None = None
    """PEM file with an Ed25519 private key that signs them; read again at SIGHUP."""
    records: Annotated[int, Field(ge=10)] = 10_000
    """There is one after so many records, and at the end of each segment."""
    seconds: Annotated[float, Field(ge=1)] = 600.0
    """And after so many seconds in which something was recorded."""


class FloodSettings(Setting):
    """Repeats of one failure are counted instead of recorded one by one."""

    enabled: bool | None = None
    """Without it: in every mode but ``strict``."""
    after: Annotated[int, Field(ge=1)] = 100
    """So many failures of one device or source with the same code have records of their own in each window."""
    window: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """Seconds; at its end, the rest is one ``flood`` record."""


Privacy = Literal["plain", "hmac", "omit"]


class PrivacySettings(Setting):
    """Who is named in the log. ``hmac`` puts a keyed pseudonym (HMAC-SHA-256) in place of a name."""

    user_name: Privacy = "plain"
    """``user.name``."""
    client_id: Privacy = "plain"
    """``mqtt.client_id``, and the device's id where it comes from there."""
    address: Privacy = "plain"
    """``source.ip``; a pseudonym stands in ``source.address``, since it is no address."""
    certificate_name: Privacy = "plain"
    """Subject and alternative names of client certificates."""
    keyfile: Path | None = None
    """File with the key of the pseudonyms, at least 32 bytes; read again at SIGHUP."""

    @model_validator(mode="after")
    def _consistent(self) -> PrivacySettings:
        if self.keyfile is None and "hmac" in (self.user_name, self.client_id, self.address, self.certificate_name):
            raise ValueError("hmac needs keyfile: make one with openssl rand -out privacy.key 32")
        return self

    @property
    def hidden(self) -> tuple[str, ...]:
        """The names that are not plain."""
        names = ("user_name", "client_id", "address", "certificate_name")
        return tuple(name for name in names if getattr(self, name) != "plain")


class SinkSettings(Setting):
    """Another place that records go to. All other keys are those of its type, see below."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    type: str
    """``syslog``, ``otlp``, ``mqtt``, ``nats``, or what an installed package brings."""
    buffer: Literal["memory", "file"] | None = None
    """What waits while the sink can not be reached stands in memory, or is read from the log file again, across
    restarts of the broker too; without it, as suits its type."""
    queue_bytes: Annotated[int, Field(ge=65_536)] = 4_194_304
    """How much may wait in memory; what comes on top is dropped for this sink, and counted."""

    @property
    def options(self) -> dict[str, Any]:
        """The keys of its type."""
        return dict(self.model_extra or {})


SinkName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class LogSettings(Setting):
    """Where records go, and what is promised of them."""

    mode: Literal["best_effort", "durable", "strict"] = "durable"
    """``best_effort`` never waits; ``durable`` is on disk within 500 ms, and accepts fewer connections rather than
    lose a record; ``strict`` lets no verdict out before its record is on disk."""
    on_error: Literal["refuse", "continue", "stop"] | None = None
    """While the file can not be written: nobody is admitted, all goes on, or the broker stops. Without it: ``refuse``
    in ``strict``, ``continue`` otherwise."""
    queue_records: Annotated[int, Field(ge=100)] = 20_000
    """How many events may wait in memory to be written."""
    file: FileLogSettings | None = None
    """The JSON-lines file."""
    stdout: bool = False
    """JSON lines on standard output, for containers."""
    console: Literal["auto", "always", "never"] = "auto"
    """A readable line for each record on standard error: on a terminal, always or never."""
    checkpoint: CheckpointSettings = CheckpointSettings()
    """Records that vouch for all records before them."""
    flood: FloodSettings = FloodSettings()
    """Repeats of one failure are counted instead of recorded one by one."""
    privacy: PrivacySettings = PrivacySettings()
    """Who is named in the log."""
    sinks: dict[SinkName, SinkSettings] = Field(default_factory=dict)
    """More places that records go to, by a name of yours."""

    @model_validator(mode="after")
    def _consistent(self) -> LogSettings:
        if self.mode == "strict" and self.file is None:
            raise ValueError("mode: strict needs file: only a file can be known to be on disk")
        if self.mode == "strict" and self.on_error == "continue":
            raise ValueError("mode: strict admits nobody without a record: on_error: continue would")
        return self

    @property
    def reaction(self) -> Literal["refuse", "continue", "stop"]:
        """What happens while the file can not be written."""
        return self.on_error or ("refuse" if self.mode == "strict" else "continue")

    @property
    def folds(self) -> bool:
        """Whether repeats are folded into ``flood`` records."""
        return self.mode != "strict" if self.flood.enabled is None else self.flood.enabled
