"""Steps become sockets: each is over before the next, in simulated time, and has its records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from doorlog.events.changes import changed
from doorlog.events.records import ConnectEvent, DisconnectEvent, Event
from doorlog.simulation.fleet import Device, Fleet
from doorlog.simulation.host import Host
from doorlog.simulation.models import MODELS, Model, Pin
from doorlog.simulation.namer import Forgetful
from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan
from doorlog.simulation.recorder import Recorder
from doorlog.simulation.stage import Stage
from doorlog.simulation.steps import Attempt, End, Ending, Errand, Expected, Restart, Visit
from doorlog.simulation.truth import Truth
from support.events import stopped_audit
from support.simulations import fleet_of

PLAN = Plan()
ADDRESS = "127.50.0.1"
BY_NAME = {model.name: model for model in MODELS}


class Listening(Forgetful):
    """Names like the forgetful, and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.settled = 0

    def __call__(self, event: Event) -> Event:
        self.events.append(event)
        return super().__call__(event)

    def settle(self) -> None:
        self.settled += 1


def device(model: Model, **changes: object) -> Device:
    firmware = model.releases[0]
    made = Device(id=f"{model.name}-1", model=model, line=0, firmware=firmware, pin=None)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def attempt(time: float, expected: Expected = "admitted", *, pin: Pin | None = None, **changes: object) -> Attempt:
    made = Attempt(time, 0, ADDRESS, str(changes.pop("profile", "mbedtls-2")), pin, expected)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


@asynccontextmanager
async def on_stage(
    folder: Path, chain: int = 1, **devices: Device
) -> AsyncIterator[tuple[Stage, Listening, list[Truth]]]:
    namer, truths = Listening(), list[Truth]()
    network = fleet_of("static", 2)[0].network
    fleet = Fleet(tuple(devices.values()), (), network)
    pki, recorder = Pki(folder, PLAN), Recorder(namer, PLAN)
    host = Host(pki, recorder.record)
    await host.start(chain, generation=1)
    stage = Stage(fleet, pki, host, recorder, namer, truths.append)
    try:
        yield stage, namer, truths
    finally:
        await host.stop()
        stage.leave()


def codes(namer: Listening) -> list[str | None]:
    return [event.event.code for event in namer.events]


@pytest.mark.parametrize(
    ("how", "code"),
    [("disconnect", "normal"), ("close", "closed"), ("reset", "reset"), ("keep_alive", "keep_alive_timeout")],
)
async def test_a_session_has_its_simulated_length(tmp_path: Path, how: Ending, code: str) -> None:
    async with on_stage(tmp_path, plug=device(BY_NAME["esp-plug"])) as (stage, namer, truths):
        await stage.play(attempt(100.0))
        await stage.play(End(4_000.5, 0, how))

    connect, disconnect = namer.events
    assert isinstance(connect, ConnectEvent)
    assert isinstance(disconnect, DisconnectEvent)
    assert (connect.timestamp, disconnect.timestamp) == (PLAN.moment(100.0), PLAN.moment(4_000.5))
    assert (disconnect.event.code, disconnect.event.duration) == (code, 3_900_500_000_000)
    assert truths == [
        Truth(connect.doorlog.connection_id or "", PLAN.moment(100.0), "esp-plug-1", "admitted", ADDRESS, "mbedtls-2")
    ]
    assert stage.failures == []


async def test_a_device_that_comes_back_takes_its_session_over(tmp_path: Path) -> None:
    async with on_stage(tmp_path, plug=device(BY_NAME["esp-plug"])) as (stage, namer, _):
        await stage.play(attempt(100.0))
        await stage.play(attempt(160.0))
        await stage.play(End(170.0, 0, "disconnect"))
        await stage.play(End(171.0, 0, "close"))  # there is none any more

        assert codes(namer) == ["admitted", "admitted", "taken_over", "normal"]
        assert namer.events[2].timestamp == PLAN.moment(160.0)


