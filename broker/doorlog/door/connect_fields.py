"""Reads the fields behind a CONNECT's fixed header and holds them to MQTT 3.1.1 section 3.1."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from doorlog.errors import (
    ClientIdRejected,
    ConnectError,
    ConnectFacts,
    MalformedConnect,
    UnsupportedProtocolVersion,
)

_RESERVED, _CLEAN, _WILL, _WILL_RETAIN, _PASSWORD, _USER_NAME = 0x01, 0x02, 0x04, 0x20, 0x40, 0x80
_WILL_QOS: Final = 0x18
_VERSIONS: Final = {3: "MQTT 3.1", 4: "MQTT 3.1.1", 5: "MQTT 5.0"}  # the levels whose CONNECT can be read
_BRIDGE: Final = 0x80  # set on the level by mosquitto's bridges, which try again without it when refused
_PLANE_ENDS: Final = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")
_ADVISED_AGAINST: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef{_PLANE_ENDS}]")


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the client vanishes (MQTT 3.1.1, 3.1.2.5 to 3.1.2.7)."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """A valid CONNECT of MQTT 3.1.1. An empty client id asks the broker to choose one (3.1.3-6)."""

    protocol_name: str
    protocol_level: int
    clean_session: bool
    keep_alive: int
    """Seconds, 0 to 65,535; 0 is no keep-alive."""
    client_id: str
    user_name: str | None
    password: bytes | None = field(repr=False)
    will: Will | None


class Incomplete(Exception):
    """Nothing can be said before this many bytes of the packet are there."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class ConnectFields:
    """A cursor over the fields, in their order, that keeps those that name the client for the record."""

    __slots__ = (
        "_data",
        "_end",
        "_position",
        "clean_session",
        "client_id",
        "keep_alive",
        "level",
        "name",
        "user_name",
    )

    def __init__(self, data: bytes, start: int, end: int) -> None:
        """Read ``data[start:end]``, of which less may have arrived."""
        self._data = data
        self._position = start
        self._end = end
        self.name: str | None = None
        self.level: int | None = None
        self.clean_session: bool | None = None
        self.keep_alive: int | None = None
        self.client_id: str | None = None
        self.user_name: str | None = None

    def read(self) -> Connect:
        """Return the whole packet, or raise with the facts known by then."""
        try:
            return self._read()
        except ConnectError as error:
            error.connect = self.facts
            raise

    @property
    def facts(self) -> ConnectFacts:
        """What was read of the client so far."""
        return ConnectFacts(self.name, self.level, self.clean_session, self.keep_alive, self.client_id, self.user_name)

    def _read(self) -> Connect:
        self._read_protocol()
        if self.name != "MQTT" or self.level != 4:
            self._refuse_version()
        connect = self._read_fields()
        if not connect.client_id and not connect.clean_session:
            raise ClientIdRejected("the client id is empty without a clean session (MQTT 3.1.1, 3.1.3-8)")
        if not _is_clean(connect.client_id):
            raise ClientIdRejected("the client id contains control characters or noncharacters (MQTT 3.1.1, 1.5.3)")
        return connect

    def _read_protocol(self) -> None:
        size = self._uint16("protocol name")
        name = self._take(size, "protocol name") if size in {4, 6} else b""
        if name in {b"MQTT", b"MQIsdp"}:
            self.name = name.decode()
            self.level = self._byte("protocol level")
        if self.name is None or (self.name == "MQIsdp" and self.level not in {3, 3 | _BRIDGE}):
            raise MalformedConnect("the protocol name is not MQTT (MQTT 3.1.1, 3.1.2-1)")

    def _refuse_version(self) -> NoReturn:
        """Read who it is, as far as the bytes allow, and refuse (MQTT 3.1.1, 3.1.2-2)."""
        level = self.level or 0
        spoken = f"protocol level {level}"
        version = _VERSIONS.get(level & ~_BRIDGE)
        if version is not None:
            spoken = f"{version}, {spoken}" if level < _BRIDGE else f"{version} as a bridge, {spoken}"
            with suppress(MalformedConnect):  # its own version's rules are not ours to judge
                self._read_fields()
        raise UnsupportedProtocolVersion(f"the client speaks {spoken}; only MQTT 3.1.1, protocol level 4, is served")

    def _read_fields(self) -> Connect:
        flags = self._byte("connect flags")
        self.clean_session = bool(flags & _CLEAN)
        self.keep_alive = self._uint16("keep alive")
        self._skip_properties()
        raw = self._binary("client id")
        self.client_id = _readable(raw)
        _check_utf8(raw, "client id")
        _check_flags(flags)  # not before: by now the client id tells whose mistake it is
        will = self._read_will(flags) if flags & _WILL else None
        if flags & _USER_NAME:
            self._read_user_name()
        password = self._binary("password") if flags & _PASSWORD else None
        if self._position != self._end:
            surplus = self._end - self._position
            raise MalformedConnect(f"the packet has {surplus} bytes behind its last field (MQTT 3.1.1, 3.1.3)")
        return Connect(
            self.name or "", self.level or 0, self.clean_session, self.keep_alive,
            self.client_id, self.user_name, password, will,
        )  # fmt: skip

    def _read_will(self, flags: int) -> Will:
        self._skip_properties()
        raw = self._binary("will topic")
        _check_utf8(raw, "will topic")
        if not raw or b"+" in raw or b"#" in raw:
            raise MalformedConnect("the will topic is empty or has wildcards (MQTT 3.1.1, 4.7.1-1 and 4.7.3-1)")
        payload = self._binary("will message")
        return Will(raw.decode(), payload, (flags & _WILL_QOS) >> 3, bool(flags & _WILL_RETAIN))

    def _read_user_name(self) -> None:
        raw = self._binary("user name")
        # Nor up to any other control character: the length of a password of 256 bytes or more begins with one.
        self.user_name = _readable(_CONTROL.split(raw, maxsplit=1)[0])
        _check_utf8(raw, "user name")
        if not _is_clean(raw.decode()):
            raise MalformedConnect("the user name contains control characters or noncharacters (MQTT 3.1.1, 1.5.3)")

    def _skip_properties(self) -> None:
        """Pass over the properties that MQTT 5.0 puts here (2.2.2); 3.1 and 3.1.1 have none."""
        if self.level not in {5, 5 | _BRIDGE}:
            return
        length = 0
        for shift in (0, 7, 14, 21):
            byte = self._byte("property length")
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        self._take(length, "properties")

    def _binary(self, name: str) -> bytes:
        return self._take(self._uint16(name), name)

    def _uint16(self, name: str) -> int:
        high, low = self._take(2, name)
        return high << 8 | low

    def _byte(self, name: str) -> int:
        return self._take(1, name)[0]

    def _take(self, size: int, name: str) -> bytes:
        start, stop = self._position, self._position + size
        if stop > self._end:
            raise MalformedConnect(f"the {name} runs past the end of the packet (MQTT 3.1.1, 3.1.3)")
        if stop > len(self._data):
            raise Incomplete(stop)
        self._position = stop
        return self._data[start:stop]


