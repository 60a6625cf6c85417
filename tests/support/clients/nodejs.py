"""MQTT.js on Node.js, which closes without an alert when it refuses a certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.clients.base import PAYLOAD, TOPIC, WEBSOCKET_PATH, Client, judged
from support.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.clients.base import ClientResult, Login

FOLDER = Path(__file__).parent / "node"
INSTALLED = FOLDER / "node_modules" / "mqtt" / "package.json"


class MqttJs(Client):
    """Publishes one message with QoS 1, over TCP or WebSocket."""

    name = "Node.js mqtt.js"
    websocket = True
    programs = ("node",)

    def available(self) -> str | None:
        """Return None if Node.js and the installed MQTT.js are there."""
        if (missing := super().available()) is not None:
            return missing
        return None if INSTALLED.exists() else "MQTT.js is not installed: run `make clients`"

    async def _attempt(self, login: Login) -> ClientResult:
        finished = await run(["node", FOLDER / "client.js", json.dumps(_attempt(login))], patience=login.timeout)
        events = {event.get("event"): event for event in _events(finished.output)}
        said = events.get("error", {}).get("message")
        closed = "closed without CONNACK" if "close" in events else None
        return judged(finished, 0 if "connect" in events else None, filter(None, (said, closed)))


def _attempt(login: Login) -> dict[str, Any]:
    scheme = ("ws" if login.websocket else "mqtt") + ("s" if login.tls else "")
    options = {
        "clientId": login.client_id or "",
        "username": login.username,
        "password": login.password,
        "connectTimeout": int(login.timeout * 1000),
        "servername": login.hostname,
        **({f"{end}Version": f"TLSv{login.tls_version}" for end in ("min", "max")} if login.tls_version else {}),
    }
    given = {"ca": login.cafile, "cert": login.certfile, "key": login.keyfile or login.certfile}
    return {
        "url": f"{scheme}://{login.target}{WEBSOCKET_PATH if login.websocket else ''}",
        "topic": TOPIC,
        "payload": PAYLOAD,
        "files": {name: str(path) for name, path in given.items() if path is not None and login.tls},
        "options": {name: value for name, value in options.items() if value is not None},
    }


def _events(output: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines; Node's own complaints in between stay in the output."""
    for line in output.splitlines():
        if line.startswith('{"event"'):
            yield json.loads(line)
