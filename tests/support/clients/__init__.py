"""Real client stacks that knock at a door, and clients that misbehave on purpose.

Reading order: `base` (what goes in, what comes out), the stacks `mosquitto`, `paho`, `pythonssl`, `openssl`, `gnutls`,
`nodejs`, `mbedtls`, `curl`, then `raw` and `raw_tls` (misbehaviour), `connack`, `servers`.

    result = await MosquittoPub().run(Target("127.0.0.1", port), cafile=ca, username="demo", password="demo")
    assert result.connected, result

`DOORLOG_REQUIRE_CLIENTS=1` (set by .ci/run) turns a stack that is not installed from a skipped test into a failed one.
"""

from __future__ import annotations

import os

import pytest

from support.clients.base import Client, ClientResult, Login, Target
from support.clients.curl import Curl
from support.clients.gnutls import GnuTlsClient
from support.clients.mbedtls import MbedTls
from support.clients.mosquitto import MosquittoPub
from support.clients.nodejs import MqttJs
from support.clients.openssl import EXOTIC, OpenSslClient
from support.clients.paho import Paho
from support.clients.pythonssl import PythonSsl

LOGIN_CLIENTS: tuple[Client, ...] = (
    MosquittoPub(),
    Paho(),
    PythonSsl(),
    OpenSslClient(),
    GnuTlsClient(),
    MqttJs(),
    MbedTls(),
)
"""The stacks that can log in; curl cannot."""


def usable(client: Client) -> Client:
    """Return `client`, or skip the test because it is not installed; fail it under DOORLOG_REQUIRE_CLIENTS=1."""
    reason = client.available()
    if reason is None:
        return client
    if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{client.name} is required here, but: {reason}", pytrace=False)
    pytest.skip(f"{client.name}: {reason}")


__all__ = [
    "EXOTIC",
    "LOGIN_CLIENTS",
    "Client",
    "ClientResult",
    "Curl",
    "GnuTlsClient",
    "Login",
    "MbedTls",
    "MosquittoPub",
    "MqttJs",
    "OpenSslClient",
    "Paho",
    "PythonSsl",
    "Target",
    "usable",
]
