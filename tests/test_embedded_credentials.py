"""Plugins of strangers are asked for their verdict: whatever they do, there is one, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from amqtt.plugins.authentication import AnonymousAuthPlugin
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from doorlog.embedded import credentials
from doorlog.embedded.credentials import AuthVerdict, ask_plugins
from doorlog.embedded.session_attributes import REFUSALS
from doorlog.events.codes import Code
from support import third_party
from support.amqtt_plugins import load_plugin, load_plugins, session
from support.client_certificates import handshake, named

LONG = 30.0
SHORT = 0.02


async def ask(*kinds: type[BaseAuthPlugin], of: Session | None = None, timeout: float = LONG) -> AuthVerdict:  # noqa: ASYNC109 - as ask_plugins has it
    plugins = [load_plugin(kind) for kind in kinds]
    async with asyncio.timeout(LONG):
        return await ask_plugins(plugins, of or session("alice", "wonderland"), timeout=timeout)


def verdicts(verdict: AuthVerdict) -> list[str]:
    return [said.verdict for said in verdict.verdicts]


# --- plugins that break ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (third_party.Raises, "KeyError"),
        (third_party.Exits, "SystemExit"),
        (third_party.MissesItsBackend, "TimeoutError"),
        (third_party.AwaitsTheCancelled, "CancelledError"),
        (third_party.SaysOk, "no bool but str"),
    ],
)
async def test_a_plugin_that_breaks_refuses_and_is_named_without_what_it_said(
    kind: type[BaseAuthPlugin], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for plugins in ([kind], [third_party.Allows, kind], [kind, third_party.Denies]):
        verdict = await ask(*plugins)
        assert not verdict.admitted
        assert verdict.code is Code.AUTH_BACKEND_ERROR
        assert verdict.reason == f"{kind.__name__} failed: {fault}"
        assert verdict.verdicts[plugins.index(kind)].verdict == "error"
        assert third_party.SECRET not in f"{verdict}{caplog.text}"


async def test_a_plugin_that_hangs_is_cancelled_and_named() -> None:
    plugin = load_plugin(third_party.Hangs)

    verdict = await ask_plugins([plugin], session("alice", "x"), timeout=SHORT)

    assert verdict.code is Code.AUTH_TIMEOUT
    assert verdict.reason == "Hangs did not answer within 0.02 s"
    (said,) = verdict.verdicts
    assert (said.plugin, said.verdict) == ("Hangs", "timeout")
    assert said.duration >= SHORT * 0.5e9  # clocks of a busy machine are coarse
    await asyncio.sleep(0)  # its task takes one turn to end
    assert plugin.cancelled == 1


async def test_a_plugin_that_ignores_its_cancellation_is_left_behind() -> None:
    stubborn = load_plugin(third_party.IgnoresCancellation)
    plugins = [stubborn, load_plugin(third_party.Allows)]

    verdict = await ask_plugins(plugins, session("alice", "x"), timeout=SHORT)

    assert verdict.code is Code.AUTH_TIMEOUT
    assert verdicts(verdict) == ["timeout", "allow"]
    stubborn.let_go.set()  # it comes back with yes, long after: too late
    await stubborn.ended.wait()
    assert verdicts(verdict) == ["timeout", "allow"]
    assert stubborn.attempts >= 1
    await asyncio.sleep(0)
    assert not credentials._abandoned


async def test_a_hanging_plugin_holds_up_nobody_else() -> None:
    hanging = load_plugin(third_party.Hangs)
    allowing = load_plugin(third_party.Allows)
    stuck = [asyncio.create_task(ask_plugins([hanging], session(f"u{n}"), timeout=LONG)) for n in range(50)]
    await asyncio.sleep(0)

    assert (await ask_plugins([allowing], session("alice"), timeout=LONG)).admitted

    assert not any(task.done() for task in stuck)
    for task in stuck:  # the devices give up
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(0)
    assert hanging.cancelled == 50


async def test_a_device_that_gives_up_is_no_verdict() -> None:
    attempt = asyncio.create_task(ask(third_party.Hangs, third_party.Allows))
    await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt


# --- one verdict of many -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds",
    list(product([third_party.Allows, third_party.Denies, third_party.Abstains, third_party.Raises], repeat=3)),
    ids=lambda kinds: "-".join(kind.__name__ for kind in kinds),
)
async def test_who_is_admitted_is_what_amqtt_says(kinds: tuple[type[BaseAuthPlugin], ...]) -> None:
    manager = load_plugins({f"{kind.__module__}.{kind.__name__}": {} for kind in kinds})
    shown = session("alice", "wonderland")
    try:
        answers = (await manager.map_plugin_auth(session=shown)).values()
        results = [answer for answer in answers if answer is not None]
        expected = bool(results) and all(results)  # amqtt.broker.Broker._authenticate
    except KeyError:
        expected = False

    verdict = await ask(*kinds)

    assert verdict.admitted is expected
    assert (verdict.code is Code.ADMITTED) is expected
    assert (verdict.reason is None) is expected
    assert [said.plugin for said in verdict.verdicts] == [kind.__name__ for kind in kinds]
    assert all(said.duration > 0 for said in verdict.verdicts)


@pytest.mark.parametrize("broken", [third_party.Raises, third_party.Hangs])
async def test_with_a_broken_backend_nobody_learns_whether_the_password_was_right(
    broken: type[BaseAuthPlugin],
) -> None:
    right = await ask(third_party.Allows, broken, timeout=SHORT)
    wrong = await ask(third_party.Denies, broken, timeout=SHORT)

    assert (right.code, right.reason) == (wrong.code, wrong.reason)
    assert verdicts(right)[0] == "allow"  # the operator sees it, in the record
    assert verdicts(wrong)[0] == "deny"


async def test_an_error_says_more_than_a_timeout() -> None:
    verdict = await ask(third_party.Hangs, third_party.Raises, timeout=SHORT)
    assert verdict.code is Code.AUTH_BACKEND_ERROR
    assert verdicts(verdict) == ["timeout", "error"]


async def test_without_plugins_nobody_is_admitted() -> None:
    assert (await ask()).code is Code.NOT_AUTHORIZED
    assert (await ask(of=session())).code is Code.NO_CREDENTIALS


@pytest.mark.parametrize(
    ("kind", "username", "certificate", "code"),
    [
        (third_party.Denies, "alice", False, Code.BAD_PASSWORD),
        (third_party.Denies, None, False, Code.NO_CREDENTIALS),
        (third_party.Denies, None, True, Code.NOT_AUTHORIZED),
        (third_party.Abstains, "alice", False, Code.NOT_AUTHORIZED),
        (third_party.Abstains, None, False, Code.NO_CREDENTIALS),
        (third_party.Abstains, None, True, Code.NOT_AUTHORIZED),
    ],
)
async def test_the_code_follows_from_what_was_shown(
    kind: type[BaseAuthPlugin], username: str | None, certificate: bool, code: Code
) -> None:
    tls = handshake(named("device-17") if certificate else None)
    verdict = await ask(kind, of=session(username, username and "secret-password", ssl_object=tls))
    assert verdict.code is code
    assert verdict.reason
    assert "alice" not in verdict.reason
    assert "secret-password" not in str(verdict)


# --- what plugins say beyond yes and no --------------------------------------------------------


@pytest.mark.parametrize("code", sorted(REFUSALS))
@pytest.mark.parametrize("spelled", [Code, str])
async def test_a_plugin_may_refine_its_deny(code: Code, spelled: type) -> None:
    plugin = load_plugin(third_party.Refuses)
    plugin.refusal = spelled(code.value)
    shown = session("alice", "x")

    verdict = await ask_plugins([plugin], shown, timeout=LONG)

    assert verdict.code is code
    assert "doorlog.refusal" not in shown.attributes


@pytest.mark.parametrize("refusal", ["admitted", Code.ADMITTED, "server_shutdown", "", 7, None, object(), ["x"]])
async def test_a_senseless_refusal_is_a_plain_deny(refusal: object) -> None:
    plugin = load_plugin(third_party.Refuses)
    plugin.refusal = refusal
    plugin.reason = refusal
    verdict = await ask_plugins([plugin], session("alice", "x"), timeout=LONG)
    assert not verdict.admitted
    assert verdict.code is Code.BAD_PASSWORD


async def test_a_reason_of_the_plugin_is_told_up_to_a_bound() -> None:
    plugin = load_plugin(third_party.Refuses)
    plugin.refusal, plugin.reason = Code.NOT_AUTHORIZED, "its licence has ended" + "!" * 10_000
    verdict = await ask_plugins([plugin], session("alice", "x"), timeout=LONG)
    assert verdict.reason is not None
    assert verdict.reason.startswith("Refuses refused the device: its licence has ended!")
    assert len(verdict.reason) < 300


@pytest.mark.parametrize("password", ["hunter2", "pässwörd\n", "'"])
@pytest.mark.parametrize("written", [str, repr, ascii])
async def test_a_reason_that_tells_the_password_is_not_told(password: str, written: Callable[[str], str]) -> None:
    plugin = load_plugin(third_party.Refuses)
    plugin.refusal, plugin.reason = Code.NOT_AUTHORIZED, f"there is no {written(password)} in the file"
    verdict = await ask_plugins([plugin], session("alice", password), timeout=LONG)
    assert verdict.reason == "Refuses refused the device"


async def test_without_a_password_every_reason_is_told() -> None:
    plugin = load_plugin(third_party.Refuses)
    plugin.refusal, plugin.reason = Code.NOT_AUTHORIZED, "its licence has ended"
    verdict = await ask_plugins([plugin], session("alice"), timeout=LONG)
    assert verdict.reason == "Refuses refused the device: its licence has ended"


async def test_the_first_of_several_refusals_counts_and_whispers_do_not() -> None:
    first, second = load_plugin(third_party.Refuses), load_plugin(third_party.Refuses)
    first.refusal, second.refusal = Code.UNKNOWN_USER, Code.THROTTLED
    whispers = load_plugin(third_party.Whispers)
    assert (await ask_plugins([whispers, first, second], session("a"), timeout=LONG)).code is Code.UNKNOWN_USER
    assert (await ask(third_party.Whispers, third_party.Denies)).code is Code.BAD_PASSWORD


async def test_a_plugin_may_vouch_for_somebody_else() -> None:
    shown = session("alice", "x")
    verdict = await ask(third_party.Allows, third_party.Vouches, of=shown)
    assert (verdict.principal, verdict.method) == ("token-owner", "token")
    assert shown.attributes["doorlog.principal"] == "token-owner"


async def test_what_an_earlier_connection_proved_does_not_last() -> None:
    shown = session("alice", "x")
    shown.attributes["doorlog.principal"] = "root"
    shown.attributes["doorlog.auth.method"] = "certificate"
    shown.attributes["doorlog.refusal"] = "throttled"

    assert (await ask(third_party.Allows, of=shown)).principal == "alice"
    refused = await ask(third_party.Vouches, third_party.Denies, of=shown)

    assert refused.principal is None
    assert refused.code is Code.BAD_PASSWORD
    assert shown.attributes["doorlog.principal"] is None


@pytest.mark.parametrize("principal", ["", None, 7, b"root"])
async def test_a_senseless_principal_is_none(principal: object) -> None:
    plugin = load_plugin(third_party.Vouches)
    plugin.principal = principal
    assert (await ask_plugins([plugin], session("alice", "x"), timeout=LONG)).principal == "alice"


@pytest.mark.parametrize("config", [{"allow_anonymous": True}, {"allow_anonymous": False}])
async def test_a_claimed_user_name_is_nobody(config: dict[str, Any]) -> None:
    anonymous = load_plugin(AnonymousAuthPlugin, **config)
    shown = session("admin", "guess")

    verdict = await ask_plugins([anonymous], shown, timeout=LONG)

    assert verdict.admitted
    assert verdict.method == "anonymous"
    assert verdict.principal is None
    assert shown.attributes["doorlog.principal"] is None
    checked = await ask_plugins([anonymous, load_plugin(third_party.Allows)], session("bob", "x"), timeout=LONG)
    assert (checked.principal, checked.method) == ("bob", "password")


@pytest.mark.parametrize(
    ("username", "password", "certificate", "principal", "method"),
    [
        ("alice", "x", False, "alice", "password"),
        (None, None, True, "CN=device-17", "certificate"),
        ("alice", "x", True, "alice", None),  # nobody says which of the two convinced the plugin
        (None, None, False, None, None),
    ],
)
async def test_principal_and_method_are_guessed_where_no_plugin_says(
    username: str | None, password: str | None, certificate: bool, principal: str | None, method: str | None
) -> None:
    tls = handshake(named("device-17") if certificate else None)
    verdict = await ask(third_party.Allows, of=session(username, password, ssl_object=tls))
    assert (verdict.principal, verdict.method) == (principal, method)


async def test_a_certificate_is_proof_for_an_anonymous_device() -> None:
    shown = session("admin", None, ssl_object=handshake(named("device-17")))
    verdict = await ask(AnonymousAuthPlugin, of=shown)
    assert (verdict.principal, verdict.method) == ("CN=device-17", "certificate")


async def test_verdicts_are_frozen() -> None:
    verdict = await ask(third_party.Allows)
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.admitted = True  # type: ignore[misc] # that is the test
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.verdicts[0].verdict = "deny"  # type: ignore[misc] # that is the test
