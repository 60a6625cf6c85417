"""The shell around an attempt: one asyncio protocol that moves bytes, keeps the deadline, and asks for the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from doorlog.door import report
from doorlog.door.attempt import Attempt
from doorlog.door.authority import Judgement
from doorlog.door.classify import Ending
from doorlog.door.connection import DoorConnection
from doorlog.events.codes import Code

if TYPE_CHECKING:
    from doorlog.door.listener import Listener

_log = logging.getLogger(__name__)


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
        "_listener",
        "_peer_finished",
        "_recorded",
        "_source",
        "_task",
        "_transport",
        "connection_id",
        "destination_port",
    )

    def __init__(self, listener: Listener, source: tuple[str, int], *, crowded: bool) -> None:
        self._listener = listener
        self._source = source
        self._accepted_at = time.monotonic_ns()
        self._transport: asyncio.Transport | None = None
        self._connection: DoorConnection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._recorded = False
        self._peer_finished = False
        self.connection_id = secrets.token_hex(8)
        self.destination_port = listener.port
        self._attempt = Attempt(listener.rules, source)
        if crowded:
            bound = listener.rules.limits.attempts_per_listener
            self._attempt.conclude(
                Code.TOO_MANY_CONNECTIONS,
                f"more than {bound} connections of this listener wait for a verdict",
            )

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours to use."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being a subclass
        if self._attempt.code is not None:
            self._finish()
            return
        timeout = self._listener.rules.limits.attempt_timeout
        self._deadline = self._listener.loop.call_later(timeout, self._deadline_passed)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._connection is not None and self._recorded:
            self._connection.receive(data)
            return
        if self._recorded:
            return  # refused: it only gets to read our answer
        try:
            self._attempt.receive(data)
        except Exception:  # noqa: BLE001 - the promise holds for our own faults too: one record for each socket
            self._own_fault()
        self._follow()

    def eof_received(self) -> bool:
        """The peer sent FIN."""
        if self._connection is not None and self._recorded:
            self._connection.peer_finished()
        elif self._recorded:
            self.abort()
        else:
            self._peer_finished = True
            self._attempt.end(Ending.FIN)
            self._follow()
        return self._attempt.code is None  # credentials are being judged: keep our half open for the answer

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._cancel_deadline()
        if not self._recorded:
            self._attempt.end(Ending.RESET if exc else Ending.FIN)
            if self._attempt.code is not None:
                self._record()
        if self._connection is not None:
            self._connection.lost(exc)
        self._attempt.release()
        if self._task is None:
            self._listener.forget(self)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        if self._connection is not None:
            self._connection.resume_writing()

    # What the listener calls

    def never_made(self, _error: BaseException) -> None:
        """The socket was accepted, but was gone before it could be used."""
        self._attempt.end(Ending.RESET)
        self._attempt.conclude(Code.CLOSED_BEFORE_CONNECT)
        self._record()
        self._attempt.release()
        self._listener.forget(self)

    def shut_down(self) -> None:
        """The broker stops: an undecided attempt gets its record now."""
        if self._recorded:
            if self._connection is None:
                self.abort()
            return
        if self._task is not None:
            self._task.cancel()
        self._attempt.conclude(Code.SERVER_SHUTDOWN)
        self._finish()

    # Towards the verdict

    def _follow(self) -> None:
        attempt = self._attempt
        if attempt.code is not None:
            self._finish()
            return
        self._send(attempt.take_output())
        if attempt.connect is None:
            return
        if self._task is None:
            self._cancel_deadline()
            self._task = self._listener.loop.create_task(self._judge_and_serve())
        elif len(attempt.early) > self._listener.rules.limits.connect_max_bytes:
            self._pause_reading()

    async def _judge_and_serve(self) -> None:
        assert self._transport is not None  # noqa: S101 - bytes came through it
        listener = self._listener
        connection = DoorConnection(
            self._attempt, self._transport, listener.rules, connection_id=self.connection_id, port=listener.port
        )
        try:
            judgement = await self._judge(connection)
            self._attempt.conclude(judgement.code, judgement.reason)
            if judgement.code is not Code.ADMITTED:
                self._finish(judgement)
                return
            await self._serve(connection, judgement)
        finally:
            self._task = None
            if self._is_closing():
                self._listener.forget(self)

    async def _judge(self, connection: DoorConnection) -> Judgement:
        try:
            return await self._listener.authority.judge(connection)
        except Exception:  # noqa: BLE001 - whatever stands behind the door, the door goes on
            _log.exception("the authority failed to judge a connection")
            return Judgement(Code.AUTH_BACKEND_ERROR)

    async def _serve(self, connection: DoorConnection, judgement: Judgement) -> None:
        self._connection = connection
        connection.principal = judgement.principal
        self._record(judgement)
        self._attempt.release()
        self._listener.leave(self)
        ended = report.SessionReport(self._attempt, self.connection_id, self._listener, time.monotonic_ns())
        self._resume_reading()
        early, self._attempt.early = bytes(self._attempt.early), bytearray()
        connection.admitted(early)
        if self._peer_finished or self._is_closing():
            connection.peer_finished()
        try:
            await self._listener.authority.serve(connection, judgement)
        except Exception:  # noqa: BLE001 - whatever stands behind the door, the door goes on
            _log.exception("the broker failed to serve a connection")
        finally:
            connection.close()
            self._listener.emit(ended.disconnect_event(connection, datetime.now(UTC), time.monotonic_ns()))

    def _finish(self, judgement: Judgement | None = None) -> None:
        self._cancel_deadline()
        self._record(judgement)
        if self._transport is None or self._is_closing():
            return
        self._attempt.say_goodbye()
        output = self._attempt.take_output()
        if not output:
            self.abort()
            return
        # FIN behind our answer, but keep on reading: closing with unread bytes would send RST,
        # which makes the device's stack throw our alert or CONNACK away (RFC 1122, 4.2.2.13).
        self._transport.write(output)
        self._resume_reading()
        linger = self._listener.rules.limits.linger_timeout
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._deadline = self._listener.loop.call_later(linger, self.abort)

    def _record(self, judgement: Judgement | None = None) -> None:
        if self._recorded:
            return
        self._recorded = True
        duration = time.monotonic_ns() - self._accepted_at
        event = report.connect_event(
            self._attempt, self.connection_id, self._listener, duration, datetime.now(UTC), judgement
        )
        self._listener.emit_connect(event)

    def _own_fault(self) -> None:
        _log.exception("the door failed on connection %s", self.connection_id)
        if self._task is not None:
            self.abort()  # its verdict is on the way
        else:
            self._attempt.conclude(Code.INTERNAL_ERROR)

    def _deadline_passed(self) -> None:
        self._deadline = None
        self._attempt.end(Ending.TIMEOUT)
        self._follow()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()
