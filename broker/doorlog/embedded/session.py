"""amqtt's Session without its state machine: 0.6 of the 1.0 ms that a connection costs amqtt went into building one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from math import floor
from typing import TYPE_CHECKING, Any

from amqtt.session import OutgoingApplicationMessage, Session
from amqtt.utils import gen_client_id
from transitions import MachineError

if TYPE_CHECKING:
    from amqtt.session import ApplicationMessage

    from doorlog.embedded.connection import AdmittedConnection
    from doorlog.embedded.handler import SessionHandler
    from doorlog.embedded.limits import BrokerLimits

_UNPICKLABLE = ("live", "ssl_object", "successor")


class SessionStates:
    """What amqtt and its plugins use of ``session.transitions``: new, connected, disconnected."""

    __slots__ = ("_session",)

    def __init__(self, session: BrokerSession) -> None:
        self._session = session

    @property
    def state(self) -> str:
        """``new``, ``connected`` or ``disconnected``."""
        return self._session.connection_state

    def is_new(self) -> bool:
        """Whether it was never connected."""
        return self.state == "new"

    def is_connected(self) -> bool:
        """Whether its client is connected."""
        return self.state == "connected"

    def is_disconnected(self) -> bool:
        """Whether its client is gone."""
        return self.state == "disconnected"

    def connect(self) -> bool:
        """Enter ``connected``.

        Raises:
            MachineError: It is connected already.
        """
        if self.is_connected():
            raise MachineError("Can't trigger event connect from state connected!")
        self._session.connection_state = "connected"
        self._session.last_connect_time = floor(time.time())
        self._session.last_disconnect_time = None
        return True

    def disconnect(self) -> bool:
        """Enter ``disconnected``, from any state."""
        self._session.connection_state = "disconnected"
        self._session.last_disconnect_time = floor(time.time())
        return True


class WaitingMessages(asyncio.Queue["ApplicationMessage"]):
    """A queue with what amqtt and its plugins use of one, in a quarter of asyncio's 3 KB: nobody waits on it."""

    def __init__(self) -> None:
        self._queue: deque[ApplicationMessage] = deque()

    def __repr__(self) -> str:
        """Say how many wait: what they hold is nobody's business in a log."""
        return f"<{type(self).__name__} of {len(self._queue)}>"

    def put_nowait(self, item: ApplicationMessage) -> None:
        """Append a message."""
        self._queue.append(item)

    async def put(self, item: ApplicationMessage) -> None:
        """Append a message, as a persistence plugin does."""
        self._queue.append(item)

    def get_nowait(self) -> ApplicationMessage:
        """Take the oldest message.

        Raises:
            asyncio.QueueEmpty: There is none.
        """
        if not self._queue:
            raise asyncio.QueueEmpty
        return self._queue.popleft()

    async def get(self) -> ApplicationMessage:
        """Take the oldest message, as ``get_nowait``."""
        return self.get_nowait()


_NEVER_USED: asyncio.Queue[ApplicationMessage] = WaitingMessages()


