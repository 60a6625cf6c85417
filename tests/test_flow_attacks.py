"""Attacks that stock amqtt 0.12.1 falls for: each is made against it, which proves the attack, and against the door.

An attack is a function over a house that returns the damage. `amqtt` is the stock broker with its own password file and
topic plugins, `doorlog` the whole of ours, and the third house is ours with amqtt's plugins: what the door and the
broker behind it prevent, whatever the plugins are.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from amqtt.session import Session
from argon2 import Parameters, PasswordHasher, extract_parameters

import support.packets as mqtt
from doorlog.embedded.authority import EmbeddedAuthority
from support.broker import FREE, Running, running
from support.clients.base import Target
from support.clients.raw import open_wire, send_then
from support.devices import REFUSED, Connack, Device, DialDevice, Message, devices, turns
from support.flow_plugins import SlowBackend
from support.stock import stock, stock_command
from support.users import amqtts_auth, our_auth, write_users

PASSWORDS = {"anna": "wonderland-17", "bert": "builder-18", "warden": "tower-19"}
MAY = {"anna": ["lp/#"], "bert": ["lp/+"], "warden": ["#"], "admin": ["#"]}
"""What each user may publish and subscribe to."""
HOUR = 3600.0
# What amqtt recommends in its place, the plugin's own Config does not have.
pytestmark = pytest.mark.filterwarnings("ignore:The 'acl' option is deprecated:DeprecationWarning")
STOCK, OURS, OURS_WITH_AMQTTS_PLUGINS = "amqtt", "doorlog", "doorlog with amqtt's plugins"


@dataclass(frozen=True, slots=True)
class House:
    """A broker under attack.

    Attributes:
        is_stock: Whether it is amqtt as it comes.
        target: Its listener.
        crowded: Its listener for 20 connections at a time.
        dial: Lets devices log in.
        sessions: Counts the sessions that the broker keeps.
        doorlog: The rest of it, where it is ours.
    """

    is_stock: bool
    target: Target
    crowded: Target
    dial: DialDevice
    sessions: Callable[[], int]
    doorlog: Running | None = None

    async def log_in(self, client_id: str, user_name: str, **more: Any) -> Device:
        """Log in with the right password."""
        device = await self.dial(client_id, user_name, PASSWORDS.get(user_name, "right"), **more)
        assert device.admitted
        return device


class OpenHouse(Protocol):
    """Opens a house with the usual plugins and limits, or others."""

    def __call__(
        self, *, auth: Mapping[str, Any] | None = None, limits: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[House]: ...


@pytest.fixture(scope="module")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_users(tmp_path_factory.mktemp("users") / "users.txt", PASSWORDS)


AMQTTS_ACL = {"amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {"acl": MAY, "publish_acl": MAY}}
OUR_ACL = {
    "amqtt_doorlog.TopicAclPlugin": {
        "rules": {user: {"publish": filters, "subscribe": filters} for user, filters in MAY.items()}
    }
}


@pytest.fixture(params=[STOCK, OURS, OURS_WITH_AMQTTS_PLUGINS])
def open_house(request: pytest.FixtureRequest, tmp_path: Path, password_file: Path) -> OpenHouse:
    def opened(
        *, auth: Mapping[str, Any] | None = None, limits: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[House]:
        if request.param == STOCK:
            return stock_house(auth or amqtts_auth(password_file))
        if request.param == OURS:
            return our_house(tmp_path, auth or our_auth(password_file), OUR_ACL, limits)
        return our_house(tmp_path, auth or amqtts_auth(password_file), AMQTTS_ACL, limits)

    return opened


in_stock_and_ours = pytest.mark.parametrize("open_house", [STOCK, OURS], indirect=True)
"""For what a plugin does wrong, so that amqtt's does it in our house too."""


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


@asynccontextmanager
async def stock_house(auth: Mapping[str, Any]) -> AsyncIterator[House]:
    async with (
        stock({**auth, **AMQTTS_ACL}, crowded={"max_connections": 20}) as amqtt,
        devices(amqtt.target()) as dial,
    ):
        yield House(
            is_stock=True,
            target=amqtt.target(),
            crowded=amqtt.target("crowded"),
            dial=dial,
            sessions=lambda: len(amqtt.broker.sessions),
        )


