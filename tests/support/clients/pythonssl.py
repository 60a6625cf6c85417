"""Python's ssl on a blocking socket: what a script of a few lines does, and the base of many MQTT libraries."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from support import packets
from support.clients.base import PAYLOAD, TOPIC, Client, ClientResult
from support.clients.connack import refusal, return_code

if TYPE_CHECKING:
    from support.clients.base import Login

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class PythonSsl(Client):
    """Publishes one message with QoS 1. Blocking on purpose: it sends its alert, which asyncio's TLS never does."""

    name = "Python ssl"

    async def _attempt(self, login: Login) -> ClientResult:
        pool = ThreadPoolExecutor(max_workers=1)  # of its own: the loop's pool is small, and attempts must not queue
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, _converse, login)
        finally:
            pool.shutdown(wait=False)


def client_context(login: Login) -> ssl.SSLContext:
    """Return the verifying context that a careful Python device would use."""
    context = ssl.create_default_context(cafile=None if login.cafile is None else str(login.cafile))
    if login.certfile is not None:
        context.load_cert_chain(login.certfile, login.keyfile)
    if login.tls_version is not None:
        context.minimum_version = context.maximum_version = VERSIONS[login.tls_version]
    return context


def _converse(login: Login) -> ClientResult:
    try:
        with ExitStack() as stack:
            address = (login.target.host, login.target.port)
            wire = stack.enter_context(socket.create_connection(address, login.timeout))
            if login.tls:
                wire = stack.enter_context(client_context(login).wrap_socket(wire, server_hostname=login.hostname))
            return _login(wire, login)
    except OSError as error:
        return ClientResult(1, repr(error), connected=False, refused_text=str(error))


def _login(wire: socket.socket, login: Login) -> ClientResult:
    wire.sendall(login.connect_packet)
    answer = _read(wire, 4)
    code = return_code(answer)
    if code != 0:
        said = "closed without CONNACK" if code is None else refusal(code)
        return ClientResult(1, repr(answer), connected=False, refused_text=said)
    wire.sendall(packets.publish(TOPIC, PAYLOAD.encode(), qos=1))
    answer += _read(wire, 4)
    wire.sendall(packets.DISCONNECT)
    return ClientResult(0, repr(answer), connected=True, refused_text=None)


def _read(wire: socket.socket, count: int) -> bytes:
    """Read `count` bytes, fewer if the other side closes before."""
    got = b""
    while len(got) < count and (more := wire.recv(count - len(got))):
        got += more
    return got
