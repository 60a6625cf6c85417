"""Credentials: ask amqtt's authentication plugins under a deadline, and make one verdict of their answers.

Precedence, when the plugins do not agree. A plugin that raised or hung outweighs everything, a deny of
another plugin too: were it the other way round, then with one broken plugin a wrong password would get
another answer than the right one, and whoever guesses passwords would learn which was right. Every plugin is
waited for, so that the time of the answer tells nothing either. The operator loses nothing: the code
names what is broken, and the list of verdicts still shows who denied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import Literal

from amqtt.plugins.authentication import AnonymousAuthPlugin
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from doorlog.embedded.session_attributes import (
    METHOD,
    PRINCIPAL,
    REASON,
    REFUSAL,
    REFUSALS,
    certificate_subject,
    verified_certificate,
)
from doorlog.events.codes import Code

Verdict = Literal["allow", "deny", "abstain", "error", "timeout"]

_SENTENCES = {
    Code.BAD_PASSWORD: "refused the password",
    Code.UNKNOWN_USER: "does not know the user name",
    Code.NO_CREDENTIALS: "was shown neither a user name nor a client certificate",
    Code.NOT_AUTHORIZED: "refused the device",
    Code.THROTTLED: "has too many credentials waiting to be checked",
}
_VERDICTS: dict[bool | None, Verdict] = {True: "allow", False: "deny", None: "abstain"}

_MAX_REASON = 200

_abandoned: set[asyncio.Task[None]] = set()
"""Plugins that still run after their deadline: the event loop itself would not keep them from being collected."""


@dataclass(frozen=True, slots=True)
class PluginVerdict:
    """What one plugin said: its class name, its verdict and the nanoseconds that it took."""

    plugin: str
    verdict: Verdict
    duration: int


@dataclass(frozen=True, slots=True)
class AuthVerdict:
    """What all plugins said together.

    Attributes:
        admitted: Whether at least one plugin allowed, and every other allowed or abstained.
        code: ``ADMITTED``, or why not.
        verdicts: Each plugin's, in the order of the configuration.
        reason: Why not, in one sentence without anything that the device sent; None if admitted.
        method: How the device proved, or tried to prove, who it is: ``password``, ``certificate``,
            ``anonymous``, what a plugin named, or None if that can not be known.
        principal: Whom the plugins vouched for; None if nobody was, a mere claim of a user name included.
    """

    admitted: bool
    code: Code
    verdicts: tuple[PluginVerdict, ...]
    reason: str | None = None
    method: str | None = None
    principal: str | None = None


async def ask_plugins(plugins: Sequence[BaseAuthPlugin], session: Session, *, timeout: float) -> AuthVerdict:  # noqa: ASYNC109 - to run out of time is a verdict here, not an exception
    """Ask all plugins at once and judge as amqtt does: nobody denies, and at least one allows.

    A plugin runs as a task of its own, even when it is the only one: one that swallows its cancellation is left
    behind at the deadline, and the attempt still gets its verdict. The ``doorlog.*`` attributes of
    the session are cleared before, and settled after.

    Args:
        plugins: As amqtt's plugin manager built them.
        session: With what CONNECT said and the TLS object of the connection.
        timeout: Seconds, more than 0, for all plugins together.

    Returns:
        The verdict; whatever a plugin does, nothing is raised.
    """
    for attribute in (REFUSAL, REASON, METHOD, PRINCIPAL):
        session.attributes.pop(attribute, None)
    questions = [_Question(plugin) for plugin in plugins]
    if questions:
        await _answers(questions, session, timeout)
    verdict = _judge(questions, session, timeout)
    session.attributes[PRINCIPAL] = verdict.principal
    return verdict


@dataclass(slots=True)
class _Question:
    """One plugin's turn; until it answers, it is late."""

    plugin: BaseAuthPlugin
    verdict: Verdict = "timeout"
    asked: int = 0
    duration: int = 0
    refusal: object = None
    reason: object = None
    fault: str | None = None

    @property
    def name(self) -> str:
        return type(self.plugin).__name__

    async def ask(self, session: Session, answered: Callable[[], None]) -> None:
        self.asked = monotonic_ns()
        try:
            self._answer(await self.plugin.authenticate(session=session))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._fail("CancelledError")  # of something that the plugin awaited; nobody cancelled us
        except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party code, which must harm nobody else
            self._fail(type(error).__name__)
        finally:
            self.duration = monotonic_ns() - self.asked
            self.refusal = session.attributes.pop(REFUSAL, None)
            self.reason = session.attributes.pop(REASON, None)
            answered()

    def _answer(self, said: object) -> None:
        # Strict, since a forgotten await would answer with a coroutine, which is true: everybody would be let in.
        if said is None or isinstance(said, bool):
            self.verdict = _VERDICTS[said]
        else:
            self._fail(f"no bool but {type(said).__name__}")

    def _fail(self, fault: str) -> None:
        self.verdict = "error"
        self.fault = fault

    def plugin_verdict(self, now: int) -> PluginVerdict:
        return PluginVerdict(self.name, self.verdict, self.duration or (now - self.asked if self.asked else 0))


