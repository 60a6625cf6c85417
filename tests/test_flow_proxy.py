"""Devices behind a load balancer that ends their TLS: what it tells of them stands in every record of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import support.packets as mqtt
from support.broker import FREE, Running, running
from support.clients.raw import ask, send_then

CONNECT = mqtt.connect("pump-17", keep_alive=60)
PUBLISH = mqtt.publish("secret/plans", b"1.25", qos=1)
ACCEPTED, ACKNOWLEDGED = 4, 8
ACL = {"amqtt_doorlog.TopicAclPlugin": {"rules": {"anonymous": {"publish": ["hello"], "subscribe": []}}}}
TOLD = (mqtt.tlv(0x02, "pumps.example.org"), mqtt.ssl_tlv("pump-17"))
LISTENERS: dict[str, dict[str, Any]] = {
    "lb": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]},
    "stranger": {"bind": FREE, "proxy_protocol": "required", "proxy_networks": ["10.1.0.0/16"]},
    "plain": {"bind": FREE},
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, LISTENERS, acl=ACL) as broker:
        yield broker


async def records_of(broker: Running, port: int) -> dict[str, dict[str, Any]]:
    """Return what the records say of the load balancer, by their action, once the connection has ended."""

    def through(action: str) -> Any:
        return lambda r: r["event"]["action"] == action and r["doorlog"].get("proxy", {}).get("port") == port

    found = {action: await broker.record(through(action)) for action in ("connect", "disconnect")}
    connection_id = found["connect"]["doorlog"]["connection_id"]
    return {
        record["event"]["action"]: record["doorlog"].get("proxy")
        for record in broker.log.records
        if record["doorlog"].get("connection_id") == connection_id
    }


async def test_every_record_shows_what_the_load_balancer_told(broker: Running) -> None:
    header = mqtt.proxy_v2("10.0.0.9", tlvs=TOLD, checksum=True)
    seen = await ask(broker.target("lb"), header + CONNECT + PUBLISH + mqtt.DISCONNECT, expect=ACKNOWLEDGED)
    told = {
        "ip": "127.0.0.1",
        "port": seen.address[1],
        "server_name": "pumps.example.org",
        "tls_version": "TLSv1.3",
        "client_name": "pump-17",
        "client_verified": True,
    }
    assert await records_of(broker, seen.address[1]) == {"connect": told, "authorize": told, "disconnect": told}


@pytest.mark.parametrize(
    "header",
    [
        mqtt.proxy_v1("10.0.0.9"),
        mqtt.proxy_v2("10.0.0.9"),
        mqtt.proxy_v2_block(0x20, 0x11, bytes(12) + b"".join(TOLD)),  # LOCAL: it speaks for itself (PROXY 2.2)
    ],
    ids=["version 1", "no extensions", "LOCAL"],
)
async def test_a_load_balancer_that_tells_nothing(broker: Running, header: bytes) -> None:
    seen = await ask(broker.target("lb"), header + CONNECT, expect=ACCEPTED)
    address = {"ip": "127.0.0.1", "port": seen.address[1]}
    assert await records_of(broker, seen.address[1]) == {"connect": address, "disconnect": address}


async def test_a_failure_shows_it_too(broker: Running) -> None:
    """The device left before CONNECT: the certificate that the load balancer saw may be all that names it."""
    seen = await send_then(broker.target("lb"), mqtt.proxy_v2("10.0.0.9", tlvs=[mqtt.ssl_tlv("pump-17")]), "fin")
    record = await broker.failure("closed_before_connect")
    assert record["doorlog"]["proxy"] == {
        "ip": "127.0.0.1",
        "port": seen.address[1],
        "tls_version": "TLSv1.3",
        "client_name": "pump-17",
        "client_verified": True,
    }


async def test_a_certificate_that_did_not_verify_is_no_more_than_a_claim(broker: Running) -> None:
    header = mqtt.proxy_v2("10.0.0.9", tlvs=[mqtt.ssl_tlv("pump-17", verify=10)])
    await send_then(broker.target("lb"), header, "fin")
    record = await broker.failure("closed_before_connect")
    assert record["doorlog"]["proxy"]["client_verified"] is False


@pytest.mark.parametrize(("listener", "code"), [("stranger", "proxy_untrusted_source"), ("plain", "not_mqtt")])
async def test_nobody_else_is_believed(broker: Running, listener: str, code: str) -> None:
    seen = await send_then(broker.target(listener), mqtt.proxy_v2("10.0.0.9", tlvs=TOLD) + CONNECT, "silence")
    record = await broker.connect_of(seen)
    assert record["event"]["code"] == code
    assert "proxy" not in record["doorlog"]
    assert "pump-17" not in str(record)


async def test_names_are_hidden_where_certificates_are(tmp_path: Path) -> None:
    hidden = {"certificate_name": "omit", "client_id": "omit"}
    log = {"file": {"path": str(tmp_path / "log" / "doorlog.jsonl")}, "console": "never", "privacy": hidden}
    async with running(tmp_path, LISTENERS, log=log) as broker:
        seen = await ask(broker.target("lb"), mqtt.proxy_v2("10.0.0.9", tlvs=TOLD) + CONNECT, expect=ACCEPTED)
        told = await records_of(broker, seen.address[1])
    for proxy in told.values():
        assert "client_name" not in proxy
        assert proxy["server_name"] == "pumps.example.org"
    assert "pump-17" not in broker.log.path.read_text()