@asynccontextmanager
async def our_house(
    folder: Path, auth: Mapping[str, Any], acl: Mapping[str, Any], limits: Mapping[str, Any] | None
) -> AsyncIterator[House]:
    listeners = {"plain": {"bind": FREE}, "crowded": {"bind": FREE}}
    async with running(folder, listeners, auth=auth, acl=acl, limits=limits) as broker:
        authority = broker.service._authority
        assert isinstance(authority, EmbeddedAuthority)
        async with devices(broker.target("plain")) as dial:
            yield House(
                is_stock=False,
                target=broker.target("plain"),
                crowded=broker.target("crowded"),
                dial=dial,
                sessions=lambda: len(authority.broker.sessions),
                doorlog=broker,
            )


# With a wrong password.


@dataclass(frozen=True, slots=True)
class Eviction:
    """What came of it that a guess was made at the password of a connected device, with a will of the guesser's."""

    answer: Connack | None
    victim_was_kicked: bool
    will: Message


async def evict_and_replace_the_will(house: House) -> Eviction:
    watch = await house.log_in("watch", "warden")
    await watch.subscribe("#")
    victim = await house.log_in("pump-17", "anna", clean_session=False, will=("lp/state", b"anna is gone", 0, False))
    attacker = await house.dial("pump-17", "anna", "guess", clean_session=False, will=("x", b"EVIL", 0, False))
    kicked = not await victim.is_served()
    victim.vanish()
    return Eviction(attacker.connack, kicked, await watch.message())


async def test_a_guess_evicts_nobody_and_leaves_no_will(house: House) -> None:
    damage = await evict_and_replace_the_will(house)

    if house.is_stock:
        assert damage == Eviction(Connack(True, 5), True, Message("x", b"EVIL"))
    else:
        assert damage == Eviction(Connack(False, 4), False, Message("lp/state", b"anna is gone"))


async def test_the_amqtt_command_falls_for_it_like_the_broker_in_this_process(
    tmp_path: Path, password_file: Path
) -> None:
    plugins = {**amqtts_auth(password_file), **AMQTTS_ACL}
    async with stock_command(tmp_path, plugins) as target, devices(target) as dial:
        command = House(is_stock=True, target=target, crowded=target, dial=dial, sessions=lambda: 0)
        damage = await evict_and_replace_the_will(command)

    assert damage == Eviction(Connack(True, 5), True, Message("x", b"EVIL"))


async def wipe_the_subscriptions(house: House) -> list[Message]:
    """Return what a connected device still gets after a guess at its password, with a clean session."""
    warden = await house.log_in("control", "warden")
    victim = await house.log_in("pump-17", "anna", clean_session=False)
    await victim.subscribe("lp/commands")
    await warden.publish("lp/commands", b"one")
    assert await victim.message() == Message("lp/commands", b"one")
    attacker = await house.dial("pump-17", "anna", "guess")
    assert attacker.connack is not None
    witness = await house.log_in("witness", "anna")
    await witness.subscribe("lp/commands")
    await warden.publish("lp/commands", b"two")
    assert await witness.message() == Message("lp/commands", b"two")
    return await victim.messages()


async def test_a_guess_wipes_no_subscriptions(house: House) -> None:
    got = await wipe_the_subscriptions(house)

    assert got == ([] if house.is_stock else [Message("lp/commands", b"two")])


async def wipe_the_queue(house: House, *, attack: bool = True) -> list[Message]:
    """Return what a device finds that was away for a while, and whose password was guessed at meanwhile."""
    warden = await house.log_in("control", "warden")
    await leave_a_message_for_the_absent(house, warden)
    if attack:
        attacker = await house.dial("pump-17", "anna", "guess")
        await attacker.wire.drain()
    victim = await house.log_in("pump-17", "anna", clean_session=False)
    await victim.subscribe("lp/commands", qos=1)
    await warden.publish("lp/commands", b"end")
    return await victim.messages_until(b"end")


async def leave_a_message_for_the_absent(house: House, sender: Device) -> None:
    """Let `pump-17` of user anna subscribe and go, then send it a message; when this returns, it waits."""
    victim = await house.log_in("pump-17", "anna", clean_session=False)
    await victim.subscribe("lp/commands", qos=1)
    await victim.disconnect()
    witness = await house.log_in("witness", "anna")
    await witness.subscribe("lp/commands", qos=1)
    await sender.publish("lp/commands", b"private")
    assert await witness.message() == Message("lp/commands", b"private")
    await witness.disconnect()


async def test_a_guess_wipes_no_queue(house: House) -> None:
    found = await wipe_the_queue(house)

    assert found == ([] if house.is_stock else [Message("lp/commands", b"private")])


async def test_without_a_guess_the_queue_is_there_everywhere(house: House) -> None:
    assert await wipe_the_queue(house, attack=False) == [Message("lp/commands", b"private")]


