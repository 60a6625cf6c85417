"""The page docs/log.md: records of a real broker, with example values in place of what is another one each time.

``PYTHONPATH=tests python -m support.log_page > docs/log.md``
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import support.packets as mqtt
from doorlog.events.records import ANY_EVENT
from doorlog.events.sentences import message_of
from support.broker import FREE, running, tls
from support.clients.raw_tls import Offer, handshake_then, open_tunnel
from support.log_fields import FIELDS
from support.log_promises import PROMISES
from support.pki import SERVER, Pki
from support.records import action_is
from support.users import our_auth, write_users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.records import Record

_HOST: Final = "mqtt.example.com"
_BEGIN: Final = datetime(2026, 3, 1, 15, 2, 11, 250_000, tzinfo=UTC)
_LEFT: Final = timedelta(days=20)  # in which the certificate expires
_CONNECTION: Final = 0x5B1E1D0A77C3F2E1
_PORT: Final = 49_730
_SESSION: Final = 15_138_000_000_000  # nanoseconds
_WIDTH: Final = 118
_EXAMPLES: Final[tuple[tuple[str, str, dict[str, str]], ...]] = (
    (
        "A device that does not trust us",
        "It never sent a client id. Known are its address, what it offered, what it was shown, and who refused whom.",
        {"code": "server_certificate_unknown_ca"},
    ),
    (
        "A wrong password",
        "The device is known by its client id, which nobody has proven: it is likely, not certain.",
        {"code": "bad_password"},
    ),
    ("A device that came in", "Its `doorlog.connection_id` is that of all its records.", {"code": "admitted"}),
    (
        "Who it was that failed before",
        "Admitted from the place of attempts that had failed, looking the same: see [identity.md](identity.md).",
        {"action": "device_confirmed"},
    ),
    ("A topic that it may not write to", "It stays connected.", {"action": "authorize"}),
    ("The end of its session", "`event.code` tells how: here, the device said goodbye.", {"action": "disconnect"}),
    (
        "What a listener serves",
        "At each start, with what a self-check finds: devices will refuse a chain that has expired or is incomplete.",
        {"action": "certificate_served"},
    ),
    ("A certificate that is about to expire", "Once a day, from 30 days before.", {"action": "certificate_expiring"}),
    ("The log begins", "", {"action": "audit_started"}),
    (
        "The log ends",
        "The promise in numbers: as many records as sockets. A log without this line was cut off.",
        {"action": "audit_stopped"},
    ),
    (
        "All of it is vouched for",
        "After so many records, at the end of each segment and behind the log's last word; signed, if there is a key.",
        {"action": "audit_checkpoint"},
    ),
)
_INTRODUCTION: Final = """\
# The log

