"""What topic plugins allow, and what becomes of the answers of broken ones."""

from __future__ import annotations

import asyncio

import pytest
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from doorlog.embedded.permissions import TopicPermissions, whereabouts
from doorlog.embedded.session import BrokerSession


class Says(BaseTopicPlugin):
    """Always gives the same answer."""

    def __init__(self, verdict: bool | Exception | None) -> None:
        super().__init__(BaseContext())
        self.verdict = verdict
        self.asked = 0

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class Hangs(Says):
    """Never answers."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        await asyncio.Event().wait()
        return True


async def allowed(*plugins: BaseTopicPlugin, timeout: float = 5) -> bool:  # noqa: ASYNC109 - handed on
    permissions = TopicPermissions(plugins, timeout=timeout)
    return await permissions.allows(BrokerSession(), "t", Action.PUBLISH)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((True,), True),
        ((False,), False),
        ((None,), False),
        ((None, None), False),
        ((None, True), True),
        ((True, None), True),
        ((True, False), False),
        ((False, True), False),
    ],
)
async def test_one_must_allow_and_none_refuse(verdicts: tuple[bool | None, ...], *, expected: bool) -> None:
    assert await allowed(*map(Says, verdicts)) is expected


async def test_without_plugins_everything_is_allowed() -> None:
    assert TopicPermissions([]).unrestricted
    assert await allowed()
    assert not TopicPermissions([Says(None)]).unrestricted


async def test_plugin_that_raises_has_refused(caplog: pytest.LogCaptureFixture) -> None:
    assert not await allowed(Says(True), Says(RuntimeError("database is gone")), Says(True))
    assert "Says failed: refused (RuntimeError in test_embedded_permissions.py, line " in caplog.text
    assert "database is gone" not in caplog.text, "its text may be anything, a password too"


async def test_plugin_that_hangs_has_refused(caplog: pytest.LogCaptureFixture) -> None:
    assert not await allowed(Hangs(True), Says(True), timeout=0.01)
    assert "Hangs did not answer within 0.01 s: refused" in caplog.text


async def test_nobody_is_asked_after_a_refusal() -> None:
    last = Says(True)
    assert not await allowed(Says(False), last)
    assert last.asked == 0


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert whereabouts(ValueError("hunter2")) == "ValueError"
