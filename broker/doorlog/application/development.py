"""The local broker of ``doorlog run`` without a configuration: its settings, and its welcome."""

from __future__ import annotations

import os
import shlex
import socket
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from doorlog.certificates.development import DEMO_DEVICE, DEMO_USER, DevelopmentPki, create_development_pki
from doorlog.door.door import Door
from doorlog.settings.log_models import FileLogSettings, LogSettings
from doorlog.settings.models import DeviceSettings, ListenerSettings, PluginSettings, Settings, TlsSettings, WebSettings

_PORTS = {"plain": 1883, "tls": 8883, "mtls": 8884, "ws": 8083, "wss": 8084}
_PAGE_PORT = 8880
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def development_settings(folder: Path, *, bind_all: bool, port_offset: int) -> tuple[Settings, DevelopmentPki]:
    """Create what a local broker needs, and its settings.

    Args:
        folder: Where it is kept; created, and used again next time.
        bind_all: Whether to listen on all addresses and name them in the certificate.
        port_offset: Added to the usual ports.

    Raises:
        DoorlogError: If the folder can not be used.
    """
    hostnames = (*_LOOPBACK_NAMES, *_own_names()) if bind_all else _LOOPBACK_NAMES
    pki = create_development_pki(folder, hostnames=hostnames, now=datetime.now(UTC))
    host = "0.0.0.0" if bind_all else "127.0.0.1"  # noqa: S104 - asked for by --bind-all, and credentials are required
    tls = TlsSettings(certfile=pki.server_chain, keyfile=pki.server_key)
    mutual_tls = tls.model_copy(update={"cafile": pki.ca_certificate, "client_certificate": "required"})

    def listener(name: str, tls: TlsSettings | None = None, *, websocket: bool = False) -> ListenerSettings:
        return ListenerSettings(bind=f"{host}:{_PORTS[name] + port_offset}", tls=tls, websocket=websocket)

    settings = Settings(
        listeners={
            "plain": listener("plain"),
            "tls": listener("tls", tls),
            "mtls": listener("mtls", mutual_tls),
            "ws": listener("ws", websocket=True),
            "wss": listener("wss", tls, websocket=True),
        },
        auth=PluginSettings(
            plugins={
                "amqtt_doorlog.PasswordFilePlugin": {"password_file": str(pki.users_file)},
                "amqtt_doorlog.ClientCertificatePlugin": {},
            }
        ),
        device=DeviceSettings(),
        web=WebSettings(bind=f"127.0.0.1:{_PAGE_PORT + port_offset}"),
        log=LogSettings(file=FileLogSettings(path=folder / "log" / "doorlog.jsonl"), console="auto"),
    )
    return settings, pki


def welcome(pki: DevelopmentPki, settings: Settings, door: Door) -> str:
    """Say how to connect, with lines that work as pasted."""
    port = {name: listener.port for name, listener in door.listeners.items()}
    ca, user = _path(pki.ca_certificate), f'-u {DEMO_USER} -P "$(cat {_path(pki.password_file)})"'
    certificate = f"--cert {_path(pki.device_certificate)} --key {_path(pki.device_key)}"
    log = _path(settings.log.file.path) if settings.log.file else ""
    page = f"   Page: http://{settings.web.bind}" if settings.web is not None else ""
    return f"""\
doorlog is ready. Publish with the demo user over TLS:

  mosquitto_pub -h localhost -p {port["tls"]} --cafile {ca} {user} -i my-device -t hello -m world

or with the demo device's certificate and no password:

  mosquitto_pub -h localhost -p {port["mtls"]} --cafile {ca} {certificate} -i {DEMO_DEVICE} -t hello -m world

and see a device that does not trust us being recorded:

  mosquitto_pub -h localhost -p {port["tls"]} --capath /etc/ssl/certs -i my-device -t hello -m world

Also: plain {port["plain"]}, WebSocket {port["ws"]}, WebSocket over TLS {port["wss"]}.
{_network(settings, ca)}Records: {log}{page}   Stop: Ctrl-C
"""


def _network(settings: Settings, ca: str) -> str:
    if settings.listeners["tls"].is_loopback:
        return ""
    return f"Devices on your network connect to {' or '.join(_own_names())}; give them {ca} to trust.\n"


def _path(path: Path) -> str:
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith("..") else relative)


def _own_names() -> tuple[str, ...]:
    """Return the name and the IPv4 addresses by which others can reach this machine."""
    name = socket.gethostname()
    try:
        infos = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        infos = []
    addresses = {str(info[4][0]) for info in infos} | _outward()
    return (name, *sorted(address for address in addresses if not ip_address(address).is_loopback))


def _outward() -> set[str]:
    """Return the address with which this machine would go to another network, if it would; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
            return {str(probe.getsockname()[0])}
    except OSError:
        return set()