One JSON object a line, in the shape of the [Elastic Common Schema](https://www.elastic.co/guide/en/ecs/current/) with
nested objects: log shippers take it as it is. A field that has nothing to say is absent. `doorlog schema` prints the
JSON Schema; [codes.md](codes.md) explains each `event.code`; where the log goes is said in
[configuration.md](configuration.md#log).

**The promise:** each accepted socket leaves exactly one `connect` record, whatever the client, the load or the fault.
`event.sequence` has no gap, so that a missing line shows. No field can hold a password or a token.

## Promises

What is promised of the log, and the test that breaks things to prove it. How it is kept: [delivery.md](delivery.md).

{promises}
## Read it

```console
tail -f doorlog.jsonl | jq -r .message
jq -r 'select(.event.outcome == "failure") | [.source.ip, .device.id, .event.code] | @tsv' doorlog.jsonl
jq -r 'select(.event.action == "connect") | .event.code' doorlog.jsonl | sort | uniq -c | sort -rn
jq -c 'select(.tls.alert.direction == "received") | [.source.ip, .tls.client.ja4, .tls.alert.description]' doorlog.jsonl
jq -c 'select(.doorlog.connection_id == "5b1e1d0a77c3f2e4")' doorlog.jsonl
grep -c '"code":"server_certificate_unknown_ca"' doorlog.jsonl
```

Begin with three fields: `event.code` says why, `doorlog.stage` how far the device came, and `tls.alert.direction` who
refused whom.
"""
_FOOT: Final = """\
This page is made from records of a broker that ran, with example values in place of times, addresses, ports, keys and
numbers that are others each time, by `make docs`.
"""


async def page(folder: Path) -> str:
    """Run a broker and return the page."""
    records = _shown(await live_records(folder))
    blocks = [_INTRODUCTION.replace("{promises}", _promises()), "## Records\n"]
    for title, text, wanted in _EXAMPLES:
        example = next(filter(action_is(**{"action": "connect", **wanted}), records))
        blocks += [f"### {title}\n", *([f"{text}\n"] if text else []), f"```json\n{pretty(example)}\n```\n"]
    blocks += ["## Fields\n", "Fields marked * are ours, where ECS has none.\n", _fields(), _FOOT]
    return "\n".join(blocks)


async def live_records(folder: Path) -> list[Record]:
    """Run a broker, let devices do what the page shows, and return all records."""
    pki = Pki(folder)
    leaf = replace(SERVER, common_name=_HOST, names=(_HOST,), end=_LEFT.days)
    doors = {"mqtts": {"bind": FREE, "tls": tls(pki.issue("broker", leaf, pki.servers))}}
    auth = our_auth(write_users(folder / "users.txt", {"pump-17": "wonderland"}))
    acl = {"amqtt_doorlog.TopicAclPlugin": {"rules": {"*": {"publish": ["lp/%u/#"]}}}}
    offer = Offer(server_name=_HOST, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    async with running(folder, doors, auth=auth, acl=acl) as broker:
        target = broker.target("mqtts")
        await broker.connect_of(await handshake_then(target, "fin", replace(offer, cafile=pki.other_cafile)))
        wrong = mqtt.connect("pump-17", user_name="pump-17", password="forgotten")
        await broker.connect_of(await handshake_then(target, "fin", offer, data=wrong, expect=4))
        async with open_tunnel(target, offer) as pump:
            await pump.shake_hands()
            await pump.send(mqtt.connect("pump-17", user_name="pump-17", password="wonderland"))
            await pump.read(4)
            await broker.record(action_is("device_confirmed"))
            await pump.send(mqtt.publish("lp/pump-18/state", qos=1))
            await broker.record(action_is("authorize"))
            await pump.send(mqtt.DISCONNECT)
            await pump.leave("fin")
            await broker.disconnect_of(pump.wire.address)
    return broker.log.records


# example values


def _shown(records: list[Record]) -> list[Record]:
    """Put example values in place of what is another one each time."""
    connections = list(dict.fromkeys(record["doorlog"].get("connection_id") for record in records))
    shown = []
    for index, record in enumerate(records):
        example = {key: _example(value, (key,)) for key, value in record.items()}
        example["@timestamp"] = _time(_BEGIN + timedelta(seconds=2 * index))
        number = connections.index(record["doorlog"].get("connection_id"))
        if number:
            example["doorlog"]["connection_id"] = f"{_CONNECTION + number:016x}"
            example["source"]["port"] = _PORT + number
        shown.append(_with_example_words(example, record))
    return shown


def _with_example_words(example: Record, record: Record) -> Record:
    """Do so within sentences, too; the message is made anew, as the log makes it."""
    if record["event"]["action"] == "disconnect":
        example["event"]["duration"] = _SESSION
    text = json.dumps(example, ensure_ascii=False).replace("127.0.0.1", "10.0.0.9")
    expires = _text_date(record.get("tls", {}).get("server", {}).get("x509", {}).get("not_after"))
    text = text.replace(expires, f"{_BEGIN + _LEFT:%Y-%m-%d}") if expires else text
    result: Record = json.loads(text)
    result["message"] = message_of(ANY_EVENT.validate_json(text).model_copy(update={"service": None}))
    return result


def _text_date(moment: str | None) -> str:
    return moment[:10] if moment else ""


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


_EXAMPLE_VALUES: Final[dict[str, Any]] = {
    "event.duration": 18_078_465,
    "service.instance.id": "6bc2c0eddce3",
    "doorlog.auth.verdicts.duration": 1_284_117,
    "doorlog.confirmed.connection_ids": [f"{_CONNECTION + 1:016x}"],
    "doorlog.confirmed.first": _time(_BEGIN - timedelta(hours=3)),
    "doorlog.confirmed.last": _time(_BEGIN - timedelta(hours=3)),
    "doorlog.previous_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "source.bytes": 318,
    "destination.port": 8883,
    "destination.bytes": 1_329,
    "tls.ticket": "8f14e45fceea167a",
    "tls.handshake_duration": 2_914_330,
    "tls.client.ja4": "t13d041000_8daaf6152771_1f22a2ca17c4",
    "tls.server.x509.serial_number": "3FA2B4C5D6E7F809A1B2C3D4E5F60718293A4B5C",
    "tls.server.x509.not_before": _time(_BEGIN - timedelta(days=345))[:19] + "Z",
    "tls.server.x509.not_after": _time(_BEGIN + _LEFT)[:19] + "Z",
    "tls.server.hash.sha256": "68B766A5A38A2AEAF6322C5931966EA61A1FD4A03A9438C53081C5BBEB29E29D",
}


def _example(value: Any, path: tuple[str, ...]) -> Any:
    name = ".".join(path)
    if name in _EXAMPLE_VALUES:
        return _EXAMPLE_VALUES[name]
    if name == "event.id":
        return re.sub(r"^[0-9a-f]+", "dc92bd86a32a", value)
    if isinstance(value, dict):
        return {key: _example(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_example(inner, path) for inner in value]
    return value


# how it is shown


def pretty(value: Any, indent: str = "") -> str:
    """Return JSON in which an object or a list stands in one line if it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (indent and len(indent) + len(line) < _WIDTH):
        return line
    deeper = f"{indent}  "
    if isinstance(value, list):
        inner = [f"{deeper}{pretty(item, deeper)}" for item in value]
    else:
        inner = [f"{deeper}{json.dumps(key)}: {pretty(item, deeper)}" for key, item in value.items()]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(inner) + f"\n{indent}{closing}"


_OURS: Final = ("doorlog.", "mqtt.", "tls.alert.")
_OURS_TOO: Final = {
    "tls.client.supported_versions",
    "tls.client.alpn",
    "tls.client.ja4",
    "tls.client.tickets",
    "tls.server.generation",
    "tls.server.supported_versions",
    "tls.handshake_duration",
    "tls.ticket",
}


def _promises() -> str:
    rows = "".join(f"| {promise} | `{test}` |\n" for promise, test in PROMISES)
    return "| promise | proof |\n| --- | --- |\n" + rows


def _fields() -> str:
    lines = ["| need | field | meaning |", "| --- | --- | --- |"]
    for need, fields in FIELDS.items():
        for index, (field, meaning) in enumerate(fields.items()):
            ours = "*" if field.startswith(_OURS) or field in _OURS_TOO else ""
            lines.append(f"| {need if index == 0 else ''} | `{field}`{ours} | {meaning} |")
    return "\n".join(lines) + "\n"


def schema_fields(schema: dict[str, Any]) -> set[str]:
    """Return the path of every field of the schema; ``[]`` stands behind lists of objects."""
    definitions: dict[str, Any] = schema["$defs"]

    def walk(node: dict[str, Any], path: str) -> Iterator[str]:
        if "$ref" in node:
            node = {**definitions[node["$ref"].rpartition("/")[2]]}
        if node.get("type") == "array" and "$ref" in node.get("items", {}):
            yield from walk(node["items"], f"{path}[]")
        elif "properties" in node and node.get("type") == "object":
            for name, inner in node["properties"].items():
                yield from walk(inner, f"{path}.{name}" if path else name)
        else:
            yield path

    return {field for option in schema["oneOf"] for field in walk(option, "")}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(asyncio.run(page(Path(name))))
