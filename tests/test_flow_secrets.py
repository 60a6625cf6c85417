"""No secret is in any output: a broker that logs all it can meets every kind of secret in every kind of trouble."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import support.packets as mqtt
from support.broker import FREE, tls
from support.clients.base import Target
from support.clients.raw import ask, open_wire, send_then
from support.clients.raw_tls import Offer, handshake_then
from support.commands import DOORLOG, READY, run_doorlog, write_yaml
from support.pki import Pki
from support.processes import clean_environment
from support.records import Record, RecordFile, action_is, following, read_records
from support.users import our_auth, write_users

TESTS = Path(__file__).parent
ACCEPTED = b"\x20\x02\x00\x00"
NOISY = {"PYTHONPATH": str(TESTS), "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}


class Secrets:
    """Gives out secrets, each of them unmistakable, and finds them again however they are written."""

    def __init__(self) -> None:
        self.given: dict[str, bytes] = {}

    def new(self, what: str) -> str:
        """Give one that every notation writes in its own way, around a core that is the same in most."""
        return f"é\"'\\{self.plain(what)}\t"

    def plain(self, what: str) -> str:
        """Give one that fits everywhere: letters and digits only, few, so that no output cuts it off."""
        secret = f"Zq{sha256(what.encode()).hexdigest()[:14]}qZ"
        assert what not in self.given
        self.given[what] = secret.encode()
        return secret

    def found_in(self, output: bytes) -> set[str]:
        lower = output.lower()
        return {what for what, secret in self.given.items() if any(form.lower() in lower for form in forms(secret))}


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how a secret may be written: as it is, escaped for Python, JSON and URLs, in hexadecimal and base64."""
    text = secret.decode()
    yield secret
    yield text.encode("utf-16-le")
    yield from (repr(secret)[2:-1].encode(), repr(text)[1:-1].encode(), ascii(text)[1:-1].encode())
    yield from (json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode())
    yield text.encode("unicode_escape")
    yield quote(text).encode()
    yield secret.hex().encode()
    yield from (secret.hex(separator).encode() for separator in " :")
    yield "".join(f"\\x{byte:02x}" for byte in secret).encode()
    for before in range(3):  # base64 looks another way at each place in a group of three
        whole = b64encode(bytes(before) + secret)
        yield whole[-(-before * 4 // 3) + 1 : -4]
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))[-(-before * 4 // 3) + 1 : -4]


class Broker:
    """A broker in a process of its own, and all that it says."""

    def __init__(self, process: asyncio.subprocess.Process, log: RecordFile) -> None:
        self.process = process
        self.log = log
        self.stderr = bytearray()
        self.ports: dict[str, int] = {}

    async def listen(self, ready: asyncio.Event) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.stderr += line
            if match := re.search(READY, line.decode()):
                urls = (entry.split(" ") for entry in match["urls"].split(", "))
                self.ports = {name: int(url.strip().rpartition(":")[2]) for name, url in urls}
                ready.set()

    def target(self, listener: str) -> Target:
        return Target("127.0.0.1", self.ports[listener])


@asynccontextmanager
async def noisy_broker(folder: Path, config: Path) -> AsyncIterator[Broker]:
    with (folder / "stdout").open("wb") as stdout, following(folder / "doorlog.jsonl") as log:
        process = await asyncio.create_subprocess_exec(
            *DOORLOG, "run", "-c", str(config), stdout=stdout, stderr=PIPE, env=clean_environment(NOISY), cwd=folder
        )
        broker, ready = Broker(process, log), asyncio.Event()
        listening = asyncio.create_task(broker.listen(ready))
        try:
            async with asyncio.timeout(15):
                await ready.wait()
            yield broker
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await process.wait() == 0
                await listening
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await listening


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def configuration(folder: Path, pki: Pki, users: Path) -> Path:
    served = tls(pki.server())
    return write_yaml(
        folder / "doorlog.yaml",
        listeners={
            "plain": {"bind": FREE},
            "tls": {"bind": FREE, "tls": {**served, "cafile": str(pki.cafile), "client_certificate": "optional"}},
            "ws": {"bind": FREE, "websocket": True},
            "wss": {"bind": FREE, "websocket": True, "tls": served},
            "lb": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]},
        },
        auth={"plugins": {"support.careless_plugins.CarelessAuth": {}, **our_auth(users)}},
        acl={"plugins": {"support.careless_plugins.CarelessTopics": {}}},
        broker={"plugins": {"amqtt.plugins.logging_amqtt.EventLoggerPlugin": {}}},
        log={"file": {"path": "doorlog.jsonl"}, "stdout": True, "console": "always"},
        limits={"auth_timeout": 0.3, "attempt_timeout": 5, "packet_max_bytes": 1_000, "linger_timeout": 0},
    )


def login(user: str, password: str | bytes, **more: Any) -> bytes:
    return mqtt.connect(f"device-of-{user}", user_name=user, password=password, **more)


