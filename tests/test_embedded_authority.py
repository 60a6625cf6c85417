"""What the door is told when it asks amqtt's plugins, whatever they do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.authentication import AnonymousAuthPlugin
from amqtt.plugins.base import BasePlugin, BaseTopicPlugin
from amqtt.session import Session

import support.packets as mqtt
from doorlog.door.authority import Judgement
from doorlog.door.connect_packet import Will
from doorlog.door.connection import DoorConnection
from doorlog.embedded import authority
from doorlog.embedded.authority import EmbeddedAuthority, PluginAuthority, check_plugins
from doorlog.errors import SettingsError
from doorlog.events.codes import Code
from doorlog.settings.log_models import LogSettings
from doorlog.settings.models import Settings
from support import third_party
from support.amqtt_plugins import load_plugin
from support.broker import FREE
from support.broker_memory import connected

SECRET = b"wonderland-17"
WILL = Will("pumps/17/state", b"gone", 0, retain=False)
LONG, SHORT = 30.0, 0.02
PASSWORDS = "amqtt_doorlog.PasswordFilePlugin"
ACL = "amqtt_doorlog.TopicAclPlugin"


class Topics(BaseTopicPlugin):
    """Answers as its test wants, and remembers whom it was asked about."""

    def __init__(self, answer: Any) -> None:
        super().__init__(BaseContext())
        self.answer = answer
        self.asked: list[Session] = []

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        assert session is not None
        assert (topic, action) == (WILL.topic, Action.PUBLISH)
        self.asked.append(session)
        if isinstance(self.answer, BaseException):
            raise self.answer
        said: bool | None = self.answer
        return said


class Stubborn(Topics):
    """Goes on whatever happens, as a careless ``except BaseException`` does, until it is let go."""

    def __init__(self) -> None:
        super().__init__(True)
        self.let_go = asyncio.Event()
        self.ended = asyncio.Event()

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        self.ended.set()
        return True


class AwaitsTheCancelled(Topics):
    """What it waits for has been cancelled by somebody else, such as a closed connection pool."""

    def __init__(self) -> None:
        super().__init__(True)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        backend: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        backend.cancel()
        return await backend


class Asked:
    """An authority of its own plugins, and what it told.

    Attributes:
        told: Topic and purpose of each refusal.
        claims: Client id and principal of each claim.
        released: The same of each claim that was given back.
    """

    def __init__(self, *plugins: BasePlugin[Any], is_free: bool = True, timeout: float = LONG) -> None:
        self.told: list[tuple[str, str]] = []
        self.claims: list[tuple[str, str | None]] = []
        self.released: list[tuple[str, str | None]] = []
        self._is_free = is_free
        self._authority = PluginAuthority(
            plugins,
            self._claim,
            lambda client_id, principal: self.released.append((client_id, principal)),
            auth_timeout=timeout,
            on_refusal=lambda _connection, topic, what: self.told.append((topic, what)),
        )

    def _claim(self, client_id: str, principal: str | None) -> bool:
        self.claims.append((client_id, principal))
        return self._is_free

    async def judge(self, user: str | None = "anna", *, will: Will | None = WILL, client_id: str = "p") -> Judgement:
        connection = connected(client_id, user=user, password=SECRET if user else None, will=will)
        async with asyncio.timeout(LONG):
            return await self._authority.judge(cast("DoorConnection", connection))

    def dismiss(self, judgement: Judgement) -> None:
        self._authority.dismiss(judgement)


def allows() -> BasePlugin[Any]:
    return load_plugin(third_party.Allows)


# Plugins that break over a will.


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (KeyError(third_party.SECRET), "KeyError"),
        (SystemExit(third_party.SECRET), "SystemExit"),
        (TimeoutError(third_party.SECRET), "TimeoutError"),
        ("ok", "no bool but str"),
        (1, "no bool but int"),
    ],
)
async def test_a_topic_plugin_that_breaks_is_named(answer: Any, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for topics in ([Topics(answer)], [Topics(None), Topics(True), Topics(answer), Topics(True)]):
        asked = Asked(allows(), *topics)
        judgement = await asked.judge()
        assert judgement.code is Code.AUTH_BACKEND_ERROR
        assert judgement.reason == f"Topics failed: {fault}"
        assert not asked.claims
        assert not asked.told
        assert third_party.SECRET not in f"{judgement}{caplog.text}"


async def test_a_topic_plugin_that_awaits_something_cancelled_is_named() -> None:
    judgement = await Asked(allows(), AwaitsTheCancelled()).judge()

    assert (judgement.code, judgement.reason) == (
        Code.AUTH_BACKEND_ERROR,
        "AwaitsTheCancelled failed: CancelledError",
    )


async def test_a_topic_plugin_that_ignores_its_cancellation_is_left_behind() -> None:
    stubborn = Stubborn()
    never_asked = Topics(True)

    judgement = await Asked(allows(), stubborn, never_asked, timeout=SHORT).judge()

    assert judgement.code is Code.AUTH_TIMEOUT
    assert judgement.reason == "Stubborn did not answer within 0.02 s"
    assert not never_asked.asked
    stubborn.let_go.set()
    await stubborn.ended.wait()
    await asyncio.sleep(0)
    assert not authority._abandoned


async def test_all_topic_plugins_have_one_deadline_together() -> None:
    class Slow(Topics):
        async def topic_filtering(
            self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
        ) -> bool | None:
            await asyncio.wait((asyncio.get_running_loop().create_future(),), timeout=0.1)
            return True

    judgement = await Asked(allows(), *(Slow(True) for _ in range(10)), timeout=0.25).judge()

    assert judgement.code is Code.AUTH_TIMEOUT


async def test_a_device_that_gives_up_leaves_no_question_behind() -> None:
    asked = asyncio.Event()

    class Hangs(Topics):
        async def topic_filtering(
            self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
        ) -> bool | None:
            asked.set()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never

    attempt = asyncio.ensure_future(Asked(allows(), Hangs(True)).judge())
    await asked.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await asyncio.sleep(0)
    assert not authority._abandoned


# What the topic plugins decide about a will.


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        ([], True),
        ([True], True),
        ([False], False),
        ([None], False),
        ([None, None], False),
        ([None, True], True),
        ([True, None], True),
        ([True, True], True),
        ([True, False], False),
        ([False, True], False),
    ],
)
async def test_a_will_is_judged_as_messages_are(answers: Sequence[bool | None], *, allowed: bool) -> None:
    asked = Asked(allows(), *map(Topics, answers))

    judgement = await asked.judge()

    assert judgement.code is (Code.ADMITTED if allowed else Code.WILL_NOT_AUTHORIZED)
    assert asked.told == ([] if allowed else [("pumps/17/state", "will")])
    assert asked.claims == ([("p", "anna")] if allowed else [])


async def test_without_a_will_no_topic_plugin_is_asked() -> None:
    topics = Topics(False)

    assert (await Asked(allows(), topics).judge(will=None)).code is Code.ADMITTED
    assert not topics.asked


async def test_topic_plugins_are_not_asked_before_the_credentials_are_good() -> None:
    topics = Topics(True)
    asked = Asked(load_plugin(third_party.Denies), topics)

    judgement = await asked.judge()

    assert judgement.code is Code.BAD_PASSWORD
    assert not topics.asked
    assert not asked.claims


async def test_topic_plugins_are_not_shown_the_password() -> None:
    topics = Topics(True)

    await Asked(allows(), topics).judge()

    (session,) = topics.asked
    assert (session.username, session.password) == ("anna", None)
    assert SECRET.decode() not in str(vars(session))


# Who it is.


async def test_nobody_in_particular_is_a_principal_too() -> None:
    anonymous = load_plugin(AnonymousAuthPlugin)
    topics = Topics(True)
    for user in (None, "admin"):
        asked = Asked(anonymous, topics)
        judgement = await asked.judge(user)
        assert (judgement.method, judgement.principal) == ("anonymous" if user is None else judgement.method, None)
        assert asked.claims == [("p", None)]
    assert [session.attributes["doorlog.principal"] for session in topics.asked] == [None, None]
    assert all(session.is_anonymous for session in topics.asked)


async def test_whom_a_plugin_vouches_for_holds_the_client_id() -> None:
    asked = Asked(load_plugin(third_party.Vouches), Topics(True))

    judgement = await asked.judge("admin")

    assert (judgement.method, judgement.principal) == ("token", "token-owner")
    assert asked.claims == [("p", "token-owner")]


async def test_a_client_id_of_somebody_else() -> None:
    asked = Asked(allows(), is_free=False)

    judgement = await asked.judge()

    assert judgement.code is Code.CLIENT_ID_TAKEN
    assert [said.verdict for said in judgement.verdicts] == ["allow"]


async def test_a_client_without_an_id_claims_the_one_that_it_gets() -> None:
    asked = Asked(allows())

    judgement = await asked.judge(client_id="")

    ((claimed, _),) = asked.claims
    assert claimed == judgement.session.client_id != ""


async def test_each_verdict_is_told() -> None:
    plugins = [load_plugin(kind) for kind in (third_party.Allows, third_party.Denies, third_party.Abstains)]

    judgement = await Asked(*plugins).judge()

    assert [(said.plugin, said.verdict) for said in judgement.verdicts] == [
        ("Allows", "allow"),
        ("Denies", "deny"),
        ("Abstains", "abstain"),
    ]


# The plugins of a configuration.


def settings(auth: dict[str, Any], **groups: dict[str, Any]) -> Settings:
    plugins = {name: {"plugins": group} for name, group in {"auth": auth, **groups}.items()}
    return Settings.model_validate({"listeners": {"plain": {"bind": FREE}}, **plugins})


async def test_a_start_and_a_check_find_the_same_fault(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("anna\nbert\n")
    wrong = settings({PASSWORDS: {"password_file": str(tmp_path / "users.txt")}})

    for load in (check_plugins, partial(EmbeddedAuthority, on_refusal=print)):
        with pytest.raises(SettingsError) as caught:
            load(wrong)
        assert str(caught.value).startswith(f"auth.plugins.{PASSWORDS}: ")
        assert "users.txt, line 1" in str(caught.value)


class FailsToStop(BasePlugin[Any]):
    """Does not end well."""

    async def close(self) -> None:
        raise RuntimeError("not my day")


@pytest.mark.parametrize("others", [{}, {"test_embedded_authority.FailsToStop": {}}])
async def test_a_check_of_good_plugins_says_nothing(others: dict[str, Any]) -> None:
    check_plugins(settings({"support.third_party.Allows": {}}, broker=others))


async def test_the_plugins_of_a_configuration_judge() -> None:
    rules = {"*": {"publish": ["pumps/#"]}}
    built = EmbeddedAuthority(settings({"support.third_party.Allows": {}}, acl={ACL: {"rules": rules}}), print)
    await built.start()
    try:
        fine = await built.judge(cast("DoorConnection", connected("p", user="anna", will=WILL)))
        foreign = Will("valves/1", b"", 0, retain=False)
        refused = await built.judge(cast("DoorConnection", connected("q", user="anna", will=foreign)))
        taken = await built.judge(cast("DoorConnection", connected("p", user="bert")))
    finally:
        await built.shut_down()

    assert [said.code for said in (fine, refused, taken)] == [
        Code.ADMITTED,
        Code.WILL_NOT_AUTHORIZED,
        Code.CLIENT_ID_TAKEN,
    ]


async def test_what_a_device_is_refused_later_is_told_with_its_connection() -> None:
    told: list[tuple[Any, str, str]] = []
    built = EmbeddedAuthority(
        settings({"support.third_party.Allows": {}}, acl={ACL: {"rules": {}}}), lambda *refusal: told.append(refusal)
    )
    device = connected("p", user="anna")
    connection = cast("DoorConnection", device)
    await built.start()
    try:
        judgement = await built.judge(connection)
        serving = asyncio.ensure_future(built.serve(connection, judgement))
        device.reader.feed_data(mqtt.subscribe("secret/#"))
        assert await device.answer(9) == b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x80"
        device.reader.feed_eof()
        await serving
    finally:
        await built.shut_down()

    assert told == [(connection, "secret/#", "subscribe")]
    built.refused(judgement.session, "late", "publish")
    assert len(told) == 1, "whose connection is over is refused nothing"


async def test_the_logs_own_topics_are_kept_for_it_without_any_topic_plugin() -> None:
    told: list[tuple[Any, str, str]] = []
    given = settings({"support.third_party.Allows": {}})
    log = LogSettings.model_validate({"sinks": {"own": {"type": "mqtt", "readers": ["anna"]}}})
    built = EmbeddedAuthority(given.model_copy(update={"log": log}), lambda *refusal: told.append(refusal))
    forger = cast("DoorConnection", connected("p", user="anna", will=Will("doorlog/x", b"", 0, retain=False)))
    device = connected("q", user="anna")
    connection = cast("DoorConnection", device)
    await built.start()
    try:
        refused = await built.judge(forger)
        serving = asyncio.ensure_future(built.serve(connection, await built.judge(connection)))
        device.reader.feed_data(mqtt.subscribe("doorlog/#"))
        assert await device.answer(9) == b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x00"
        await asyncio.wrap_future(await asyncio.to_thread(built.publish, "doorlog/x", b"{}"))
        assert device.take() == b"\x30\x0d\x00\x09doorlog/x{}"
        device.reader.feed_eof()
        await serving
    finally:
        await built.shut_down()

    assert refused.code is Code.WILL_NOT_AUTHORIZED
    assert told == [(forger, "doorlog/x", "will")]
    assert built.publish("doorlog/x", b"{}").done(), "nobody is left to read it"


async def test_a_late_refusal_belongs_to_the_connection_that_it_happened_on() -> None:
    told: list[object] = []
    old, new = cast("DoorConnection", object()), cast("DoorConnection", object())
    judges = PluginAuthority(
        [], lambda *_: True, print, auth_timeout=1, on_refusal=lambda connection, *_: told.append(connection)
    )
    session = Session()
    session.client_id = "pump-17"

    async def refused_late() -> None:
        judges.refused(session, "pumps/17", "publish")

    with judges._serving(old, "pump-17"):
        late = asyncio.create_task(refused_late())
        with judges._serving(new, "pump-17"):
            await late
    assert told == [old]


async def test_who_is_not_served_after_all_does_not_hold_the_client_id() -> None:
    asked = Asked(allows())
    judgement = await asked.judge(client_id="pump-17")
    assert asked.claims == [("pump-17", judgement.principal)]

    asked.dismiss(judgement)
    asked.dismiss(Judgement(Code.ADMITTED))  # which claimed nothing

    assert asked.released == [("pump-17", judgement.principal)]
