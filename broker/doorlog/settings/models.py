"""The configuration as frozen models: every key, its default and its bounds.

Each attribute's docstring is what the configuration reference prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from doorlog.addresses import is_loopback
from doorlog.settings.alert_models import AlertSettings
from doorlog.settings.base import Setting
from doorlog.settings.cohort_models import CohortSettings, distinct
from doorlog.settings.local_models import BIND, MonitorSettings, WebSettings, is_ip
from doorlog.settings.log_models import (
    CheckpointSettings,
    FileLogSettings,
    FloodSettings,
    LogSettings,
    Privacy,
    PrivacySettings,
    SinkSettings,
)
from doorlog.settings.networks import Network

__all__ = [
    "AlertSettings",
    "BrokerSettings",
    "CheckpointSettings",
    "CohortSettings",
    "DeviceSettings",
    "DoorSettings",
    "FileLogSettings",
    "FloodSettings",
    "LimitsSettings",
    "ListenerSettings",
    "LogSettings",
    "MonitorSettings",
    "Network",
    "PluginSettings",
    "Privacy",
    "PrivacySettings",
    "ServiceSettings",
    "Setting",
    "Settings",
    "SinkSettings",
    "TlsSettings",
    "WebSettings",
]


class TlsSettings(Setting):
    """What a TLS listener serves and whom it trusts."""

    certfile: Path
    """PEM file with our certificate first, then its intermediates, in order; the root is not needed."""
    keyfile: Path
    """PEM file with the unencrypted private key of the first certificate."""
    cafile: Path | None = None
    """PEM file with the authorities that sign client certificates."""
    crlfile: Path | None = None
    """PEM file with revocation lists (CRLs) of those authorities."""
    client_certificate: Literal["none", "optional", "required"] = "none"
    """Whether devices show a certificate of their own."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS version that is served."""
    maximum_version: Literal["1.2", "1.3"] = "1.3"
    """The newest TLS version that is served."""
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AESCCM"
    """TLS 1.2 cipher suites in OpenSSL's notation; TLS 1.3 has only safe ones."""
    alpn: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    """Application protocols (RFC 7301): when set, a device that offers ALPN must offer one of them."""

    @field_validator("minimum_version", "maximum_version", mode="before")
    @classmethod
    def _version_without_quotes(cls, value: Any) -> Any:
        return str(value) if isinstance(value, float) else value  # YAML reads 1.2 as a number

    @model_validator(mode="after")
    def _consistent(self) -> TlsSettings:
        if self.client_certificate != "none" and self.cafile is None:
            raise ValueError(
                f"client_certificate: {self.client_certificate} needs cafile, the authorities that sign the devices"
            )
        if self.crlfile is not None and self.client_certificate == "none":
            raise ValueError("crlfile is for client certificates: set client_certificate to optional or required")
        if self.minimum_version > self.maximum_version:
            raise ValueError("minimum_version is newer than maximum_version")
        return self


class ListenerSettings(Setting):
    """One port of the door."""

    bind: str
    """``address:port``; an IPv6 address stands in brackets, port 0 takes a free one."""
    tls: TlsSettings | None = None
    """TLS on this port; without it, the port speaks plain MQTT."""
    websocket: bool = False
    """MQTT over WebSocket (subprotocol ``mqtt``)."""
    origins: tuple[str, ...] = ()
    """Browser origins that may use the WebSocket besides the listener's own host; ``*`` for any."""
    proxy_protocol: Literal["refused", "required"] = "refused"
    """Whether a load balancer puts a PROXY header (v1 or v2) in front of each connection."""
    proxy_networks: tuple[Network, ...] = ()
    """The load balancers' addresses: the only ones from which a PROXY header is believed."""
    blocked_networks: tuple[Network, ...] = ()
    """Sources that are turned away at accept, with a record."""

    @field_validator("bind", mode="before")
    @classmethod
    def _bind_has_address_and_port(cls, value: Any) -> Any:
        match = BIND.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match["port"]) > 65535 or (match["v6"] and not is_ip(match["v6"])):
            raise ValueError('expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"')
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ListenerSettings:
        if self.proxy_protocol == "required" and not self.proxy_networks:
            raise ValueError("proxy_protocol: required needs proxy_networks, the load balancers that are believed")
        if self.proxy_networks and self.proxy_protocol == "refused":
            raise ValueError("proxy_networks has no effect without proxy_protocol: required")
        if self.origins and not self.websocket:
            raise ValueError("origins has no effect without websocket: true")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """The host to bind ("" is every address) and the port."""
        match = BIND.fullmatch(self.bind)
        assert match is not None  # noqa: S101 - the validator let it through
        return match["v6"] or match["host"] or "", int(match["port"])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return is_loopback(self.address[0])


