"""What a load balancer tells of a device stands in the record, and nothing that it did not tell."""

from __future__ import annotations

import pytest

import support.packets as mqtt
from doorlog.door.proxy_header import ProxyHeaderDecoder
from doorlog.door.proxy_report import proxy_part
from doorlog.events.parts import ProxyPart

BALANCER = ("192.0.2.1", 4711)
ALONE = ProxyPart(ip="192.0.2.1", port=4711)


def told(header: bytes) -> ProxyPart:
    read = ProxyHeaderDecoder(max_bytes=65_536).receive(header)
    assert read is not None
    return proxy_part(read, BALANCER)


def test_all_that_a_header_can_tell() -> None:
    header = mqtt.proxy_v2(tlvs=(mqtt.tlv(0x02, "pumps.example.org"), mqtt.ssl_tlv("pump-17")), checksum=True)
    assert told(header) == ProxyPart(
        ip="192.0.2.1",
        port=4711,
        server_name="pumps.example.org",
        tls_version="TLSv1.3",
        client_name="pump-17",
        client_verified=True,
    )


@pytest.mark.parametrize(
    "header",
    [
        mqtt.proxy_v1(),
        b"PROXY UNKNOWN\r\n",
        mqtt.proxy_v2(),
        mqtt.proxy_v2(tlvs=[mqtt.tlv(0x05, "an id of the connection")]),
        mqtt.proxy_v2_block(0x20, 0),
        # LOCAL: the balancer speaks for itself, whatever stands behind it (PROXY 2.2)
        mqtt.proxy_v2_block(0x20, 0x11, bytes(12) + mqtt.tlv(0x02, "a.example.org") + mqtt.ssl_tlv("pump-17")),
    ],
)
def test_a_header_that_tells_nothing_of_the_device(header: bytes) -> None:
    assert told(header) == ALONE


def test_a_certificate_that_was_not_verified_is_a_claim() -> None:
    part = told(mqtt.proxy_v2(tlvs=[mqtt.ssl_tlv("pump-17", verify=10)]))
    assert (part.client_name, part.client_verified) == ("pump-17", False)


def test_nobody_verified_a_certificate_that_was_not_shown() -> None:
    part = told(mqtt.proxy_v2(tlvs=[mqtt.ssl_tlv(None, client=1)]))
    assert (part.tls_version, part.client_name, part.client_verified) == ("TLSv1.3", None, None)


def test_what_a_device_chose_is_escaped_and_cut() -> None:
    evil = b"pump\r\n\x1b[2J\xff" + b"x" * 1000
    part = told(mqtt.proxy_v2(tlvs=[mqtt.tlv(0x02, evil), mqtt.ssl_tlv(evil)]))
    for text in (part.server_name, part.client_name):
        assert text is not None
        assert text.isprintable()
        assert text.startswith("pump\\u000D\\u000A\\u001B[2J\\xff")
        assert len(text) <= 256
