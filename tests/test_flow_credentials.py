"""Credentials over real sockets: what the device is told, what the operator reads, and what nobody may ever read."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from amqtt_doorlog import PasswordFilePlugin
from doorlog.embedded.authority import EmbeddedAuthority
from support.broker import FREE, Running, running, tls
from support.clients import Client, MosquittoPub, OpenSslClient, Paho, usable
from support.clients.base import TlsVersion
from support.devices import Connack, DialDevice, devices
from support.pki import Pki
from support.records import Record, action_is
from support.users import our_auth, write_users

PASSWORDS = {"anna": "wonderland-17", "bert": "builder-18"}
RULES = {"*": {"publish": ["pumps/%u/#"], "subscribe": ["pumps/%u/#"]}}
ACL = {"amqtt_doorlog.TopicAclPlugin": {"rules": RULES}}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_users(tmp_path_factory.mktemp("users") / "users.txt", PASSWORDS)


@pytest.fixture
def passwords(password_file: Path) -> dict[str, dict[str, Any]]:
    return our_auth(password_file)


@asynccontextmanager
async def plain(folder: Path, auth: dict[str, Any], **more: Any) -> AsyncIterator[tuple[Running, DialDevice]]:
    """Run a broker with one plain listener, and let devices log in."""
    async with (
        running(folder, {"plain": {"bind": FREE}}, auth=auth, **more) as broker,
        devices(broker.target("plain")) as dial,
    ):
        yield broker, dial


def refusal(code: int) -> Connack:
    return Connack(session_present=False, code=code)


def verdicts(record: Record) -> list[tuple[str, str]]:
    assert all(said["duration"] >= 0 for said in record["doorlog"]["auth"]["verdicts"])
    return [(said["plugin"], said["verdict"]) for said in record["doorlog"]["auth"]["verdicts"]]


def check_refused(record: Record, code: str, connack: int) -> None:
    """What every refusal of credentials has in common."""
    assert (record["doorlog"]["stage"], record["event"]["code"]) == ("credentials", code)
    assert record["event"]["outcome"] == "failure"
    assert record["event"]["type"] == ["connection", "denied"]
    assert record["event"]["category"] == ["network", "authentication"]
    assert record["mqtt"]["connack"]["code"] == connack
    assert record["event"]["reason"]


# Every code of the stage.


async def test_a_wrong_password_and_an_unknown_user_look_the_same_from_outside(
    tmp_path: Path, passwords: dict[str, Any]
) -> None:
    async with plain(tmp_path, passwords) as (broker, dial):
        wrong = await dial("pump-17", "anna", "guess-1")
        unknown = await dial("pump-17", "mallory", "guess-1")
        missing = await dial("pump-17", "anna")
        for refused in (wrong, unknown, missing):
            await refused.wire.drain()

        check_refused(await broker.connect_of(wrong.address), "bad_password", 4)
        check_refused(await broker.connect_of(unknown.address), "unknown_user", 4)
        check_refused(await broker.connect_of(missing.address), "bad_password", 4)
        assert wrong.wire.received == unknown.wire.received == missing.wire.received == b"\x20\x02\x00\x04"
        assert {device.wire.ended for device in (wrong, unknown, missing)} == {"eof"}


async def test_a_right_password(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        record = await broker.connect_of(anna.address)

    assert anna.admitted
    assert record["event"]["code"] == "admitted"
    assert record["event"]["outcome"] == "success"
    assert record["event"]["type"] == ["connection", "allowed"]
    assert verdicts(record) == [("PasswordFilePlugin", "allow")]
    assert record["doorlog"]["auth"]["method"] == "password"
    assert record["user"] == {"name": "anna"}


async def test_no_credentials(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, passwords) as (broker, dial):
        nobody = await dial("pump-17")
        record = await broker.connect_of(nobody.address)

    assert nobody.connack == refusal(5)
    check_refused(record, "no_credentials", 5)
    assert verdicts(record) == [("PasswordFilePlugin", "abstain")]
    assert "user" not in record


async def test_a_login_that_no_plugin_can_judge(tmp_path: Path) -> None:
    async with plain(tmp_path, {"support.third_party.Abstains": {}}) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        record = await broker.connect_of(anna.address)

    assert anna.connack == refusal(5)
    check_refused(record, "not_authorized", 5)
    assert verdicts(record) == [("Abstains", "abstain")]


async def test_one_plugin_allows_and_another_denies(tmp_path: Path, passwords: dict[str, Any]) -> None:
    auth = {**passwords, "support.third_party.Denies": {}, "support.third_party.Abstains": {}}
    async with plain(tmp_path, auth) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        record = await broker.connect_of(anna.address)

    assert anna.connack == refusal(4)
    assert verdicts(record) == [("PasswordFilePlugin", "allow"), ("Denies", "deny"), ("Abstains", "abstain")]
    assert "Denies" in record["event"]["reason"]


async def test_a_client_id_of_another_user(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        bert = await dial("pump-17", "bert", PASSWORDS["bert"])
        record = await broker.connect_of(bert.address)
        assert await anna.is_served()

    assert bert.connack == refusal(2)
    check_refused(record, "client_id_taken", 2)
    assert verdicts(record) == [("PasswordFilePlugin", "allow")]
    assert (record["mqtt"]["client_id"], record["user"]["name"]) == ("pump-17", "bert")


async def test_a_client_id_is_free_again_when_its_session_is_over(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, passwords) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"])
        await anna.disconnect()
        await broker.disconnect_of(anna.address)
        bert = await dial("pump-17", "bert", PASSWORDS["bert"])

    assert bert.admitted


async def test_a_will_that_is_not_allowed(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, passwords, acl=ACL) as (broker, dial):
        foreign = await dial("pump-17", "anna", PASSWORDS["anna"], will=("pumps/bert/state", b"gone", 0, False))
        own = await dial("pump-18", "anna", PASSWORDS["anna"], will=("pumps/anna/state", b"gone", 0, False))
        record = await broker.connect_of(foreign.address)

    assert foreign.connack == refusal(5)
    check_refused(record, "will_not_authorized", 5)
    assert record["mqtt"]["topic"] == "pumps/bert/state"
    assert '"pumps/bert/state"' in record["message"]
    assert own.admitted


@pytest.mark.parametrize(
    ("topics", "code", "connack", "reason"),
    [
        ("AbstainsFromTopics", "will_not_authorized", 5, "it may not leave its will"),
        ("TellsWhatItKnows", "auth_backend_error", 3, "TellsWhatItKnows failed: LookupError"),
        ("NeverAnswersTopics", "auth_timeout", 3, "NeverAnswersTopics did not answer within 0.3 s"),
    ],
)
async def test_a_topic_plugin_that_does_not_allow_the_will(
    topics: str, code: str, connack: int, reason: str, tmp_path: Path, passwords: dict[str, Any]
) -> None:
    acl: dict[str, Any] = {f"support.flow_plugins.{topics}": {}}
    async with plain(tmp_path, passwords, acl=acl, limits={"auth_timeout": 0.3}) as (broker, dial):
        anna = await dial("pump-17", "anna", PASSWORDS["anna"], will=("pumps/anna/state", b"gone", 0, False))
        record = await broker.connect_of(anna.address)

    assert anna.connack == refusal(connack)
    check_refused(record, code, connack)
    assert record["event"]["reason"].startswith(reason)
    assert verdicts(record) == [("PasswordFilePlugin", "allow")]


async def test_a_plugin_that_raises(tmp_path: Path, passwords: dict[str, Any]) -> None:
    async with plain(tmp_path, {"support.third_party.Raises": {}, **passwords}) as (broker, dial):
        right = await dial("pump-17", "anna", PASSWORDS["anna"])
        wrong = await dial("pump-17", "anna", "guess-1")
        record = await broker.connect_of(right.address)
        of_wrong = await broker.connect_of(wrong.address)

    assert right.connack == wrong.connack == refusal(3), "a guess must not tell a right password from a wrong one"
    check_refused(record, "auth_backend_error", 3)
    check_refused(of_wrong, "auth_backend_error", 3)
    assert verdicts(record) == [("Raises", "error"), ("PasswordFilePlugin", "allow")]
    assert "Raises failed: KeyError" in record["event"]["reason"]


async def test_a_plugin_that_hangs_for_one_and_harms_nobody_else(tmp_path: Path) -> None:
    hangs: dict[str, Any] = {"support.flow_plugins.HangsForOne": {}}
    async with plain(tmp_path, hangs, limits={"auth_timeout": 0.3}) as (broker, dial):
        waiting = asyncio.ensure_future(dial("pump-1", "patience", "x"))
        neighbours = [await dial(f"pump-{number}", "anna", "x") for number in range(2, 12)]
        assert all([await neighbour.is_served() for neighbour in neighbours])
        late = await waiting
        record = await broker.connect_of(late.address)

    assert all(neighbour.admitted for neighbour in neighbours)
    assert late.connack == refusal(3)
    check_refused(record, "auth_timeout", 3)
    assert verdicts(record) == [("HangsForOne", "timeout")]
    assert (
        record["doorlog"]["auth"]["verdicts"][0]["duration"] >= 0.25e9
    )  # its clock starts a little after the deadline's


async def test_a_device_that_leaves_while_its_credentials_are_judged(tmp_path: Path) -> None:
    hangs: dict[str, Any] = {"support.third_party.Hangs": {}}
    async with plain(tmp_path, hangs, limits={"auth_timeout": 0.3}) as (broker, dial):
        reset = await dial("pump-1", "anna", "x", waits=False)
        finished = await dial("pump-2", "anna", "x", waits=False)
        reset.vanish()
        finished.wire.fin()

        check_refused(await broker.connect_of(reset.address), "auth_timeout", 3)
        check_refused(await broker.connect_of(finished.address), "auth_timeout", 3)
        assert await finished.answer() == refusal(3), "it has only said that it will send no more"


async def test_more_passwords_than_may_wait(tmp_path: Path, password_file: Path) -> None:
    async with plain(tmp_path, our_auth(password_file, workers=1, queue_size=1)) as (broker, dial):
        held = hold_hasher(broker)
        logins = [asyncio.ensure_future(dial(f"pump-{n}", "anna", PASSWORDS["anna"])) for n in range(3)]
        (first,), others = await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
        throttled = first.result()
        record = await broker.connect_of(throttled.address)
        held.go.set()
        served = await asyncio.gather(*others)

    assert throttled.connack == refusal(3)
    check_refused(record, "throttled", 3)
    assert verdicts(record) == [("PasswordFilePlugin", "deny")]
    assert all(device.admitted for device in served), "one is checked, one waits, and both are served"


class HeldHasher(PasswordHasher):
    """The real one, once the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 - argon2-cffi's name
        assert self.go.wait(30)
        return super().verify(hash, password)


