"""What devices print is known for every stack that operators meet, with its source, and leads to a code."""

from __future__ import annotations

from collections import Counter

import pytest

from doorlog.events.codes import Code
from doorlog.events.device_texts import DeviceText, device_texts, devices_print, unreached

STACKS = {
    "mbedTLS", "ESP-IDF", "wolfSSL", "OpenSSL", "GnuTLS", "BearSSL and ESP8266", "Go", "Java", "Node.js and mqtt.js",
    ".NET and Schannel", "lwIP", "AWS IoT device SDK", "Paho", "Tasmota", "Zephyr", "rustls", "Apple Secure Transport",
    "SIMCom modems", "Quectel modems",
}  # fmt: skip


def test_there_are_many_texts_of_all_common_stacks_each_with_its_source() -> None:
    texts = device_texts()

    assert len({(one.stack, one.text) for one in texts}) == len(texts) >= 200, "each once"
    assert {one.stack for one in texts} >= STACKS
    assert all(one.source.startswith("https://") for one in texts)


@pytest.mark.parametrize("one", device_texts(), ids=lambda one: f"{one.stack}: {one.text}"[:60])
def test_a_text_leads_to_codes_each_once(one: DeviceText) -> None:
    assert set(one.codes) <= set(Code) - {Code.ADMITTED}
    assert max(Counter(one.codes).values()) == 1
    assert one.text == one.text.strip()


def test_what_devices_print_for_a_code_begins_with_what_means_nothing_else() -> None:
    printed = devices_print(Code.SERVER_CERTIFICATE_UNKNOWN_CA)

    assert all(Code.SERVER_CERTIFICATE_UNKNOWN_CA in one.codes for one in printed)
    places = [one.codes.index(Code.SERVER_CERTIFICATE_UNKNOWN_CA) for one in printed]
    assert places == sorted(places)
    assert places[0] == 0
    assert devices_print(Code.ADMITTED) == []


def test_what_leaves_no_record_is_explained_and_is_no_text_of_a_code() -> None:
    known = unreached()

    assert known.means
    assert known.causes
    assert known.checks
    assert len({text.lower() for text in known.texts}) == len(known.texts)
    assert not set(known.texts) & {one.text for one in device_texts()}
