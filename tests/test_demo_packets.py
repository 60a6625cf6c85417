"""The CONNECT of the demo's devices, beside one that was built independently of it."""

from __future__ import annotations

import support.packets as mqtt
from doorlog.demo.packets import MQTT_5_0, connect


def test_it_says_as_much_as_a_device_does() -> None:
    assert connect("pump-11") == mqtt.connect("pump-11")
    assert connect("pump-11", ("anna", "secret")) == mqtt.connect("pump-11", user_name="anna", password="secret")
    assert connect("pump-11", will_topic="alarms") == mqtt.connect("pump-11", will=("alarms", b"gone", 0, False))


def test_mqtt_5_has_properties() -> None:
    assert connect("new", ("anna", "x"), level=MQTT_5_0) == mqtt.connect(
        "new", user_name="anna", password="x", protocol=("MQTT", 5), properties=b"\x00"
    )
