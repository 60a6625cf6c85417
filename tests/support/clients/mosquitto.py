"""mosquitto_pub: libmosquitto on OpenSSL, what many C devices and scripts use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.clients.base import PAYLOAD, TOPIC, Client, judged
from support.processes import run

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login

CONNACK = re.compile(r"received CONNACK \((\d+)\)")
REASONS = (r"OpenSSL Error\[\d+\]: (.*)", r"Connection error: (.*)", r"Error: (.*)")


class MosquittoPub(Client):
    """Publishes one message with QoS 1.

    Its words for a refused login are its own ("Connection Refused: not authorised."), not the specification's.

    Args:
        address: its own, if it has several.
    """

    name = "mosquitto_pub"
    programs = ("mosquitto_pub",)

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    async def _attempt(self, login: Login) -> ClientResult:
        own = ["-A", self.address] if self.address is not None else []
        finished = await run([*_arguments(login), *own], patience=login.timeout)
        connack = CONNACK.search(finished.output)
        found = (re.search(reason, finished.output) for reason in REASONS)
        said = [match[1] for match in found if match is not None]
        admitted = connack is not None and connack[1] == "0"
        return judged(finished, 0 if admitted else None, said)


def _arguments(login: Login) -> list[str]:
    where = ["-h", login.dialled_name, "-p", str(login.target.port)]
    what = ["-t", TOPIC, "-m", PAYLOAD, "-q", "1", "-d"]
    who = [text for flag, value in _names(login) if value is not None for text in (flag, value)]
    return ["mosquitto_pub", *where, *what, *who, *(_tls(login) if login.tls else ())]


def _names(login: Login) -> tuple[tuple[str, str | None], ...]:
    return (("-i", login.client_id), ("-u", login.username), ("-P", login.password))


def _tls(login: Login) -> list[str]:
    options = ["--tls-use-os-certs"] if login.cafile is None else ["--cafile", str(login.cafile)]
    if login.certfile is not None:
        options += ["--cert", str(login.certfile), "--key", str(login.keyfile or login.certfile)]
    if login.tls_version is not None:
        options += ["--tls-version", f"tlsv{login.tls_version}"]
    return options
