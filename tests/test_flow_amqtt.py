"""The real ``amqtt`` command with the door in front, real clients, and every record of its log."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import websockets
import yaml
from websockets.typing import Subprotocol

import support.packets as mqtt
from support.amqtt_door import (
    DOOR,
    EXTERNAL,
    FREE,
    TESTS_ON_PATH,
    Command,
    amqtt_command,
    amqtt_program,
    door_config,
    write_users,
)
from support.broker import tls
from support.clients import MosquittoPub, Paho, usable
from support.clients.base import PAYLOAD, TOPIC, Target
from support.clients.raw import send_then
from support.devices import REFUSED, Connack, Device, devices
from support.pki import Pki
from support.ports import free_port
from support.processes import Serving, run, serving
from support.records import Record, action_is, read_records, vouched_for

PASSWORDS = {"anna": "wonderland-17", "bert": "builder-18", "patience": "waiting-19"}
SHIPPED = Path(__file__).parents[1] / "config" / "amqtt.yaml"
RULES = {"*": {"publish": ["doors/#", "pumps/%u/#"], "subscribe": ["doors/#", "pumps/%u/#"]}}
ACL: dict[str, Any] = {"amqtt_doorlog.TopicAclPlugin": {"rules": RULES}}

pytestmark = pytest.mark.skipif(not amqtt_program().exists(), reason="amqtt's command is not installed here")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def passwords(tmp_path: Path) -> dict[str, Any]:
    return {"amqtt_doorlog.PasswordFilePlugin": {"password_file": str(write_users(tmp_path / "users.txt", PASSWORDS))}}


def both_ports(pki: Pki) -> dict[str, Any]:
    return {"plain": {"bind": FREE}, "mqtts": {"bind": FREE, "tls": tls(pki.server())}}


@asynccontextmanager
async def mosquitto_sub(target: Target, cafile: Path, topic_filter: str) -> AsyncIterator[Serving]:
    """A subscriber that prints what it gets, and ends with the first message."""
    where = ["-h", "localhost", "-p", str(target.port), "--cafile", str(cafile), "-C", "1"]
    who = ["-i", "pump-18", "-u", "bert", "-P", PASSWORDS["bert"]]
    argv = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-v", *where, *who, "-t", topic_filter]
    async with serving(argv, ready=r"Subscribed \(mid: 1\): 0") as subscriber:
        yield subscriber


def stopped_at(record: Record) -> tuple[str, str]:
    return record["doorlog"]["stage"], record["event"]["code"]


# One broker, many devices.


async def test_a_good_login_delivers_a_message(tmp_path: Path, pki: Pki, passwords: dict[str, Any]) -> None:
    config = door_config(tmp_path, both_ports(pki), plugins={**passwords, **ACL})
    login: dict[str, Any] = {"username": "anna", "password": PASSWORDS["anna"], "client_id": "pump-17"}
    publisher = usable(MosquittoPub())
    async with amqtt_command(tmp_path, config) as broker:
        target = broker.target("mqtts")
        async with mosquitto_sub(target, pki.cafile, "doors/#") as subscriber:
            result = await publisher.run(target, cafile=pki.cafile, **login)
            await subscriber.line(f"^{TOPIC} {PAYLOAD}$")
            assert await subscriber.process.wait() == 0
        good = await broker.log.first(lambda record: record.get("mqtt", {}).get("client_id") == "pump-17")
        await check_refused_logins(broker, pki, login)
        await asyncio.gather(*(send_then(target, b"\x16\x03\x01", how) for how in ("fin", "rst") * 20))
        paho = await usable(Paho()).run(broker.target("plain"), tls=False, **login)
        assert paho.connected, paho

    assert result.connected, result
    assert stopped_at(good) == ("session", "admitted")
    assert (good["user"]["name"], good["tls"]["client"]["server_name"]) == ("anna", "localhost")
    assert good["doorlog"]["auth"]["method"] == "password"
    assert [said["plugin"] for said in good["doorlog"]["auth"]["verdicts"]] == ["PasswordFilePlugin"]
    codes = Counter(told(record)[:2] for record in broker.log.records)
    assert codes[("disconnect", "normal")] == codes[("connect", "admitted")] == 3
    assert codes[("connect", "closed_before_hello")] == 40
    assert len([line for line in broker.server.lines if "Connection from" in line]) == 3, "amqtt hears of no stranger"


async def check_refused_logins(broker: Command, pki: Pki, login: dict[str, Any]) -> None:
    """What stock amqtt says nothing about."""
    target, publisher = broker.target("mqtts"), usable(MosquittoPub())
    wrong = await publisher.run(target, cafile=pki.cafile, **{**login, "password": "guess-1"})
    distrust = await publisher.run(target, cafile=pki.other_cafile, **login)
    plaintext = await publisher.run(target, tls=False, **login)

    assert "bad user name or password" in (wrong.refused_text or "")
    assert "certificate verify failed" in (distrust.refused_text or "")
    assert not plaintext.connected
    refused = await broker.log.first(action_is("connect", code="bad_password"))
    assert (refused["mqtt"]["client_id"], refused["user"]["name"]) == ("pump-17", "anna")
    unknown = await broker.log.first(action_is("connect", code="server_certificate_unknown_ca"))
    assert unknown["tls"]["alert"] == {"code": 48, "description": "unknown_ca", "direction": "received"}
    assert stopped_at(await broker.log.first(action_is("connect", code="plaintext_mqtt"))) == (
        "hello",
        "plaintext_mqtt",
    )


async def test_what_devices_may_not_do(tmp_path: Path, passwords: dict[str, Any]) -> None:
    config = door_config(tmp_path, {"plain": {"bind": FREE}}, plugins={**ACL, **passwords}, door_first=False)
    async with amqtt_command(tmp_path, config) as broker, devices(broker.target()) as dial:
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False, will=("pumps/anna", b"", 0, False))
        assert anna.admitted

        bert = await dial("pump-17", "bert", PASSWORDS["bert"])
        assert bert.connack == Connack(session_present=False, code=2)
        assert stopped_at(await broker.connect_of(bert.address)) == ("credentials", "client_id_taken")
        will = await dial("pump-18", "bert", PASSWORDS["bert"], will=("pumps/anna/state", b"gone", 0, False))
        assert will.connack == Connack(session_present=False, code=5)
        foreign = await broker.connect_of(will.address)
        assert stopped_at(foreign) == ("credentials", "will_not_authorized")
        assert foreign["mqtt"]["topic"] == "pumps/anna/state"
        await check_refused_topics(broker, anna)
        assert await anna.is_served()


async def check_refused_topics(broker: Command, anna: Device) -> None:
    already = len(broker.log.records)
    assert await anna.subscribe("pumps/+/state") == REFUSED
    await anna.publish("pumps/bert/state", b"on")
    assert await anna.subscribe("pumps/anna/#") == 0
    codes = []
    for code, topic in (("subscribe_refused", "pumps/+/state"), ("publish_refused", "pumps/bert/state")):
        record = await broker.log.first(action_is("authorize", code=code), after=already)
        assert (record["mqtt"]["client_id"], record["mqtt"]["topic"]) == ("pump-17", topic)
        assert (record["source"]["port"], record["user"]["name"]) == (anna.address[1], "anna")
        codes.append(code)
    refused = [record["event"]["code"] for record in broker.log.records if record["event"]["action"] == "authorize"]
    assert refused[-2:] == codes


async def test_the_configuration_that_is_shipped(tmp_path: Path, pki: Pki) -> None:
    config = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    config["plugins"][DOOR]["listeners"]["mqtts"]["bind"] = FREE
    server = pki.server()
    (tmp_path / "chain.pem").write_bytes(server.certfile.read_bytes())
    (tmp_path / "key.pem").write_bytes(server.keyfile.read_bytes())
    write_users(tmp_path / "users.txt", PASSWORDS)
    async with amqtt_command(tmp_path, config) as broker:
        result = await usable(MosquittoPub()).run(
            broker.target("mqtts"), cafile=pki.cafile, username="anna", password=PASSWORDS["anna"], client_id="pump-17"
        )
        refused = await broker.log.first(action_is("authorize"))

    assert result.connected
    assert refused["event"]["code"] == "publish_refused", "doors/hello is not below devices/anna"


# Starts and stops.


async def test_a_stop_is_recorded_whole_and_a_restart_appends(tmp_path: Path, passwords: dict[str, Any]) -> None:
    plugins = {**passwords, "support.flow_plugins.HangsForOne": {}}
    config = door_config(tmp_path, {"plain": {"bind": FREE}}, plugins=plugins, limits={"auth_timeout": 300})
    async with amqtt_command(tmp_path, config) as broker, devices(broker.target()) as dial:
        undecided = await dial("pump-18", "patience", PASSWORDS["patience"], waits=False)
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        await anna.subscribe("pumps/#", qos=1)
        broker.server.process.terminate()
        assert await broker.server.process.wait() == 0
        await anna.wire.drain()
        await undecided.wire.drain()
        assert {device.wire.ended for device in (anna, undecided)} == {"eof"}
    async with amqtt_command(tmp_path, config) as broker, devices(broker.target()) as dial:
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], clean_session=False)
        assert anna.connack == Connack(session_present=False, code=0), "amqtt keeps sessions in memory only"
        await anna.disconnect()
        await broker.disconnect_of(anna.address)

    records = read_records(tmp_path / "log" / "doorlog.jsonl")
    first, second = (list(group) for _, group in groupby(records, lambda record: record["service"]["instance"]["id"]))
    assert [told(record) for record in (first[0], *second)] == [
        ("audit_started", None, None),
        ("audit_started", None, None),
        ("connect", "admitted", "pump-17"),
        ("disconnect", "normal", "pump-17"),
        ("audit_stopped", None, None),
        ("audit_checkpoint", None, None),
    ]
    assert sorted(map(told, first[1:-2])) == [
        ("connect", "admitted", "pump-17"),
        ("connect", "server_shutdown", "pump-18"),
        ("disconnect", "server_shutdown", "pump-17"),
    ]
    assert told(vouched_for(first)[-1]) == ("audit_stopped", None, None)


def told(record: Record) -> tuple[str, str | None, str | None]:
    return record["event"]["action"], record["event"].get("code"), record.get("mqtt", {}).get("client_id")


# What the operator is told.


@pytest.mark.parametrize(
    ("listeners", "door", "sentences"),
    [
        (
            {"default": {"type": "tcp", "bind": FREE}},
            {},
            ["amqtt's own listeners.default opens a port beside the door"],
        ),
        (EXTERNAL, {"limits": {"auth_timout": 1}}, ["limits.auth_timout: unknown key", '"auth_timeout"']),
        (EXTERNAL, {"listeners": {"plain": {"bind": "192.0.2.1:{port}"}}}, ["listeners.plain.bind: 192.0.2.1:"]),
    ],
    ids=["a port beside the door", "a wrong key", "an address of somebody else"],
)
async def test_what_keeps_amqtt_from_starting(
    listeners: dict[str, Any], door: dict[str, Any], sentences: list[str], tmp_path: Path, passwords: dict[str, Any]
) -> None:
    config = door_config(tmp_path, {"plain": {"bind": FREE}}, plugins=passwords)
    config["listeners"] = listeners
    config["plugins"][DOOR].update(door)
    path = tmp_path / "amqtt.yaml"
    path.write_text(yaml.safe_dump(config).replace("{port}", str(free_port())))

    finished = await run([amqtt_program(), "-c", path], cwd=tmp_path, env=TESTS_ON_PATH, patience=30)

    assert not finished.timed_out, "amqtt runs on without a port"
    assert finished.exit_code == 1
    told = [line for line in finished.output.splitlines() if "ERROR - plugins.amqtt_doorlog.DoorPlugin: " in line]
    for sentence in sentences:
        assert any(sentence in line for line in told), finished.output
    assert "Traceback" not in finished.output
    assert "was destroyed" not in finished.output


async def test_no_secret_is_in_the_debug_log(tmp_path: Path, pki: Pki, passwords: dict[str, Any]) -> None:
    plugins = {
        "amqtt.plugins.logging_amqtt.PacketLoggerPlugin": {},
        "amqtt.plugins.logging_amqtt.EventLoggerPlugin": {},
        **passwords,
    }
    ports = {**both_ports(pki), "ws": {"bind": FREE, "websocket": True}}
    config = door_config(tmp_path, ports, plugins=plugins, log={"stdout": True, "console": "always"})
    config["plugins"][DOOR]["log"]["file"] = {"path": str(tmp_path / "log" / "doorlog.jsonl")}
    async with amqtt_command(tmp_path, config, "-d") as broker:
        for password in (PASSWORDS["anna"], "guess-1-secret"):
            for port in ("plain", "mqtts"):
                await usable(MosquittoPub()).run(
                    broker.target(port),
                    tls=port == "mqtts",
                    cafile=pki.cafile if port == "mqtts" else None,
                    username="anna",
                    password=password,
                    client_id="pump-17",
                )
            await speak_mqtt_over_websocket(broker.target("ws"), password)

    said = "\n".join(broker.server.lines)
    assert re.search(r"<-in-- .*client_id=pump-17.*username=anna, password=None", said), "amqtt's own words"
    for secret in [*PASSWORDS.values(), "guess-1-secret"]:
        assert secret not in said
        assert secret[-4:].encode().hex(" ") not in said
    assert not [line for line in said.splitlines() if "$argon2" in line]


async def speak_mqtt_over_websocket(target: Target, password: str) -> None:
    async with websockets.connect(f"ws://{target}/mqtt", subprotocols=[Subprotocol("mqtt")]) as socket:
        await socket.send(mqtt.connect("pump-18", user_name="anna", password=password))
        assert await socket.recv() in {b"\x20\x02\x00\x00", b"\x20\x02\x00\x04"}