def upgrade(secrets: Secrets, what: str) -> bytes:
    """A WebSocket request of a browser that sends all that it knows."""
    basic = b64encode(f"pump:{secrets.plain(f'basic {what}')}".encode()).decode()
    return (
        f"GET /mqtt?token={secrets.plain(f'token {what}')} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nAuthorization: Basic {basic}\r\nCookie: session={secrets.plain(f'cookie {what}')}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    ).encode()


def frame(payload: bytes) -> bytes:
    """A masked binary frame (RFC 6455, 5.2), its mask zero."""
    assert len(payload) < 126
    return bytes((0x82, 0x80 | len(payload))) + bytes(4) + payload


async def refused_logins(broker: Broker, secrets: Secrets, explained: str) -> None:
    """Everybody who is not let in."""
    plain, over_tls = broker.target("plain"), broker.target("tls")
    anybody = Offer(server_name="localhost")
    new = secrets.new
    await asyncio.gather(
        *(
            ask(plain, data, expect=4)
            for data in (
                login("pump", new("wrong password")),
                login("pump", b"\xff\x00" + new("password that is no text").encode()),
                login("nobody", new("password of an unknown user")),
                login("raises", new("password that a plugin raises")),
                login("hangs", new("password of a plugin that hangs")),
                login("sulks", new("password of a plugin that raises when it is cancelled")),
                login("explains", explained),
                login("pump", new("password in a reserved flag"), flags=0xC3),
                login("pump", new("password before a tail"), tail=new("tail of a CONNECT").encode()),
                login("pump", new("password of a will with QoS 3"), flags=0xDE, will=("w", b"x", 3, False)),
                login("pump", new("password of a CONNECT that is too large"), tail=b"x" * 70_000),
                mqtt.connect("p", password=new("password without a user name")),
                mqtt.connect("p\0", user_name="pump", password=new("password behind a client id with NUL")),
                mqtt.connect(b"\xff", user_name="pump", password=new("password behind a broken client id")),
                mqtt.connect_v5("p", user_name="pump", password=new("password of MQTT 5")),
                login("pump", new("password of a strange protocol"), protocol=("MQXX", 9)),
                login("pump", new("password of a cut CONNECT"))[:-2],
                b"SSH-2.0-" + new("words of another protocol").encode() + b"\r\n",
                b"GET /?token=" + secrets.plain("token in plain HTTP").encode() + b" HTTP/1.1\r\n\r\n",
                mqtt.publish("early/topic", new("payload before any CONNECT").encode()),
            )
        ),
        send_then(over_tls, login("pump", new("password in the clear at a TLS port")), "fin"),
        send_then(over_tls, b"GET /?t=" + secrets.plain("token at a TLS port").encode() + b" HTTP/1.1\r\n\r\n", "fin"),
        handshake_then(over_tls, "fin", anybody, data=login("pump", new("wrong password over TLS")), expect=4),
        handshake_then(over_tls, "rst", anybody, data=login("pump", new("password of who resets"))),
    )


async def proxies_and_browsers(broker: Broker, secrets: Secrets) -> None:
    lb, ws, wss = broker.target("lb"), broker.target("ws"), broker.target("wss")
    new = secrets.new
    tlvs = (mqtt.tlv(0xE0, new("token in a PROXY extension")), mqtt.ssl_tlv("pump"))
    wrong = login("pump", "no")
    await asyncio.gather(
        ask(lb, mqtt.proxy_v2(tlvs=tlvs) + login("pump", new("wrong password behind a proxy")), expect=4),
        ask(lb, b"PROXY TCP4 " + new("words of a broken PROXY header").encode() + b"\r\n", expect=4),
        ask(lb, login("pump", new("password without a PROXY header")), expect=4),
        ask(ws, upgrade(secrets, "ws") + frame(login("pump", secrets.plain("password over ws"))), expect=300),
        ask(ws, upgrade(secrets, "early").replace(b"13", b"99", 1), expect=300),
        ask(ws, upgrade(secrets, "text frame") + b"\x81" + frame(wrong)[1:], expect=300),
        ask(ws, upgrade(secrets, "no upgrade").replace(b"Upgrade: websocket\r\n", b""), expect=300),
        handshake_then(
            wss, "fin", data=upgrade(secrets, "wss") + frame(login("pump", secrets.plain("password over wss")))
        ),
    )


async def admitted_devices(broker: Broker, secrets: Secrets, password: str) -> None:
    """Devices with the right password, and what they send."""
    new = secrets.new
    will = ("wills/pump", new("payload of a will").encode(), 1, True)
    packets = (
        mqtt.publish("a/topic", new("payload").encode()),
        mqtt.publish("a/topic", new("payload with QoS 1").encode(), qos=1),
        mqtt.packet(0x31, mqtt.mqtt_bytes("kept/topic") + new("payload that is retained").encode()),
        mqtt.publish("raise/topic", new("payload that a plugin fails over").encode(), qos=1, packet_id=2),
        mqtt.publish("deny/topic", new("payload that is refused").encode(), qos=1, packet_id=3),
        mqtt.subscribe("raise/#", packet_id=4),
        mqtt.subscribe("a/#", packet_id=5),
        mqtt.publish("a/topic", new("payload that comes back").encode()),
    )
    ends = (
        mqtt.DISCONNECT,
        mqtt.publish("a/#", new("payload to a wildcard").encode()),
        mqtt.packet(0x36, new("payload with QoS 3").encode()),
        mqtt.publish("a/b", new("payload that is too large").encode() * 300),
        mqtt.publish("a/b", new("payload that is cut off").encode())[:-3],
        login("pump", new("password of a second CONNECT")),
    )
    for end in ends:
        async with open_wire(broker.target("plain")) as wire:
            await wire.send(login("pump", password, will=will))
            while len(wire.received) < 4 and await wire.receive():
                pass
            assert wire.received[:4] == ACCEPTED
            await wire.send(b"".join(packets) + end)
            await wire.leave("fin")
            await broker.log.first(ended(wire.address[1]))
    await handshake_then(broker.target("tls"), "fin", data=login("pump", password), expect=4)


def ended(port: int) -> Callable[[Record], bool]:
    return lambda record: action_is("disconnect")(record) and record["source"]["port"] == port


def outputs_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "users.txt"}