class LimitsSettings(Setting):
    """What a stranger may cost."""

    attempt_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds from accept to the end of CONNECT: one deadline for PROXY header, TLS and CONNECT together."""
    auth_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds that the authentication plugins may take."""
    connect_max_bytes: Annotated[int, Field(ge=64, le=268_435_455)] = 65_536
    """Largest CONNECT packet in bytes."""
    packet_max_bytes: Annotated[int, Field(ge=128, le=268_435_455)] = 1_048_576
    """Largest packet of an admitted device in bytes."""
    attempts_per_listener: Annotated[int, Field(ge=1)] = 2_000
    """Connections of one listener that may be on their way to a verdict at the same time."""
    attempts_per_source: Annotated[int, Field(ge=1)] = 200
    """The same for one source address (an IPv6 /64 counts as one)."""
    linger_timeout: Annotated[float, Field(ge=0, le=30)] = 1.0
    """Seconds that a refused device gets to read our answer before its connection is cut."""


class PluginSettings(Setting):
    """amqtt plugins, by dotted path."""

    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Dotted path of a plugin class, and its options."""

    @field_validator("plugins", mode="before")
    @classmethod
    def _empty_options(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: {} if options is None else options for name, options in value.items()}
        return value


class BrokerSettings(PluginSettings):
    """The amqtt broker behind the door."""

    session_expiry: Annotated[int, Field(ge=1)] | None = None
    """Seconds for which a persistent session of a disconnected device is kept; without it, for ever."""


class DeviceSettings(Setting):
    """What names a device."""

    id: Literal["client_id", "user_name", "certificate_common_name", "certificate_alternative_name"] = "client_id"
    """Where a device's id is taken from."""
    learn: bool = True
    """Whether admitted devices are remembered, so that a failure that names nobody can be traced to its device."""
    directory: Path | None = None
    """The file in which they are remembered (SQLite); without it, ``devices.db`` beside ``log.file.path``."""
    remember: Annotated[int, Field(ge=100, le=1_000_000)] = 100_000
    """How many devices are remembered; those that were hardly ever seen are forgotten first."""
    forget_days: Annotated[float, Field(ge=1, le=3_650)] = 90.0
    """Days after which an address is forgotten at which a device was not seen again."""
    candidates: Annotated[int, Field(ge=1, le=256)] = 128
    """How many candidates a record has at most where the device is ambiguous."""


class ServiceSettings(Setting):
    """How this broker names itself in its records."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = "doorlog"
    """``service.name``."""
    instance_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """``service.instance.id``; without it, a new one at each start."""


class DoorSettings(Setting):
    """What the door and its log need, whatever broker stands behind them."""

    listeners: Annotated[dict[str, ListenerSettings], Field(min_length=1)]
    """The ports, by a name of yours that stands in each record."""
    device: DeviceSettings = DeviceSettings()
    """What names a device."""
    log: LogSettings = LogSettings(stdout=True)
    """Where records go; without it, standard output."""
    limits: LimitsSettings = LimitsSettings()
    """What a stranger may cost."""
    service: ServiceSettings = ServiceSettings()
    """How this broker names itself in its records."""
    monitor: MonitorSettings | None = None
    """Tells machines how the log does; without it, nobody is told."""
    cohorts: tuple[CohortSettings, ...] = ()
    """Groups of devices whose attempts are counted apart, so that the total hides none; at most 200."""
    alerts: AlertSettings | None = None
    """Messages to a webhook when something is wrong, for set-ups without Prometheus."""

    @field_validator("cohorts")
    @classmethod
    def _cohorts_are_distinct(cls, value: tuple[CohortSettings, ...]) -> tuple[CohortSettings, ...]:
        return distinct(value)

    @model_validator(mode="after")
    def _cohorts_can_be_told(self) -> DoorSettings:
        """What ``log.privacy`` hides is hidden before a device is named."""
        hidden = {"user_prefix": self.log.privacy.user_name, "network": self.log.privacy.address}
        for cohort in self.cohorts:
            for key, privacy in hidden.items():
                if cohort.needs_device and getattr(cohort, key) and privacy != "plain":
                    raise ValueError(f"cohorts: {cohort.name}: {key} can not be told, since log.privacy hides it")
        return self


class Settings(DoorSettings):
    """A configuration file."""

    auth: PluginSettings
    """Who may come in: each plugin is asked; those that answer must all agree, and one must answer."""
    acl: PluginSettings = PluginSettings()
    """What they may subscribe to and publish: topic plugins."""
    broker: BrokerSettings = BrokerSettings()
    """The amqtt broker behind the door."""
    web: WebSettings | None = None
    """The page; without it, ``doorlog web`` shows it when it is wanted."""

    @field_validator("auth")
    @classmethod
    def _somebody_answers(cls, value: PluginSettings) -> PluginSettings:
        if not value.plugins:
            raise ValueError("name at least one authentication plugin: without one, nobody can be admitted")
        return value