def hold_hasher(broker: Running) -> HeldHasher:
    authority = broker.service._authority
    assert isinstance(authority, EmbeddedAuthority)
    (plugin,) = authority._auth_plugins
    assert isinstance(plugin, PasswordFilePlugin)
    plugin._hasher = held = HeldHasher()
    return held


# A client certificate as login.


@asynccontextmanager
async def mutual(folder: Path, pki: Pki, auth: dict[str, Any], **more: Any) -> AsyncIterator[Running]:
    """Run a broker that asks for client certificates."""
    trust = {"cafile": str(pki.cafile), "client_certificate": "optional"}
    async with running(folder, {"tls": {"bind": FREE, "tls": tls(pki.server(), **trust)}}, auth=auth, **more) as broker:
        yield broker


CERTIFICATE = {"amqtt_doorlog.ClientCertificatePlugin": {"must_match": "client_id"}}
each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])
each_stack = pytest.mark.parametrize("client", [MosquittoPub(), Paho(), OpenSslClient()], ids=repr)


@each_version
@each_stack
async def test_a_certificate_is_all_that_a_device_needs(
    client: Client, version: TlsVersion, tmp_path: Path, pki: Pki
) -> None:
    device = pki.client("device-17")
    async with mutual(tmp_path, pki, CERTIFICATE) as broker:
        result = await usable(client).run(
            broker.target("tls"),
            cafile=pki.cafile,
            certfile=device.certfile,
            keyfile=device.keyfile,
            client_id="device-17",
            tls_version=version,
        )
        record = await broker.record(action_is("connect"))

    assert result.connected, result
    assert record["event"]["code"] == "admitted"
    assert record["doorlog"]["auth"]["method"] == "certificate"
    assert verdicts(record) == [("ClientCertificatePlugin", "allow")]
    assert record["tls"]["client"]["x509"]["subject"]["common_name"] == ["device-17"]
    assert record["tls"]["client"]["hash"]["sha256"] == device.sha256
    assert "user" not in record, "it named no user"