async def test_no_secret_is_in_any_output_of_a_broker(tmp_path: Path, pki: Pki) -> None:
    secrets = Secrets()
    password = secrets.new("right password")
    explained = secrets.new("password in the reason of a plugin")
    users = write_users(tmp_path / "users.txt", {"explains": explained, "pump": password})
    secrets.given["hash of the password"] = users.read_bytes().strip().rpartition(b"$")[2]
    key = pki.server().keyfile.read_text().splitlines()
    secrets.given |= {f"line {number} of the key": line.encode() for number, line in enumerate(key[1:-1])}

    async with noisy_broker(tmp_path, configuration(tmp_path, pki, users)) as broker:
        await refused_logins(broker, secrets, explained)
        await proxies_and_browsers(broker, secrets)
        await admitted_devices(broker, secrets, password)

    records = read_records(tmp_path / "doorlog.jsonl")
    codes = {record["event"].get("code") for record in records}
    assert {"bad_password", "auth_backend_error", "auth_timeout", "malformed_connect", "plaintext_mqtt"} <= codes
    assert {"admitted", "protocol_error", "packet_too_large", "websocket_rejected", "proxy_header_invalid"} <= codes
    assert b"DEBUG amqtt" in broker.stderr, "it said all that it could"
    assert b"device-of-pump" in broker.stderr
    outputs = {"stderr": bytes(broker.stderr), **outputs_in(tmp_path)}
    assert {"doorlog.jsonl", "stdout"} <= set(outputs)
    assert len(secrets.given) > 60
    assert {name: found for name, output in outputs.items() if (found := secrets.found_in(output))} == {}


@pytest.mark.parametrize("how", list(range(17)))
def test_a_secret_is_found_however_it_is_written(how: int) -> None:
    secrets = Secrets()
    secrets.new("some secret")
    form = list(forms(secrets.given["some secret"]))[how]

    assert len(form) > 14
    assert secrets.found_in(b"x" + form + b"y") == {"some secret"}
    assert secrets.found_in(b64encode(b"ab" + secrets.given["some secret"] + b"cdef")) == {"some secret"}
    assert not secrets.found_in(b"device-of-pump " + form[2:-2])


# commands


async def test_no_secret_is_in_what_the_commands_say(tmp_path: Path) -> None:
    secrets = Secrets()
    plain = secrets.plain
    users = tmp_path / "users.txt"
    given = [plain("password of passwd"), plain("password of a user that can not be"), plain("password for nowhere")]
    finished: list[bytes] = []
    for user, password, file in zip(("anna", "a:b", "anna"), given, (users, users, tmp_path / "no" / "f"), strict=True):
        process = await asyncio.create_subprocess_exec(
            *DOORLOG, "passwd", str(file), user, stdin=PIPE, stdout=PIPE, stderr=PIPE,
            env=clean_environment(NOISY), cwd=tmp_path,
        )  # fmt: skip
        finished += await process.communicate(f"{password}\n".encode())
    options = {"password_file": str(users), "token": plain("token in an option"), "x": [plain("secret in a list")]}
    private = tmp_path / "private.pem"
    private.write_text(f"-----BEGIN PRIVATE {'KEY'}-----\n{plain('broken key')}\n-----END PRIVATE {'KEY'}-----\n")
    config = write_yaml(
        tmp_path / "doorlog.yaml",
        listeners={"tls": {"bind": FREE, "tls": {"certfile": str(private), "keyfile": str(private)}}},
        auth={"plugins": {"amqtt_doorlog.PasswordFilePlugin": options, "no.such.Plugin": {"p": plain("option")}}},
        log={"file": {"path": "doorlog.jsonl"}},
    )
    for command in ("check", "run"):
        said = await run_doorlog(command, "-c", config, cwd=tmp_path, env=NOISY)
        assert said.exit_code != 0
        finished.append(said.output.encode())

    assert users.read_bytes().startswith(b"anna:")
    assert all(secret not in users.read_bytes() for secret in secrets.given.values())
    assert secrets.found_in(b"\n".join(finished)) == set()