async def _answers(questions: Sequence[_Question], session: Session, seconds: float) -> None:
    """Wait until all have answered or time is up (asyncio.wait does the same at twice the cost)."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    unanswered = len(questions)

    def time_is_up() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def answered() -> None:
        nonlocal unanswered
        unanswered -= 1
        if not unanswered:
            time_is_up()

    tasks = [loop.create_task(question.ask(session, answered)) for question in questions]
    deadline = loop.call_later(seconds, time_is_up)
    try:
        await waiter
    finally:
        deadline.cancel()
        for task in tasks:
            if not task.done():
                _leave_behind(task)


def _leave_behind(task: asyncio.Task[None]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    task.cancel()


def _judge(questions: Sequence[_Question], session: Session, seconds: float) -> AuthVerdict:
    first: dict[Verdict, _Question] = {}
    for question in questions:
        first.setdefault(question.verdict, question)
    code, reason = _code(first, session, seconds)
    admitted = code is Code.ADMITTED
    unproven = admitted and _is_unproven(questions)
    now = monotonic_ns()
    return AuthVerdict(
        admitted=admitted,
        code=code,
        verdicts=tuple([question.plugin_verdict(now) for question in questions]),
        reason=reason,
        method=_method(session, unproven=unproven),
        principal=_principal(session, unproven=unproven) if admitted else None,
    )


def _code(first: dict[Verdict, _Question], session: Session, seconds: float) -> tuple[Code, str | None]:
    """Apply the precedence that the module's docstring explains."""
    if broken := first.get("error"):
        return Code.AUTH_BACKEND_ERROR, f"{broken.name} failed: {broken.fault}"
    if late := first.get("timeout"):
        return Code.AUTH_TIMEOUT, f"{late.name} did not answer within {seconds:g} s"
    if denier := first.get("deny"):
        return _refusal(denier, session)
    if "allow" in first:
        return Code.ADMITTED, None
    if _shows_nothing(session):
        return Code.NO_CREDENTIALS, "the device showed neither a user name nor a client certificate"
    return Code.NOT_AUTHORIZED, "no authentication plugin can judge what the device showed"


def _refusal(denier: _Question, session: Session) -> tuple[Code, str]:
    """Give the denying plugin's own code, or what is most likely."""
    said = next((code for code in REFUSALS if code == denier.refusal), None)
    if said is None and session.username:
        return Code.BAD_PASSWORD, f"{denier.name} refused the user name or the password"
    code = said or (Code.NO_CREDENTIALS if _shows_nothing(session) else Code.NOT_AUTHORIZED)
    because = denier.reason[:_MAX_REASON] if isinstance(denier.reason, str) else ""
    if not because or _tells_the_password(denier.reason, session):
        return code, f"{denier.name} {_SENTENCES[code]}"
    return code, f"{denier.name} {_SENTENCES[code]}: {because}"


def _tells_the_password(reason: object, session: Session) -> bool:
    password = session.password
    if not password:
        return False
    text = str(reason)
    return any(form in text for form in (password, repr(password)[1:-1], ascii(password)[1:-1]))


def _shows_nothing(session: Session) -> bool:
    return not session.username and verified_certificate(session) is None


def _is_unproven(questions: Sequence[_Question]) -> bool:
    """Whether nobody has looked at a password: AnonymousAuthPlugin lets in any user name unseen."""
    for question in questions:
        if question.verdict == "allow" and not isinstance(question.plugin, AnonymousAuthPlugin):
            return False
    return True


def _principal(session: Session, *, unproven: bool) -> str | None:
    vouched = session.attributes.get(PRINCIPAL)
    if isinstance(vouched, str) and vouched:
        return vouched
    return (None if unproven else session.username) or certificate_subject(session)


def _method(session: Session, *, unproven: bool) -> str | None:
    named = session.attributes.get(METHOD)
    if isinstance(named, str):
        return named
    if verified_certificate(session) is None:
        return "anonymous" if unproven else None if session.password is None else "password"
    # With both shown and let in by a plugin that does not say, nobody knows which of the two convinced it.
    return "certificate" if unproven or session.password is None else None
