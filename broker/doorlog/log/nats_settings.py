"""The keys of the sink ``nats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from doorlog.log.sink import SinkOptions


class NatsSettings(SinkOptions):
    """Where the servers are, who we are there, and what the stream is like."""

    servers: Annotated[tuple[str, ...], Field(min_length=1)]
    """``nats://HOST:PORT`` of each server of the cluster, ``tls://HOST:PORT`` with TLS. No password stands in it."""
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "DOORLOG"
    """The stream of JetStream; all brokers may share one."""
    subject: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}(\.[A-Za-z0-9_-]{1,32}){0,3}$")] = "doorlog"
    """What subjects begin with: ``SUBJECT.INSTANCE.DEVICE``, ``_`` for a record without a device."""
    inbox: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}(\.[A-Za-z0-9_-]{1,32}){0,3}$")] = "_INBOX_DOORLOG"
    """Where the servers answer us. Not ``_INBOX``, where they answer those who read: we are to see nothing of that."""
    create_stream: bool = True
    """Whether the stream is made when there is none. One that is there is taken as it is."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """On how many servers each record is, for a stream that is made; 3 for a cluster."""
    duplicate_window: Annotated[float, Field(ge=0.1, le=86_400)] = 120.0
    """Seconds in which JetStream knows a record that comes again, for a stream that is made."""
    max_age: Annotated[float, Field(ge=1)] | None = None
    """Seconds after which JetStream deletes a record, for a stream that is made; without it, never."""
    credentials_file: Path | None = None
    """A ``.creds`` file with a JWT and its seed; read at each connect, as are the files below."""
    nkey_file: Path | None = None
    """A file with the seed of an nkey."""
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The user's name, with ``password_file``."""
    password_file: Path | None = None
    """A file that holds the password in its first line."""
    cafile: Path | None = None
    """PEM file with the authorities that sign the servers' certificates; without it, those of the system."""
    certfile: Path | None = None
    """Our certificate, for servers that ask for one."""
    keyfile: Path | None = None
    """Its private key."""
    timeout: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    """Seconds for connecting, and for the servers to acknowledge what is in flight."""
    in_flight: Annotated[int, Field(ge=1, le=4096)] = 256
    """How many records are sent before the first of them is acknowledged. With 1, nothing can change their order."""
    unproven_devices: Annotated[int, Field(ge=0)] = 10_000
    """How many device ids that no login has proven get a subject of their own, until the next start."""

    @property
    def is_encrypted(self) -> bool:
        """Whether nothing may be sent without TLS."""
        return self.servers[0].startswith("tls:") or self.cafile is not None or self.certfile is not None

    @field_validator("servers")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            _check_address(address)
        if len({urlsplit(address).scheme for address in value}) > 1:
            raise ValueError("some are nats:// and some tls://: those in the clear would get what the others protect")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> NatsSettings:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together")
        if sum(way is not None for way in (self.credentials_file, self.nkey_file, self.user)) > 1:
            raise ValueError("credentials_file, nkey_file and user: name one of them")
        if (self.certfile is None) != (self.keyfile is None):
            raise ValueError("certfile and keyfile belong together")
        if self.max_age is not None and self.max_age < self.duplicate_window:
            raise ValueError("duplicate_window: no more than max_age")
        return self


def _check_address(address: str) -> None:
    """Refuse what is no address, without repeating it: there may be a password in it."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError("an address is no nats://HOST:PORT or tls://HOST:PORT") from None
    if "@" in address:
        raise ValueError("an address holds a user or a password: use user and password_file")
    is_plain = not (parts.path.strip("/") or parts.query or parts.fragment)
    if parts.scheme not in {"nats", "tls"} or not parts.hostname or port == 0 or not is_plain:
        raise ValueError("an address is no nats://HOST:PORT or tls://HOST:PORT")