class BrokerSession(Session):
    """The session of one connection; a resumed one takes over the state of the one before (MQTT 3.1.1, 3.1.2.4).

    Each connection has a session object of its own, so that nothing about the peer, the user, the will or
    ``clean_session`` can be left over from another connection, as it is in amqtt.

    Attributes:
        principal: Who was authenticated.
        subscriptions: Its place among the subscribers of each of its topic filters.
        live: What serves the client, None while it is not connected.
        successor: The session that has taken over this one's state.
        restored: Whether a plugin made it, so that nobody knows whose it was.
        queued_bytes: The size of the messages that wait in ``retained_messages``.
        dropped: How many messages were dropped since they were too many.
    """

    def __init__(self) -> None:
        self.connection_state = "new"
        self.principal: str | None = None
        self.subscriptions: dict[str, int] = {}
        self.live: SessionHandler | None = None
        self.successor: BrokerSession | None = None
        self.restored = False
        self.queued_bytes = 0
        self.dropped = 0
        super().__init__()
        self.retained_messages = WaitingMessages()
        self.delivered_message_queue = _NEVER_USED  # messages are handed on, not queued for it

    def _init_states(self) -> None:
        """Build no state machine; ``transitions`` stands in for it."""

    @property
    def transitions(self) -> SessionStates:  # type: ignore[override] # all of the Machine that amqtt uses
        """The state, as amqtt and its plugins read it; made on demand, for a kept one would be a reference cycle."""
        return SessionStates(self)

    def enqueue(self, message: OutgoingApplicationMessage, limits: BrokerLimits) -> int:
        """Let a message wait for the client; where they are too many, the oldest go.

        Returns:
            How many messages were dropped to make room, this one included if it alone is too large.
        """
        size = _size(message)
        if size > limits.max_queued_bytes:
            self.dropped += 1
            return 1
        waiting = self.retained_messages
        dropped = 0
        while not waiting.empty() and (
            waiting.qsize() >= limits.max_queued_messages or self.queued_bytes + size > limits.max_queued_bytes
        ):
            self._forget_size(waiting.get_nowait())
            dropped += 1
        waiting.put_nowait(message)
        self.queued_bytes += size
        self.dropped += dropped
        return dropped

    def dequeue(self) -> ApplicationMessage | None:
        """Return the message that has waited longest, None if none waits."""
        if self.retained_messages.empty():
            return None
        message = self.retained_messages.get_nowait()
        self._forget_size(message)
        return message

    def _forget_size(self, message: ApplicationMessage) -> None:
        # A persistence plugin puts messages into the queue itself, uncounted.
        self.queued_bytes = max(0, self.queued_bytes - _size(message))

    def inherit(self, old: BrokerSession) -> None:
        """Take over a session's state: what waits, what is under way in both directions, and the subscriptions."""
        self.retained_messages, old.retained_messages = old.retained_messages, self.retained_messages
        self.queued_bytes, old.queued_bytes = old.queued_bytes, 0
        self.inflight_in, old.inflight_in = old.inflight_in, OrderedDict()
        self.inflight_out, old.inflight_out = old.inflight_out, OrderedDict()
        self.subscriptions, old.subscriptions = old.subscriptions, {}
        self.dropped = old.dropped
        self._packet_id = old._packet_id
        old.successor = self

    def clear(self) -> None:
        """Drop the state."""
        self.clear_queues()
        self.queued_bytes = 0
        self.inflight_in.clear()
        self.inflight_out.clear()
        self.subscriptions.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Return what can be pickled: not the connection."""
        return super().__getstate__() | dict.fromkeys(_UNPICKLABLE)


def _size(message: ApplicationMessage) -> int:
    return len(message.data) + len(message.topic)


def session_of(connection: AdmittedConnection) -> BrokerSession:
    r"""Build the session that auth plugins are shown, and that is served if they admit it.

    Args:
        connection: A connection whose CONNECT is decoded. An empty client id gets one of ours (3.1.3-6).

    Returns:
        A session with the password still in it. Bytes in the password that are no UTF-8 are written as ``\xNN``,
        which amqtt's plugins, who want text, can neither fail on nor take for another password by accident.
    """
    connect = connection.connect
    session = BrokerSession()
    session.client_id = connect.client_id or gen_client_id()
    session.clean_session = connect.clean_session
    session.keep_alive = connect.keep_alive
    session.username = connect.user_name
    if connect.password is not None:
        session.password = connect.password.decode("utf-8", "backslashreplace")
    session.remote_address, session.remote_port = connection.source
    session.ssl_object = connection.ssl_object
    if connect.will is not None:
        session.will_flag = True
        session.will_topic = connect.will.topic
        session.will_message = connect.will.payload
        session.will_qos = connect.will.qos
        session.will_retain = connect.will.retain
    return session
