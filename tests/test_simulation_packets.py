"""The CONNECT of simulated devices, beside one that was built independently of it."""

from __future__ import annotations

import support.packets as mqtt
from doorlog.simulation.packets import MQTT_5_0, connect_packet


def test_it_says_as_much_as_a_device_does() -> None:
    assert connect_packet("pump-11") == mqtt.connect("pump-11")
    assert connect_packet("pump-11", ("anna", "secret")) == mqtt.connect("pump-11", user_name="anna", password="secret")
    assert connect_packet("pump-11", will_topic="alarms") == mqtt.connect("pump-11", will=("alarms", b"gone", 0, False))


def test_it_may_keep_its_session_and_its_silence() -> None:
    assert connect_packet("meter-4", keep_alive=300, clean_session=False) == mqtt.connect(
        "meter-4", keep_alive=300, clean_session=False
    )


def test_mqtt_5_has_properties() -> None:
    assert connect_packet("new", ("anna", "x"), level=MQTT_5_0) == mqtt.connect(
        "new", user_name="anna", password="x", protocol=("MQTT", 5), properties=b"\x00"
    )