@pytest.mark.parametrize(
    ("model", "profile", "code"),
    [
        ("esp-plug", "mbedtls-2", "server_certificate_unknown_ca"),
        ("tasmota", "bearssl", "closed_after_server_certificate"),
        ("meter", "wolfssl-4", "reset_after_server_certificate"),
        ("hub", "node-18", "closed_before_connect"),
    ],
)
@pytest.mark.parametrize("pin", ["leaf", "intermediate"])
async def test_who_pinned_the_old_chain_turns_the_new_one_down(
    tmp_path: Path, model: str, profile: str, code: str, pin: Pin
) -> None:
    async with on_stage(tmp_path, chain=2, one=device(BY_NAME[model])) as (stage, namer, truths):
        await stage.play(attempt(5.0, "refuses", pin=pin, profile=profile))
        await stage.play(attempt(9.0, profile=profile))
        await stage.play(attempt(20.0, "refuses", pin=pin, profile=profile))

    assert codes(namer)[:2] == [code, "admitted"]
    assert [truth.what for truth in truths] == ["refuses", "admitted", "refuses"]
    first, again = stage.failures
    assert (first.truth, first.first, first.familiar) == (f"{model}-1", True, False)
    assert (again.first, again.familiar, again.confidence) == (False, True, "unknown")
    assert namer.settled == 2  # before each failure: seconds have passed


@pytest.mark.parametrize(
    ("fate", "expired", "code"),
    [
        ("expires", True, "client_certificate_expired"),
        ("distrusted", False, "client_certificate_untrusted"),
        ("good", False, "admitted"),
    ],
)
async def test_client_certificates(tmp_path: Path, fate: str, expired: bool, code: str) -> None:
    async with on_stage(tmp_path, chain=2, one=device(BY_NAME["esp-plug"], certificate=fate)) as (stage, namer, _):
        await stage.play(attempt(5.0, "admitted" if fate == "good" else "refused", expired=expired))

    connect = namer.events[0]
    assert connect.event.code == code
    assert isinstance(connect, ConnectEvent)
    assert connect.doorlog.listener == "mtls"


@pytest.mark.parametrize(
    ("errand", "profile", "code"),
    [
        ("silent", "scanner", "closed_before_hello"),
        ("http", "scanner", "plaintext_http"),
        ("scan", "scanner", "closed_before_connect"),
        ("technician", "laptop", "server_certificate_unknown_ca"),
    ],
)
async def test_strangers_are_nobody(tmp_path: Path, errand: Errand, profile: str, code: str) -> None:
    async with on_stage(tmp_path) as (stage, namer, truths):
        await stage.play(Visit(7.0, "127.210.0.3", errand, profile))

    assert codes(namer) == [code]
    assert (truths[0].device, truths[0].what) == (None, errand)
    (failure,) = stage.failures
    assert (failure.truth, failure.first, failure.familiar) == (None, False, False)


async def test_what_is_resumed_is_known_to_the_door(tmp_path: Path) -> None:
    async with on_stage(tmp_path, bridge=device(BY_NAME["plc-bridge"])) as (stage, namer, _):
        for time in (1.0, 10.0):
            await stage.play(attempt(time, profile="jsse-8"))
            await stage.play(End(time + 5, 0, "disconnect"))

    resumed = [event.tls.resumed for event in namer.events if isinstance(event, ConnectEvent) and event.tls]
    assert resumed == [False, True]


async def test_the_door_and_the_calendar_must_agree(tmp_path: Path) -> None:
    async with on_stage(tmp_path, plug=device(BY_NAME["esp-plug"])) as (stage, _, _):
        with pytest.raises(RuntimeError, match="esp-plug-1: refused was expected, but it is admitted"):
            await stage.play(attempt(5.0, "refused"))
        with pytest.raises(ValueError, match="restart"):
            await stage.play(Restart(6.0, 2))


async def test_what_is_due_later_is_written_too(tmp_path: Path) -> None:
    class Confirming(Forgetful):
        def afterwards(self) -> list[Event]:
            return self.due.pop(0)

        def __init__(self, *due: list[Event]) -> None:
            super().__init__()
            self.due = list(due)

    class Log:
        def __init__(self) -> None:
            self.lines: list[Event] = []

        def record(self, event: Event) -> None:
            self.lines.append(event)

    later = changed(stopped_audit(), timestamp=PLAN.moment(3.0))
    recorder, log = Recorder(Confirming([later], []), PLAN), Log()
    recorder.log = log  # type: ignore[assignment]  # as much of a log as is needed
    recorder.now = 5.0
    recorder.record(stopped_audit())

    assert [line.timestamp for line in log.lines] == [PLAN.moment(5.0), PLAN.moment(3.0)]