async def act_as_somebody_else(house: House) -> list[Message]:
    """Return what a user could publish to forbidden topics while a login in another's name is being judged."""
    SlowBackend.asked, SlowBackend.answers = asyncio.Event(), asyncio.Event()
    watch = await house.log_in("watch", "warden")
    await watch.subscribe("#")
    low = await house.log_in("phone-1", "anna", clean_session=False)
    await house.dial("phone-1", "admin", "guess", clean_session=False, waits=False)
    await SlowBackend.asked.wait()
    await low.publish("secret/1", b"EVIL")
    await low.publish("lp/1", b"end")
    published = await watch.messages_until(b"end")
    SlowBackend.answers.set()
    return published


async def test_nobody_acts_in_the_name_of_a_login_under_way(open_house: OpenHouse) -> None:
    async with open_house(auth={"support.flow_plugins.SlowBackend": {}}) as house:
        published = await act_as_somebody_else(house)

    assert published == ([Message("secret/1", b"EVIL")] if house.is_stock else [])


GUESSES = 300


async def guess_often(house: House) -> tuple[int, int]:
    """Return how many sessions, and how many objects of them, 300 wrong passwords leave behind."""
    neighbour = await house.log_in("neighbour", "warden")
    kept, alive = house.sessions(), sessions_in_memory()
    for start in range(0, GUESSES, 30):
        ids = [f"ghost-{number}" for number in range(start, start + 30)]
        for attacker in await asyncio.gather(*(house.dial(client_id, "anna", "guess") for client_id in ids)):
            assert attacker.connack is not None
            attacker.vanish()
    await neighbour.ping()
    await turns()
    return house.sessions() - kept, sessions_in_memory() - alive


def sessions_in_memory() -> int:
    gc.collect()
    return sum(isinstance(thing, Session) for thing in gc.get_objects())


async def test_guesses_leave_nothing_behind(house: House) -> None:
    sessions, objects = await guess_often(house)

    assert sessions == (GUESSES if house.is_stock else 0)
    assert objects >= GUESSES if house.is_stock else objects <= 0


# With the valid password of another user.


@dataclass(frozen=True, slots=True)
class Theft:
    """What came of it that a user took the client id of another."""

    answer: Connack | None
    read_by_the_thief: list[Message]
    left_for_the_owner: list[Message]


async def steal_the_session(house: House) -> Theft:
    warden = await house.log_in("control", "warden")
    await leave_a_message_for_the_absent(house, warden)
    thief = await house.dial("pump-17", "bert", PASSWORDS["bert"], clean_session=False)
    read = [await thief.message()] if thief.admitted else []
    if thief.admitted:
        await thief.disconnect()
    owner = await house.log_in("pump-17", "anna", clean_session=False)
    await owner.subscribe("lp/commands", qos=1)
    await warden.publish("lp/commands", b"end")
    return Theft(thief.connack, read, await owner.messages_until(b"end"))


async def test_nobody_inherits_the_session_of_another_user(house: House) -> None:
    damage = await steal_the_session(house)
    private = [Message("lp/commands", b"private")]

    if house.is_stock:
        assert damage == Theft(Connack(True, 0), private, [])
    else:
        assert damage == Theft(Connack(False, 2), [], private)


async def take_the_place(house: House, *, clean_session: bool) -> list[Message] | None:
    """Return what a connected device still gets when another user came with its client id; None if it was kicked."""
    warden = await house.log_in("control", "warden")
    victim = await house.log_in("pump-17", "anna", clean_session=False)
    await victim.subscribe("lp/commands")
    await house.dial("pump-17", "bert", PASSWORDS["bert"], clean_session=clean_session)
    witness = await house.log_in("witness", "anna")
    await witness.subscribe("lp/commands")
    await warden.publish("lp/commands", b"one")
    assert await witness.message() == Message("lp/commands", b"one")
    return await victim.messages() if await victim.is_served() else None


@pytest.mark.parametrize("clean_session", [False, True])
async def test_nobody_takes_the_place_of_another_user(clean_session: bool, house: House) -> None:
    got = await take_the_place(house, clean_session=clean_session)

    if house.is_stock:
        assert got == ([] if clean_session else None)
    else:
        assert got == [Message("lp/commands", b"one")]