async def test_a_certificate_of_another_device(tmp_path: Path, pki: Pki) -> None:
    device = pki.client("device-17")
    async with mutual(tmp_path, pki, CERTIFICATE) as broker:
        result = await usable(OpenSslClient()).run(
            broker.target("tls"),
            cafile=pki.cafile,
            certfile=device.certfile,
            keyfile=device.keyfile,
            client_id="device-18",
        )
        record = await broker.record(action_is("connect"))

    assert result.refused_text == "Connection Refused, not authorized"
    check_refused(record, "not_authorized", 5)
    assert verdicts(record) == [("ClientCertificatePlugin", "deny")]
    assert record["tls"]["client"]["x509"]["subject"]["common_name"] == ["device-17"]


async def test_neither_certificate_nor_password(tmp_path: Path, pki: Pki, passwords: dict[str, Any]) -> None:
    async with mutual(tmp_path, pki, {**CERTIFICATE, **passwords}) as broker:
        result = await usable(OpenSslClient()).run(broker.target("tls"), cafile=pki.cafile, client_id="device-18")
        record = await broker.record(action_is("connect"))

    assert result.refused_text == "Connection Refused, not authorized"
    check_refused(record, "no_credentials", 5)
    assert verdicts(record) == [("ClientCertificatePlugin", "abstain"), ("PasswordFilePlugin", "abstain")]


