"""The market: device models, how common they are, what they pin, how they connect and how they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Pin = Literal["leaf", "intermediate"]
Refusal = Literal["alert", "close", "reset", "late"]
"""How it turns a chain down: with an alert (RFC 8446, 6.2), by FIN or RST without one, or after the handshake."""

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a release of a model's firmware does in TLS.

    Attributes:
        profile: The TLS client.
        pin: What it trusts instead of the root, if it pins anything.
        pinning: Share of devices that do pin: 1 where it is compiled in, less where it is a setting.
    """

    profile: str
    pin: Pin | None = None
    pinning: float = 1.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a model is connected.

    Attributes:
        period: Seconds between two wake-ups of a device that sleeps; None for one that stays connected.
        awake: Seconds that it then stays.
        drops: How often a session that stays is lost, for each day.
        first_retry: Seconds before the first retry; each further one waits twice as long.
        longest_retry: Seconds that it waits at most.
        retries: How often one that sleeps tries before it sleeps again.
    """

    period: float | None = None
    awake: float = 20.0
    drops: float = 0.4
    first_retry: float = 5.0
    longest_retry: float = HOUR
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Model:
    """A model of device.

    Attributes:
        name: As a client id begins.
        share: How common it is, beside the other models' shares.
        releases: Its firmware, oldest first; a device has one and may be updated to the next.
        rhythm: When it connects.
        keep_alive: Of MQTT, in seconds.
        refusal: How it turns our chain down.
        host: The name that it asks for.
        clean_session: As it says in CONNECT.
        resumes: Whether it keeps TLS sessions to resume them (RFC 8446, 2.2); most stacks do not, unless asked to.
    """

    name: str
    share: float
    releases: tuple[Firmware, ...]
    rhythm: Rhythm
    keep_alive: int
    refusal: Refusal = "alert"
    host: str = "mqtt.example.com"
    clean_session: bool = True
    resumes: bool = False


_STEADY: Final = Rhythm()
_RADIO: Final = Rhythm(drops=2.5, first_retry=10.0, longest_retry=2 * HOUR)
_LINUX: Final = Rhythm(drops=0.3, first_retry=1.0, longest_retry=30 * MINUTE)
_OLD_HOST: Final = "broker.example.com"

MODELS: Final = (
    Model("esp-plug", 26, (Firmware("mbedtls-2", "leaf", 0.5), Firmware("mbedtls-3")), _STEADY, 60),
    Model("esp-sensor", 14, (Firmware("mbedtls-2", "intermediate"),), Rhythm(period=6 * HOUR), 120),
    Model("tasmota", 10, (Firmware("bearssl", "leaf", 0.3),), _STEADY, 30, refusal="close"),
    Model("meter", 9, (Firmware("wolfssl-4", "intermediate"), Firmware("wolfssl-5")),
          Rhythm(period=DAY, awake=45, retries=3), 300, refusal="reset", host=_OLD_HOST,
          clean_session=False),
    Model("tracker", 8, (Firmware("modem-old"), Firmware("modem-new")), _RADIO, 600, refusal="reset"),
    Model("valve", 6, (Firmware("modem-old", "leaf"),), Rhythm(period=4 * HOUR, awake=15), 240, refusal="close",
          host=_OLD_HOST),
    Model("thermostat", 6, (Firmware("rtos-1.3"), Firmware("rtos-1.3")), _STEADY, 1200),
    Model("gateway", 5, (Firmware("openssl-1.1", "intermediate", 0.5), Firmware("openssl-3")), _LINUX, 60,
          clean_session=False),
    Model("gateway-pro", 4, (Firmware("openssl-3-mqtt"),), _LINUX, 60, clean_session=False),
    Model("plc-bridge", 4, (Firmware("jsse-8", "intermediate"), Firmware("jsse-17")), _LINUX, 60, resumes=True),
    Model("charger", 3, (Firmware("go", "intermediate", 0.4),), _LINUX, 30),
    Model("hub", 3, (Firmware("node-18", "leaf", 0.5),), _LINUX, 60, refusal="late"),
    Model("camera", 1.5, (Firmware("rustls"),), _STEADY, 30),
    Model("lamp-post", 0.5, (Firmware("wolfssl-5", "leaf"),), Rhythm(drops=1.0), 900, resumes=True),
)  # fmt: skip
"""All of them: few make up most of a fleet."""