async def leave_a_forbidden_will(house: House) -> tuple[Connack | None, list[Message]]:
    """Return the answer to a login with a will on a forbidden topic, and what was published there."""
    watch = await house.log_in("watch", "warden")
    await watch.subscribe("#")
    bert = await house.dial("phone-1", "bert", PASSWORDS["bert"], will=("secret/will", b"EVIL", 0, False))
    bert.vanish()
    if bert.admitted:
        return bert.connack, [await watch.message()]
    await watch.publish("lp/end", b"end")
    return bert.connack, await watch.messages_until(b"end")


async def test_no_will_without_permission(house: House) -> None:
    damage = await leave_a_forbidden_will(house)

    if house.is_stock:
        assert damage == (Connack(False, 0), [Message("secret/will", b"EVIL")])
    else:
        assert damage == (Connack(False, 5), [])


async def subscribe_wider_than_allowed(house: House) -> tuple[int, list[Message]]:
    """Return the answer to a subscription to `lp/#` of a user who may `lp/+`, and what it reads."""
    bert = await house.log_in("phone-1", "bert")
    granted = await bert.subscribe("lp/#")
    await bert.subscribe("lp/+")
    warden = await house.log_in("control", "warden")
    await warden.publish("lp/secret/1", b"deep")
    await warden.publish("lp/1", b"end")
    return granted, await bert.messages_until(b"end")


@in_stock_and_ours
async def test_no_filter_is_wider_than_the_rule(house: House) -> None:
    damage = await subscribe_wider_than_allowed(house)

    assert damage == ((0, [Message("lp/secret/1", b"deep")]) if house.is_stock else (REFUSED, []))


async def come_without_a_subscription(house: House) -> list[Message]:
    """Return the retained messages that a device gets which has not subscribed to them."""
    anna = await house.log_in("pump-17", "anna")
    await anna.subscribe("lp/state")
    warden = await house.log_in("control", "warden")
    await warden.publish("lp/state", b"retained", retain=True)
    assert await anna.message() == Message("lp/state", b"retained")
    bert = await house.log_in("phone-1", "bert")
    await bert.subscribe("lp/end")
    await warden.publish("lp/end", b"end")
    return await bert.messages_until(b"end")


async def test_retained_messages_need_a_subscription(house: House) -> None:
    got = await come_without_a_subscription(house)

    assert got == ([Message("lp/state", b"retained")] if house.is_stock else [])


# Without any password: what a stranger may cost.


class Clock:
    """The event loop's clock, which the test can put forward."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self._time = loop.time
        self._offset = 0.0
        monkeypatch.setattr(loop, "time", lambda: self._time() + self._offset)

    def jump(self, seconds: float) -> None:
        """Put the clock forward."""
        self._offset += seconds

    async def forward(self, seconds: float, house: House) -> None:
        """Put the clock forward, then let a neighbour come and go: whatever was due by then has happened."""
        self.jump(seconds)
        await turns()
        neighbour = await house.log_in("neighbour", "warden")
        assert await neighbour.is_served()
        await neighbour.disconnect()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(asyncio.get_running_loop(), monkeypatch)


NOTHING, HALF = b"", mqtt.connect("pump-17")[:9]
ENDLESS = b"\x10\xff\xff\xff\x7f" + mqtt.connect("pump-17")[2:9]  # 256 MB are to come
A_MOMENT = 0.05
"""Seconds to look whether a connection is still open, where all that could end it has happened."""


async def keep_a_connection_for_an_hour(house: House, said: bytes, clock: Clock) -> bool:
    """Return whether a connection is still open for which nobody ever logged in."""
    async with open_wire(house.target) as wire:
        await wire.send(said)
        assert await (await house.log_in("neighbour", "warden")).is_served()
        await clock.forward(HOUR, house)
        wire.patience = A_MOMENT
        await wire.receive()
        return wire.ended == "open"


@pytest.mark.parametrize("said", [NOTHING, HALF, ENDLESS], ids=["nothing", "half a CONNECT", "an endless CONNECT"])
async def test_nobody_waits_at_the_door_for_ever(said: bytes, house: House, clock: Clock) -> None:
    assert await keep_a_connection_for_an_hour(house, said, clock) is house.is_stock


async def sleep_through_the_keep_alive(house: House, clock: Clock) -> bool:
    """Return whether a device is still served that was silent for an hour, with a keep-alive of ten seconds."""
    device = await house.log_in("pump-17", "anna", keep_alive=10)
    await clock.forward(HOUR, house)
    return await device.is_served()


async def test_the_keep_alive_is_enforced(house: House, clock: Clock) -> None:
    assert await sleep_through_the_keep_alive(house, clock) is house.is_stock


async def use_up_the_listener(house: House, clock: Clock) -> bool:
    """Return whether a listener for 20 connections has answered a login within an hour after 40 broken ones."""
    for _ in range(40):
        await send_then(house.crowded, mqtt.connect_v5("ghost"), "rst")
    await (await house.log_in("neighbour", "warden")).disconnect()
    late = await house.dial("late", "warden", PASSWORDS["warden"], target=house.crowded, waits=False)
    await clock.forward(HOUR, house)
    late.wire.patience = A_MOMENT
    return await late.answer() == Connack(False, 0)


async def test_broken_logins_do_not_use_up_a_listener(open_house: OpenHouse, clock: Clock) -> None:
    async with open_house(limits={"attempts_per_listener": 20}) as house:
        assert await use_up_the_listener(house, clock) is not house.is_stock


class Verifications:
    """Every password hash that is computed, by whichever plugin; those off the event loop wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.costs: list[Parameters] = []
        self.on_the_event_loop: set[bool] = set()
        self.may_go_on = threading.Event()
        event_loop = threading.get_ident()
        verify = PasswordHasher.verify

        def watched(hasher: PasswordHasher, encoded: str, password: str | bytes) -> bool:
            self.costs.append(extract_parameters(encoded))
            self.on_the_event_loop.add(threading.get_ident() == event_loop)
            if threading.get_ident() != event_loop:
                assert self.may_go_on.wait(30)
            return verify(hasher, encoded, password)

        monkeypatch.setattr(PasswordHasher, "verify", watched)


