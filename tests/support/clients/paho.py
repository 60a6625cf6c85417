"""paho-mqtt, the Python MQTT client that most scripts and many gateways use."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.clients.base import PAYLOAD, TOPIC, WEBSOCKET_PATH, Client, judged
from support.processes import run

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login

PROGRAM = Path(__file__).with_name("paho_client.py")


class Paho(Client):
    """Publishes one message with QoS 1, over TCP or WebSocket.

    In a process of its own: paho leaves its socket open when TLS fails, and tests treat that warning as an error.
    """

    name = "paho-mqtt"
    websocket = True

    async def _attempt(self, login: Login) -> ClientResult:
        # -P: this folder holds a paho.py, which must not hide the real one
        finished = await run([sys.executable, "-P", PROGRAM, _wishes(login)], patience=login.timeout)
        said = re.search(r"^refused: (.*)$", finished.output, re.MULTILINE)
        admitted = "\nadmitted\n" in f"\n{finished.output}"
        return judged(finished, 0 if admitted else None, () if said is None else (said[1],))


def _wishes(login: Login) -> str:
    files = {"cafile": login.cafile, "certfile": login.certfile, "keyfile": login.keyfile}
    return json.dumps(
        {
            "host": login.dialled_name,
            "port": login.target.port,
            "client_id": login.client_id or "",
            "username": login.username,
            "password": login.password,
            "tls": login.tls,
            "tls_version": login.tls_version,
            "websocket_path": WEBSOCKET_PATH if login.websocket else None,
            "topic": TOPIC,
            "payload": PAYLOAD,
            **{name: None if path is None else str(path) for name, path in files.items()},
        }
    )
