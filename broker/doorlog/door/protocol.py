"""The shell around an attempt: one asyncio protocol that moves bytes, keeps the deadline, and asks for the verdict."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from doorlog.door import report
from doorlog.door.attempt import Attempt
from doorlog.door.authority import Judgement, judgement_of
from doorlog.door.classify import Ending
from doorlog.door.connection import DoorConnection
from doorlog.events.codes import Code, DisconnectCause

if TYPE_CHECKING:
    from doorlog.door.listener import Listener
    from doorlog.events.records import ConnectEvent

_log = logging.getLogger(__name__)
_EARLY_MAX_BYTES = 65_536  # behind a CONNECT that is being judged; then reading pauses


class DoorProtocol(asyncio.Protocol):
    """One accepted socket, from accept to close; emits exactly one ``connect`` event.

    Args:
        listener: The listener that accepted it.
        source: The peer's address and port, taken at accept.
        crowded: Whether the listener had too many attempts already.
    """

    __slots__ = (
        "_accepted_at",
        "_attempt",
        "_connection",
        "_deadline",
        "_error",
        "_is_lost",
        "_listener",
        "_peer_finished",
        "_recorded",
        "_task",
        "_transport",
        "connection_id",
    )

    def __init__(self, listener: Listener, source: tuple[str, int], *, crowded: bool) -> None:
        self._listener = listener
        self._accepted_at = time.monotonic_ns()
        self._transport: asyncio.Transport | None = None
        self._connection: DoorConnection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._recorded = False
        self._peer_finished = False
        self._is_lost = False
        self._error: Exception | None = None
        self.connection_id = secrets.token_hex(8)
        self._attempt = Attempt(listener.rules, source)
        if crowded:
            bound = listener.rules.limits.attempts_per_listener
            reason = f"more than {bound} connections of this listener wait for a verdict"
            self._attempt.conclude(Code.TOO_MANY_CONNECTIONS, reason)

    # What asyncio calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours to use."""
        self._transport = cast("asyncio.Transport", transport)
        if self._attempt.code is not None:
            self._finish()
            return
        timeout = self._listener.rules.limits.attempt_timeout
        self._deadline = self._listener.loop.call_later(timeout, self._deadline_passed)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._recorded:
            if self._connection is not None:
                self._connection.receive(data)
            return  # refused: it only gets to read our answer
        try:
            self._attempt.receive(data)
        except Exception:  # noqa: BLE001 - the promise holds for our own faults too: one record for each socket
            self._own_fault()
        self._follow()

    def eof_received(self) -> bool:
        """The peer sent FIN; true keeps our half open for the answer."""
        self._peer_finished = True
        if self._connection is not None:
            self._connection.peer_finished()
            return True
        if self._recorded:
            self.abort()
            return False
        self._end(Ending.FIN)
        self._follow()
        return not self._recorded  # its credentials are being judged

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, or was gone before it could be used."""
        self._cancel_deadline()
        self._is_lost, self._error = True, exc
        self._end(Ending.RESET if exc else Ending.FIN)
        if self._attempt.code is not None and not self._recorded:
            self._record()
        if self._connection is not None:
            self._connection.lost(exc)
        self._forget_if_over()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        if self._connection is not None:
            self._connection.pause_writing()
        elif not self._recorded:
            self._pause_reading()  # a stranger who asks TLS or WebSocket on and on, and does not read the answers

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        if self._connection is not None:
            self._connection.resume_writing()
        elif len(self._attempt.early) <= _EARLY_MAX_BYTES:
            self._resume_reading()

    def cut(self) -> None:
        """End it at once, whatever is under way; the records are emitted."""
        self.abort()
        if self._task is not None:
            self._task.cancel()

    def shut_down(self) -> None:
        """The broker stops: an undecided attempt gets its record now."""
        if self._recorded:
            if self._connection is None:
                self.abort()
            return
        task, self._task = self._task, None  # an authority that does not let go must not hold up the stop
        if task is not None:
            task.cancel()
        self._attempt.conclude(Code.SERVER_SHUTDOWN)
        self._finish()
        self._forget_if_over()

    def _follow(self) -> None:
        attempt = self._attempt
        if attempt.code is not None:
            self._finish()
            return
        output = attempt.take_output()
        if output and self._transport is not None:
            self._transport.write(output)
        if attempt.connect is None:
            return
        if self._task is None:
            self._cancel_deadline()
            self._task = self._listener.loop.create_task(self._judge_and_serve())
            self._task.add_done_callback(self._task_done)
        elif len(attempt.early) > _EARLY_MAX_BYTES:
            self._pause_reading()

    async def _judge_and_serve(self) -> None:
        listener, transport = self._listener, cast("asyncio.Transport", self._transport)  # bytes came through it
        connection = DoorConnection(
            self._attempt, transport, listener.rules, connection_id=self.connection_id, port=listener.port
        )
        can_admit = listener.assurance.admits
        judgement = await judgement_of(listener.authority, connection) if can_admit else Judgement(Code.LOG_UNAVAILABLE)
        if self._recorded:
            return  # the broker has stopped meanwhile
        if listener.assurance.waits:
            self._pause_reading()  # neither what follows CONNECT nor a FIN counts before the verdict is out
        self._attempt.conclude(judgement.code, judgement.reason)
        if judgement.code is Code.ADMITTED:
            await self._admit(connection, judgement)
            return
        self._record(judgement)
        await listener.settle(self._answer, self.abort, at_once=judgement.code is Code.LOG_UNAVAILABLE)

    async def _admit(self, connection: DoorConnection, judgement: Judgement) -> None:
        connection.principal = judgement.principal
        session = report.SessionReport(self._record(judgement), time.monotonic_ns())
        self._attempt.release()
        self._listener.leave(self)
        try:
            if await self._listener.assurance.on_disk():
                await self._serve(connection, judgement)
            else:
                connection.turn_away(DisconnectCause.LOG_UNAVAILABLE)
                self._listener.authority.dismiss(judgement)
        except Exception:  # noqa: BLE001 - whatever stands behind the door, the door goes on
            _log.exception("the broker failed to serve a connection")
        finally:
            connection.close()
            self._listener.emit(session.disconnect_event(connection, datetime.now(UTC), time.monotonic_ns()))

    async def _serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        self._connection = connection
        self._resume_reading()
        connection.admitted(self._attempt)
        if self._is_lost:
            connection.lost(self._error)
        elif self._peer_finished:
            connection.peer_finished()
        await self._listener.authority.serve(connection, judgement)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the door failed on connection %s", self.connection_id, exc_info=error)
            if self._recorded:
                self.abort()
        if self._task is not task:
            return
        self._task = None
        if not self._recorded:  # or somebody else than us cancelled what the authority waited for
            self._attempt.conclude(Code.INTERNAL_ERROR if error else Code.AUTH_BACKEND_ERROR)
            self._finish()
        self._forget_if_over()

    def _finish(self) -> None:
        self._cancel_deadline()
        self._record()
        if not self._listener.assurance.waits:
            self._answer()
            return
        self._pause_reading()
        self._task = self._listener.loop.create_task(self._listener.settle(self._answer, self.abort))
        self._task.add_done_callback(self._task_done)

    def _answer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._attempt.say_goodbye()
        output = self._attempt.take_output()
        if not output:
            self.abort()
            return
        self._transport.write(output)
        self._deadline = self._listener.loop.call_later(self._listener.rules.limits.linger_timeout, self.abort)
        if self._peer_finished:
            self._transport.close()
            return
        # FIN behind our answer, but keep on reading: closing with unread bytes would send RST,
        # which makes the device's stack throw our alert or CONNACK away (RFC 1122, 4.2.2.13).
        self._resume_reading()
        self._transport.write_eof()

    def _record(self, judgement: Judgement | None = None) -> ConnectEvent:
        self._recorded = True
        duration, now = time.monotonic_ns() - self._accepted_at, datetime.now(UTC)
        event = report.safe_connect_event(self._attempt, self.connection_id, self._listener, duration, now, judgement)
        self._listener.emit_connect(event)
        return event

    def _forget_if_over(self) -> None:
        if self._is_lost and self._recorded and self._task is None:
            self._attempt.release()
            self._listener.forget(self)

    def _end(self, ending: Ending) -> None:
        try:
            self._attempt.end(ending)
        except Exception:  # noqa: BLE001 - as in data_received
            self._own_fault()

    def _own_fault(self) -> None:
        _log.exception("the door failed on connection %s", self.connection_id)
        if self._task is not None:
            self.abort()  # its verdict is on the way
        else:
            self._attempt.conclude(Code.INTERNAL_ERROR)

    def _deadline_passed(self) -> None:
        self._deadline = None
        self._end(Ending.TIMEOUT)
        self._follow()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