async def storm(house: House, verifications: Verifications) -> int:
    """Return how often a neighbour was answered while wrong passwords came in and not one was yet refused."""
    neighbour = await house.log_in("neighbour", "warden")
    verifications.may_go_on.clear()
    guesses = [asyncio.ensure_future(house.dial(f"ghost-{n}", "anna", "guess")) for n in range(20)]
    answered = 0
    while not any(guess.done() for guess in guesses) and answered < 50:
        await neighbour.ping()
        answered += 1
    verifications.may_go_on.set()
    for refused in await asyncio.gather(*guesses):
        assert refused.connack is not None
        assert refused.connack.code in (4, 5)
    return answered


@in_stock_and_ours
async def test_a_storm_of_wrong_passwords_stops_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    verifications = Verifications(monkeypatch)
    verifications.may_go_on.set()
    answered = await storm(house, verifications)

    assert verifications.on_the_event_loop == {house.is_stock}
    if not house.is_stock:
        assert answered == 50


async def hashes_of_a_guess(house: House, user_name: str, verifications: Verifications) -> list[Parameters]:
    """Return the costs of the hashes that are computed for one guess."""
    before = len(verifications.costs)
    await house.dial("phone-1", user_name, "guess")
    return verifications.costs[before:]


@in_stock_and_ours
async def test_user_names_can_not_be_found_out_by_the_work_that_a_guess_makes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifications = Verifications(monkeypatch)
    verifications.may_go_on.set()
    known = await hashes_of_a_guess(house, "anna", verifications)
    unknown = await hashes_of_a_guess(house, "mallory", verifications)

    assert len(known) == 1
    assert unknown == ([] if house.is_stock else known)


@pytest.mark.parametrize("plugin", ["Raises", "Hangs"])
async def test_a_broken_plugin_costs_nobody_an_answer(plugin: str, open_house: OpenHouse, clock: Clock) -> None:
    async with open_house(auth={f"support.third_party.{plugin}": {}}) as house:
        device = await house.dial("pump-17", "anna", "x", waits=False)
        await turns()
        clock.jump(HOUR)
        await turns()
        device.wire.patience = A_MOMENT if house.is_stock else 15
        answer = await device.answer()

    assert answer == (None if house.is_stock else Connack(False, 3))


FORGED = "all is well"


async def forge_a_line(house: House, caplog: pytest.LogCaptureFixture) -> bool:
    """Return whether a client id with a line break in it has written a line of its own into a log."""
    caplog.set_level(logging.DEBUG)
    device = await house.dial(f"pump-17\n{FORGED}", "anna", PASSWORDS["anna"])
    device.vanish()
    lines = caplog.text.splitlines()
    if house.doorlog is not None:
        record = await house.doorlog.connect_of(device.address)
        assert FORGED in record["mqtt"]["client_id"], "it is still worth reading"
        lines += house.doorlog.log.path.read_text().splitlines()
    return any(line.startswith(FORGED) for line in lines)


async def test_no_client_id_writes_a_line_of_its_own(house: House, caplog: pytest.LogCaptureFixture) -> None:
    assert await forge_a_line(house, caplog) is house.is_stock