async def test_a_certificate_and_a_wrong_password(tmp_path: Path, pki: Pki, passwords: dict[str, Any]) -> None:
    device = pki.client("device-17")
    async with mutual(tmp_path, pki, {**CERTIFICATE, **passwords}) as broker:
        result = await usable(OpenSslClient()).run(
            broker.target("tls"),
            cafile=pki.cafile,
            certfile=device.certfile,
            keyfile=device.keyfile,
            client_id="device-17",
            username="anna",
            password="guess-1",
        )
        record = await broker.record(action_is("connect"))

    assert not result.connected
    check_refused(record, "bad_password", 4)
    assert verdicts(record) == [("ClientCertificatePlugin", "allow"), ("PasswordFilePlugin", "deny")]


# What nobody may ever read.


@pytest.mark.parametrize(
    ("auth", "acl"),
    [
        ({}, {}),
        ({"support.flow_plugins.TellsThePassword": {}}, {}),
        ({"support.flow_plugins.TellsThePasswordWhenCancelled": {}}, {}),
        ({}, {"support.flow_plugins.TellsWhatItKnows": {}}),
    ],
    ids=["good plugins", "raises", "raises when cancelled", "topic plugin raises"],
)
async def test_no_password_is_written_anywhere(
    auth: dict[str, Any],
    acl: dict[str, Any],
    tmp_path: Path,
    password_file: Path,
    passwords: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    log = {"file": {"path": tmp_path / "log" / "doorlog.jsonl"}, "console": "always", "stdout": True}
    limits = {"auth_timeout": 0.3}
    # With these, stock amqtt prints every CONNECT.
    loggers: dict[str, Any] = {
        f"amqtt.plugins.logging_amqtt.{name}Plugin": {} for name in ("PacketLogger", "EventLogger")
    }
    more = {"limits": limits, "log": log, "broker": {"plugins": loggers}}
    async with plain(tmp_path, {**passwords, **auth}, acl=acl, **more) as (broker, dial):
        for password in (PASSWORDS["anna"], "guess-1-secret"):
            for user in ("anna", "mallory"):
                device = await dial("pump-17", user, password, will=("pumps/anna/state", b"gone", 0, False))
                await broker.connect_of(device.address)
                if device.admitted:
                    await device.subscribe("pumps/anna/#")
                    await device.publish("pumps/anna/state", b"good")
                device.vanish()

    out, err = capfd.readouterr()
    places = {
        "the log file": broker.log.path.read_text(),
        "stdout": out,
        "stderr": err,
        "the program's own log": caplog.text,
    }
    assert "pump-17" in places["the log file"]
    assert "pump-17" in out
    assert "pump-17" in err
    secrets = [*PASSWORDS.values(), "guess-1-secret", *hashes_of(password_file)]
    leaks = [(place, secret) for place, text in places.items() for secret in secrets if secret in text]
    assert not leaks


def hashes_of(password_file: Path) -> list[str]:
    return [line.partition(":")[2] for line in password_file.read_text().splitlines()]
