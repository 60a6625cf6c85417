"""One attempt of paho-mqtt, told by JSON in argv[1]; prints paho's log and, last, `admitted` or `refused: why`."""

from __future__ import annotations

import json
import ssl
import sys
from typing import TYPE_CHECKING, Any, Literal

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode


def say(text: str) -> None:
    """Print now: the driver may end this process at any time."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def new_client(wish: dict[str, Any]) -> mqtt.Client:
    """Return a client that is configured but not connected."""
    transport: Literal["tcp", "websockets"] = "websockets" if wish["websocket_path"] else "tcp"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, wish["client_id"], transport=transport, reconnect_on_failure=False
    )
    if wish["websocket_path"]:
        client.ws_set_options(path=wish["websocket_path"])
    if wish["tls"]:
        client.tls_set_context(context(wish))
    if wish["username"] is not None:
        client.username_pw_set(wish["username"], wish["password"])
    client.on_log = lambda _client, _data, _level, text: say(text)
    return client


def context(wish: dict[str, Any]) -> ssl.SSLContext:
    """Return a context that verifies the broker."""
    made = ssl.create_default_context(cafile=wish["cafile"])
    if wish["certfile"]:
        made.load_cert_chain(wish["certfile"], wish["keyfile"])
    if wish["tls_version"]:
        made.minimum_version = made.maximum_version = ssl.TLSVersion[f"TLSv{wish['tls_version'].replace('.', '_')}"]
    return made


def attempt(wish: dict[str, Any]) -> str | None:
    """Log in, publish once with QoS 1 and leave; return None, or why it was refused."""
    answers: list[ReasonCode] = []
    client = new_client(wish)
    client.on_connect = lambda _client, _data, _flags, answer, _properties: answers.append(answer)
    client.connect(wish["host"], wish["port"])
    while not answers:
        code = client.loop(0.2)
        if not answers and code != mqtt.MQTT_ERR_SUCCESS:
            return mqtt.error_string(code)
    if answers[0].is_failure:
        return str(answers[0])
    message = client.publish(wish["topic"], wish["payload"], qos=1)
    while not message.is_published() and client.loop(0.2) == mqtt.MQTT_ERR_SUCCESS:
        pass
    client.disconnect()
    return None


def main() -> int:
    """Run one attempt; exit 0 if it was admitted."""
    try:
        refused = attempt(json.loads(sys.argv[1]))
    except OSError as error:
        refused = str(error)
    say("admitted" if refused is None else f"refused: {refused}")
    return int(refused is not None)


if __name__ == "__main__":
    sys.exit(main())
