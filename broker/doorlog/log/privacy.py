"""Who is named in the log: names stay plain, become keyed pseudonyms, or are left out, before anything else sees them.

A pseudonym is ``hmac-KEY:DIGITS``: which key made it, and 32 hexadecimal digits of HMAC-SHA-256 (RFC 2104, FIPS 180-4)
over what kind of name it is and the name. The same client id has the same pseudonym wherever it stands. A user name
that reads like a client id has another one: whoever may choose the one must not learn the pseudonym of the other.
"""

from __future__ import annotations

import hmac
import stat
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, Literal

from doorlog.errors import SettingsError
from doorlog.events.parts import DoorlogPart, FindingPart, NamePart, ProxyPart, SourcePart, X509Part
from doorlog.events.records import Connection, Event
from doorlog.log.scrub import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from doorlog.events.parts import TlsPart
    from doorlog.settings.log_models import PrivacySettings

OMITTED: Final = "omitted"
"""What stands where a name was left out, if something has to stand there."""
SHORTEST_KEY: Final = 32
"""Bytes (RFC 2104, 3: no shorter than the hash)."""
_LONGEST_KEY: Final = 65_536
_REMEDY: Final = "make one with openssl rand -out privacy.key 32"
_FAULT: Final = "log.privacy could not be applied to this record, so that all that names the device was left out"

_Kind = Literal["user_name", "client_id", "address", "certificate_name"]


@dataclass(frozen=True, slots=True, repr=False)
class PrivacyKey:
    """The key of the pseudonyms; it can not be printed.

    Attributes:
        secret: Its bytes.
        id: Eight hexadecimal digits that name it, and tell nothing of it.
    """

    secret: bytes
    id: str

    @classmethod
    def of(cls, secret: bytes) -> PrivacyKey:
        """Name a key."""
        return cls(secret, hmac.digest(secret, b"key id", "sha256").hex()[:8])

    def pseudonym(self, kind: str, name: str) -> str:
        """Return what stands for a name of a kind."""
        return _pseudonym(self.secret, self.id, kind, name)


@lru_cache(maxsize=4096)  # the same names come again and again
def _pseudonym(secret: bytes, key_id: str, kind: str, name: str) -> str:
    text = (_canonical(name) if kind == "address" else name).encode("utf-8", "surrogatepass")
    return f"hmac-{key_id}:{hmac.digest(secret, kind.encode() + b'|' + text, 'sha256').hex()[:32]}"


def read_key(path: Path) -> tuple[PrivacyKey, tuple[FindingPart, ...]]:
    """Read a key of pseudonyms, and what is to be said of its file.

    Raises:
        SettingsError: It can not be read, or is too short to be a key.
    """
    try:
        with path.open("rb") as file:
            secret, mode = file.read(_LONGEST_KEY), path.stat().st_mode
    except OSError as error:
        raise _error(f"{path} can not be read: {error.strerror}; {_REMEDY}") from error
    if len(secret) < SHORTEST_KEY:
        raise _error(f"{path} has {len(secret)} bytes, a key has at least {SHORTEST_KEY}: {_REMEDY}")
    sentence = f"everybody on this machine can read {path}, and with it undo the pseudonyms: chmod 600 it"
    finding = FindingPart(severity="warning", code="privacy_key_readable", sentence=sentence)
    return PrivacyKey.of(secret), (finding,) if mode & stat.S_IROTH else ()


class Concealment:
    """Hides names in events about connections; called first, before an event is numbered, said or recorded.

    Safe to use from any thread. Costs nothing where all is plain.

    Args:
        settings: Which names are hidden, and how.

    Attributes:
        findings: What is to be said of the key's file.

    Raises:
        SettingsError: The key can not be used.
    """

    def __init__(self, settings: PrivacySettings) -> None:
        self._modes: dict[_Kind, str] = {
            "client_id": settings.client_id,
            "user_name": settings.user_name,
            "address": settings.address,
            "certificate_name": settings.certificate_name,
        }
        self._keyfile = settings.keyfile
        self._key = PrivacyKey(b"", "")
        self.findings: tuple[FindingPart, ...] = ()
        self.is_active = any(mode != "plain" for mode in self._modes.values())
        """Whether anything is hidden; texts of errors may hold names, too, and should be left out then."""
        self.reload()

    def reload(self) -> None:
        """Read the key anew; events from now on have pseudonyms of the new one.

        Raises:
            SettingsError: It can not be used; the one before stays.
        """
        if self._keyfile is not None and "hmac" in self._modes.values():
            self._key, self.findings = read_key(self._keyfile)

    def __call__(self, event: Event) -> Event:
        """Return the event with its names hidden, and all texts in it rid of them; never raises."""
        if not self.is_active or not isinstance(event, Connection):
            return event
        try:
            return _Disguise(event, self._modes, self._key).event()
        except Exception:  # noqa: BLE001 - a record without names is better than one with them, and than none
            return _nameless(event)


