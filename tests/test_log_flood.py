"""A storm is counted: the first failures of everybody are recorded, and nothing is ever lost from the sums."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.events.codes import Action, Code, Outcome, Stage
from doorlog.events.parts import DoorlogPart, EventPart, MqttPart, SourcePart
from doorlog.events.records import ANY_EVENT, AuthorizeEvent, ConnectEvent, Event, FloodEvent
from doorlog.log.flood import Floodgate
from support.events import (
    WHEN,
    admitted_connect,
    checkpoint,
    ended_session,
    failed_connect,
    lost_records,
    refused_publish,
    served_certificate,
    stopped_audit,
)
from support.sample_events import attempt, certificate, tls


def at(seconds: float) -> datetime:
    return WHEN + timedelta(seconds=seconds)


def failure(
    ip: str | None = "10.0.0.9",
    port: int | None = 50_000,
    device: str | None = None,
    *,
    second: float = 0,
    code: Code | None = Code.BAD_PASSWORD,
    listener: str = "tls",
    **changes: Any,
) -> ConnectEvent:
    base = failed_connect()
    part = EventPart(
        category=("network", "authentication"),
        type=("connection", "denied"),
        action=Action.CONNECT,
        outcome=Outcome.FAILURE,
        code=code,
    )
    facts = {
        "timestamp": at(second),
        "event": part,
        "source": SourcePart(ip=ip, port=port, bytes=100),
        "mqtt": MqttPart(client_id=device, keep_alive=60) if device is not None else None,
        "tls": None,
        "device": None,
        "doorlog": DoorlogPart(listener=listener, stage=Stage.CREDENTIALS, connection_id="0123456789abcdef"),
    }
    return base.model_copy(update={**facts, **changes})


def counted(floods: list[FloodEvent]) -> int:
    return sum(flood.doorlog.flood.count for flood in floods if flood.doorlog.flood)


def the_flood(floods: list[FloodEvent]) -> FloodEvent:
    (flood,) = floods
    assert ANY_EVENT.validate_json(flood.model_dump_json(exclude_none=True)) == flood
    return flood


# one device


def test_the_first_failures_pass_and_the_rest_is_one_event_with_exact_numbers() -> None:
    gate = Floodgate(3, 60)

    passed = [
        gate.passes(failure(port=50_000 + second, device="pump-17", second=second), second) for second in range(9)
    ]
    assert passed == [True] * 3 + [False] * 6
    assert (gate.due(59.9), gate.next_due(), gate.folded) == ([], 60, 6)

    flood = the_flood(gate.due(60))
    assert flood.timestamp == at(60), "the end of its window"
    assert flood.event == EventPart(
        category=("network", "authentication"),
        type=("connection", "denied"),
        action=Action.FLOOD,
        outcome=Outcome.FAILURE,
        code=Code.BAD_PASSWORD,
    )
    assert flood.model_dump(exclude_none=True, include={"source", "destination", "mqtt", "tls"}) == {
        "source": {"ip": "10.0.0.9"},
        "destination": {"port": 8883},
        "mqtt": {"client_id": "pump-17"},
    }
    assert flood.doorlog.model_dump(exclude_none=True) == {
        "schema_version": 1,
        "stage": "credentials",
        "listener": "tls",
        "flood": {"action": "connect", "count": 6, "first": at(3), "last": at(8), "ports": 6},
    }
    assert (gate.due(1e9), gate.close(), gate.next_due(), gate.folded) == ([], [], None, 6)


def test_a_window_begins_with_the_first_failure_and_does_not_move() -> None:
    gate = Floodgate(1, 60)
    assert gate.passes(failure(), 10)
    assert not gate.passes(failure(second=59), 69)
    assert gate.passes(failure(second=60), 70), "the next window"

    assert gate.next_due() == 70, "at once"
    assert the_flood(gate.due(70)).timestamp == at(60)
    assert gate.next_due() == 130
    assert gate.due(130) == [], "all of it was recorded"


def test_what_is_open_at_the_end_comes_out_with_the_time_of_its_last_event() -> None:
    gate = Floodgate(1, 60)
    for second in range(3):
        gate.passes(failure(second=second), second)

    assert the_flood(gate.close()).timestamp == at(2)


@pytest.mark.parametrize(
    "event",
    [admitted_connect(), ended_session(), served_certificate(), stopped_audit(), lost_records(), checkpoint()],
)
def test_what_is_no_failure_of_a_stranger_always_passes(event: Event) -> None:
    gate = Floodgate(1, 60)

    assert all(gate.passes(event, 0) for _ in range(1_000))
    assert (gate.close(), gate.folded) == ([], 0)


def test_refused_topics_are_counted_and_are_no_connections() -> None:
    gate = Floodgate(1, 60)
    event = refused_publish(event=refused_publish().event.model_copy(update={"code": "publish_refused"}))
    assert [gate.passes(event, 0) for _ in range(5)] == [True] + [False] * 4

    flood = the_flood(gate.close())
    assert flood.doorlog.flood is not None
    assert (flood.doorlog.flood.action, flood.doorlog.flood.count, flood.doorlog.flood.ports) == ("authorize", 4, 1)
    assert (flood.event.code, flood.doorlog.authorize) == ("publish_refused", "publish")
    assert gate.folded == 0


# who counts as one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ip": "10.0.0.9"}, {"ip": "10.0.0.10"}),
        ({"ip": "2001:db8:1:2::1"}, {"ip": "2001:db8:1:3::1"}),
        ({"device": "pump-17"}, {"device": "pump-18"}),
        ({"device": "pump-17"}, {}),
        ({"code": Code.BAD_PASSWORD}, {"code": Code.UNKNOWN_USER}),
        ({"listener": "tls"}, {"listener": "wss"}),
        ({"code": None}, {}),
        ({"ip": None}, {}),
    ],
)
def test_these_do_not_hide_behind_each_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    gate = Floodgate(1, 60)

    assert gate.passes(failure(**one), 0)
    assert gate.passes(failure(**other), 0)
    assert not gate.passes(failure(**one), 0)


def test_all_addresses_of_an_ipv6_network_are_one_source_and_the_network_is_named() -> None:
    gate = Floodgate(1, 60)
    for host in range(1, 9):
        gate.passes(failure(ip=f"2001:db8:1:2::{host}"), 0)

    flood = the_flood(gate.close())
    assert flood.source == SourcePart(ip="2001:db8:1:2::", address="2001:db8:1:2::/64")


def test_a_device_without_a_client_id_is_told_by_its_certificate() -> None:
    gate = Floodgate(1, 60)
    shown = {name: tls(theirs=certificate(name, "Devices CA"), ja4="x") for name in ("pump-17", "pump-18")}
    unnamed = tls(theirs=certificate(None, "Devices CA"))
    offered = [*(["pump-17"] * 2), "pump-18"]

    assert [gate.passes(failure(tls=shown[name]), 0) for name in offered] == [True, False, True]
    assert gate.passes(failure(tls=unnamed), 0)
    flood = the_flood(gate.close())
    assert (flood.mqtt, flood.tls and flood.tls.client and flood.tls.client.ja4) == (None, None)
    assert flood.tls is not None
    assert flood.tls.client is not None
    assert flood.tls.client.x509 == certificate("pump-17", "Devices CA")


# hostile


def test_a_new_client_id_each_time_is_no_way_around() -> None:
    gate = Floodgate(5, 60, devices=10)

    passed = sum(gate.passes(failure(device=f"bot-{number}"), 0) for number in range(10_000))

    assert passed == 10 + 5, "each of the first devices, and then the source"
    flood = the_flood(gate.due(60))
    assert (flood.mqtt, counted([flood])) == (None, 10_000 - passed)
    assert gate.passes(failure(device="pump-17"), 60), "it has its own window again"
    assert not gate._devices - Counter({gate._key(failure())[:-1]: 1})


def test_a_device_with_a_window_keeps_it_when_others_are_invented() -> None:
    gate = Floodgate(2, 60, devices=3)
    assert gate.passes(failure(device="pump-17"), 0)
    for number in range(100):
        gate.passes(failure(device=f"bot-{number}"), 0)

    assert gate.passes(failure(device="pump-17"), 0)
    assert not gate.passes(failure(device="pump-17"), 0)
    assert [flood.mqtt and flood.mqtt.client_id for flood in gate.close()] == ["pump-17", None]


def test_a_hundred_thousand_sources_cost_bounded_memory_and_no_count() -> None:
    gate = Floodgate(1, 60, windows=1_000)
    one = failure()
    offered = passed = given_back = 0
    for number in range(100_000):
        source = SourcePart(ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        event = one.model_copy(update={"source": source})
        for _ in range(1 if number % 10 else 2):
            offered += 1
            passed += gate.passes(event, 0)
        assert len(gate._windows) <= 1_000
        if number % 1_000 == 0:
            given_back += counted(gate.due(0))

    assert passed + given_back + counted(gate.close()) == offered == 110_000
    assert not gate._windows
    assert not gate._devices


def test_a_window_that_made_room_comes_out_at_once_and_its_source_may_begin_anew() -> None:
    gate = Floodgate(1, 60, windows=2)
    for ip in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3"):
        gate.passes(failure(ip=ip, second=5), 5)

    assert gate.next_due() == 5
    flood = the_flood(gate.due(5))
    assert (flood.source.ip, flood.timestamp) == ("10.0.0.1", at(5))
    assert gate.passes(failure(ip="10.0.0.1"), 6)


@pytest.mark.parametrize("ports", [1, 64, 65, 66, 5_000, 65_535])
def test_ports_are_counted_exactly_whatever_their_number(ports: int) -> None:
    gate = Floodgate(1, 60)
    gate.passes(failure(), 0)
    event = failure()
    for _ in range(2):
        for port in range(ports):
            source = SourcePart(ip="10.0.0.9", port=65_535 - port)
            gate.passes(event.model_copy(update={"source": source}), 0)

    flood = the_flood(gate.close()).doorlog.flood
    assert flood is not None
    assert (flood.ports, flood.count) == (ports, 2 * ports)


def test_a_failure_without_a_port_or_an_address() -> None:
    gate = Floodgate(1, 60)
    for _ in range(2):
        gate.passes(failure(ip=None, port=None), 0)

    flood = the_flood(gate.close())
    assert flood.source == SourcePart()
    assert flood.doorlog.flood is not None
    assert flood.doorlog.flood.ports == 0


STEPS = st.tuples(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "no address", None]),
    st.sampled_from([None, "", "a", "b", "c", "d"]),
    st.sampled_from([Code.BAD_PASSWORD, Code.ADMITTED, None]),
    st.booleans(),
    st.floats(-20, 40),
    st.booleans(),
)


@given(st.lists(STEPS, max_size=120), st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))
def test_what_passes_and_what_is_counted_are_all_that_was_offered(
    steps: list[tuple[str | None, str | None, Code | None, bool, float, bool]], after: int, windows: int, devices: int
) -> None:
    gate = Floodgate(after, 30, windows=windows, devices=devices)
    offered: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    floods: list[FloodEvent] = []
    now = 0.0
    for ip, device, code, is_connect, seconds, looks in steps:
        now += seconds  # back, too
        event: ConnectEvent | AuthorizeEvent = failure(ip=ip, device=device, code=code)
        if not is_connect:
            event = refused_publish(source=event.source, mqtt=event.mqtt)
        offered[event.event.action] += 1
        passed[event.event.action] += gate.passes(event, now)
        assert gate.folded == offered["connect"] - passed["connect"]
        assert len(gate._windows) <= windows
        if looks:
            floods += gate.due(now)
            assert gate.next_due() is None or gate._windows
    floods += gate.close()

    counts = Counter(passed)
    for flood in floods:
        assert flood.doorlog.flood is not None
        counts[flood.doorlog.flood.action] += flood.doorlog.flood.count
    assert +counts == +offered
    assert gate.next_due() is None
    assert not gate._devices


def test_every_code_can_be_folded() -> None:
    for code in Code:
        gate = Floodgate(1, 60)
        event = attempt(code)
        assert [gate.passes(event, 0) for _ in range(2)] == [True, False]
        assert the_flood(gate.close()).event.code == code