def _check_flags(flags: int) -> None:
    """Refuse connect flags that contradict each other (MQTT 3.1.1, 3.1.2.3 to 3.1.2.9)."""
    if flags & _RESERVED:
        raise MalformedConnect("the reserved connect flag is set (MQTT 3.1.1, 3.1.2-3)")
    if flags & _WILL_QOS == _WILL_QOS:
        raise MalformedConnect("the will has QoS 3 (MQTT 3.1.1, 3.1.2-14)")
    if not flags & _WILL and flags & (_WILL_QOS | _WILL_RETAIN):
        raise MalformedConnect("will QoS or will retain is set without a will (MQTT 3.1.1, 3.1.2-13 and 3.1.2-15)")
    if flags & _PASSWORD and not flags & _USER_NAME:
        raise MalformedConnect("a password without a user name (MQTT 3.1.1, 3.1.2-22)")


def _readable(raw: bytes) -> str:
    """Return a name for the record, up to U+0000: where its length is wrong, the next field's begins there."""
    return raw.partition(b"\0")[0].decode(errors="backslashreplace")


def _check_utf8(raw: bytes, name: str) -> None:
    try:
        raw.decode()  # refuses surrogates and overlong forms too
    except UnicodeDecodeError:
        raise MalformedConnect(f"the {name} is not valid UTF-8 (MQTT 3.1.1, 1.5.3-1)") from None
    if b"\0" in raw:
        raise MalformedConnect(f"the {name} contains U+0000 (MQTT 3.1.1, 1.5.3-2)")


def _is_clean(text: str) -> bool:
    """Whether a text is free of control characters and noncharacters (advised against: MQTT 3.1.1, 1.5.3)."""
    return text.isprintable() or not _ADVISED_AGAINST.search(text)