class _Disguise:
    """One event, and what stands for each name in it."""

    def __init__(self, event: Connection, modes: dict[_Kind, str], key: PrivacyKey) -> None:
        self._event = event
        self._modes = modes
        self._key = key
        hidden = [(kind, name) for kind, name in _names(event) if name and modes[kind] != "plain"]
        self._scrub = Scrubber([(name, self._name(kind, name) or OMITTED) for kind, name in hidden])

    def event(self) -> Connection:
        event, text = self._event, self._scrub.text
        mqtt, user, device = event.mqtt, event.user, event.device
        name = self._name("user_name", user.name) if user is not None else None
        changed: dict[str, Any] = {
            "message": text(event.message),
            "event": event.event.model_copy(update={"reason": text(event.event.reason)}),
            "source": self._source(event.source),
            "tls": self._tls(event.tls) if event.tls is not None else None,
            "user": user.model_copy(update={"name": name}) if user is not None and name is not None else None,
            "device": device.model_copy(update={"id": text(device.id)}) if device is not None else None,
            "doorlog": self._doorlog(event.doorlog),
        }
        if mqtt is not None:
            client_id = self._name("client_id", mqtt.client_id)
            changed["mqtt"] = mqtt.model_copy(update={"client_id": client_id, "topic": text(mqtt.topic)})
        return event.model_copy(update=changed)

    def _name(self, kind: _Kind, name: str | None) -> str | None:
        """Return what stands for a name; one that is plain may hold another one that is not."""
        mode = self._modes[kind]
        if not name or mode == "plain":
            return self._scrub.text(name)
        if mode == "omit":
            return None
        return self._key.pseudonym(kind, name)

    def _source(self, source: SourcePart) -> SourcePart:
        ip, address = source.ip, source.address
        if self._modes["address"] == "plain":
            ip, address = self._scrub.text(ip), self._scrub.text(address)
            if ip != source.ip:  # its client id, say, is its address
                ip, address = None, address or ip
        else:
            ip, address = None, self._name("address", address or ip)
        return source.model_copy(update={"ip": ip, "address": address})

    def _tls(self, tls: TlsPart) -> TlsPart:
        client = tls.client
        if client is None:
            return tls
        changed: dict[str, Any] = {
            "server_name": self._scrub.text(client.server_name),
            "alpn": self._scrub.texts(client.alpn),
            "x509": self._certificate(client.x509) if client.x509 is not None else None,
        }
        if client.hash is not None:
            digest = self._name("certificate_name", client.hash.sha256)
            changed["hash"] = client.hash.model_copy(update={"sha256": digest}) if digest is not None else None
        return tls.model_copy(update={"client": client.model_copy(update=changed)})

    def _certificate(self, certificate: X509Part) -> X509Part:
        return certificate.model_copy(
            update={
                "subject": NamePart.model_construct(
                    distinguished_name=self._name("certificate_name", certificate.subject.distinguished_name),
                    common_name=self._name_all(certificate.subject.common_name),
                    organization=self._name_all(certificate.subject.organization),
                ),
                "issuer": NamePart.model_construct(  # ours as a rule; a device that signed for itself names itself
                    distinguished_name=self._scrub.text(certificate.issuer.distinguished_name),
                    common_name=self._scrub.texts(certificate.issuer.common_name),
                    organization=self._scrub.texts(certificate.issuer.organization),
                ),
                "serial_number": self._name("certificate_name", certificate.serial_number) or OMITTED,
                "alternative_names": self._name_all(certificate.alternative_names),
            }
        )

    def _name_all(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        found = tuple(filter(None, (self._name("certificate_name", name) for name in names or ())))
        return found or None

    def _doorlog(self, doorlog: DoorlogPart) -> DoorlogPart:
        device, text = doorlog.device, self._scrub.text
        changed: dict[str, Any] = {"fault": text(doorlog.fault), "proxy": self._proxy(doorlog.proxy)}
        if device is not None:
            candidates = [one.model_copy(update={"id": text(one.id)}) for one in device.candidates or ()]
            told = {"candidates": tuple(candidates) or None, "evidence": self._scrub.texts(device.evidence)}
            changed["device"] = device.model_copy(update=told)
        return doorlog.model_copy(update=changed)

    def _proxy(self, proxy: ProxyPart | None) -> ProxyPart | None:
        """Return our load balancer, unless the device came from its very address, and what it told."""
        if proxy is None:
            return None
        told = {name: self._scrub.text(getattr(proxy, name)) for name in ("ip", "server_name", "tls_version")}
        told["client_name"] = self._name("certificate_name", proxy.client_name)
        return proxy.model_copy(update=told)


def _names(event: Connection) -> Iterator[tuple[_Kind, str | None]]:
    """Yield all that names the device; of two that read alike, the first stands for both in texts."""
    yield "client_id", event.mqtt.client_id if event.mqtt is not None else None
    yield "user_name", event.user.name if event.user is not None else None
    yield "address", event.source.ip
    yield "address", event.source.address
    proxy = event.doorlog.proxy
    yield "certificate_name", proxy.client_name if proxy is not None else None
    client = event.tls.client if event.tls is not None else None
    if client is None:
        return
    if client.hash is not None:
        yield "certificate_name", client.hash.sha256
    if client.x509 is not None:
        yield from (("certificate_name", name) for name in _names_of(client.x509))


def _names_of(certificate: X509Part) -> Iterable[str | None]:
    subject = certificate.subject
    several = (subject.common_name, certificate.alternative_names, subject.organization)
    one_by_one = (name for names in several for name in names or ())
    return (subject.distinguished_name, certificate.serial_number, *one_by_one)


def _canonical(address: str) -> str:
    """Return the one way to write an address; an IPv4-mapped one is IPv4 (RFC 5952; RFC 4291, 2.5.5.2)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def _nameless(event: Connection) -> Connection:
    return event.model_copy(
        update={
            "message": None,
            "event": event.event.model_copy(update={"reason": None}),
            "source": SourcePart(),
            **dict.fromkeys(("tls", "mqtt", "user", "device")),
            "doorlog": event.doorlog.model_copy(update={"proxy": None, "device": None, "fault": _FAULT}),
        }
    )


def _error(fault: str) -> SettingsError:
    return SettingsError(f"log.privacy.keyfile: {fault}", (("log.privacy.keyfile", fault),))
