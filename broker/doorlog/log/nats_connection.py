"""One connection to NATS: opened, used for some batches, thrown away at the first failure.

nats-py would reconnect by itself and send what it has kept; here a batch is brought again by the courier instead, so
that nothing is kept in two places, and its order is that of the log. All here runs on the event loop of the sink.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoServersError
from nats.js.api import Header, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from doorlog.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.js import JetStreamContext
    from nats.js.api import PubAck

    from doorlog.log.nats_settings import NatsSettings
    from doorlog.log.nats_subject import Message

_STREAM_EXISTS: Final = 10058
"""JetStream's ``err_code`` for a stream that somebody else has made meanwhile, a little differently."""

# What nats-py has to say reaches the operator as the fault of the sink, once; not from a logger, each time.
logging.getLogger("nats").addHandler(logging.NullHandler())
logging.getLogger("nats").propagate = False


def _is_news(record: logging.LogRecord) -> bool:
    """Tell what is worth a line from a warning that asyncio has for each end of a TLS connection of nats-py."""
    return not str(record.msg).startswith("returning true from eof_received()")


logging.getLogger("asyncio").addFilter(_is_news)


class Connection:
    """A connection to one server of the cluster.

    Args:
        settings: Of the sink.
        name: How the servers know us.
    """

    def __init__(self, settings: NatsSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._client = Client()
        self._ended = asyncio.Event()
        self._said: BaseException | None = None
        self._stream: JetStreamContext | None = None
        self._is_proven = False

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._stream is not None and self._client.is_connected and not self._ended.is_set()

    async def open(self) -> None:
        """Connect, and see to the stream.

        Raises:
            SinkError: There is no server, it does not let us in, or it has no such stream.
        """
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._client.connect(**self._options())
                self._refuse_plain_text()
                stream = self._client.jetstream(timeout=self._settings.timeout)
                if self._settings.create_stream:
                    await self._see_to_stream(stream)
        except Exception as error:  # noqa: BLE001 - nats-py, and what reads credentials for it, raise many kinds
            raise SinkError(self._sentence(error)) from None
        self._stream = stream

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send messages, all at once, and wait until JetStream has stored each of them.

        The first of a connection goes alone: while the servers elect a leader, some of many could be refused and
        those behind them be stored.

        Raises:
            SinkError: It has not; ``lost`` counts from the first that it did not acknowledge.
        """
        alone = 0 if self._is_proven else 1
        taken = 0
        for part in (messages[:alone], messages[alone:]):
            stored, error = await self._store(part)
            taken += stored
            if stored < len(part):
                sentence = self._sentence(error or TimeoutError(), part[stored])
                raise SinkError(sentence, lost=len(messages) - taken)
            self._is_proven = True

    async def close(self) -> None:
        """Let go of the connection."""
        with suppress(Exception):  # nats-py asserts where it never came to connect; whatever it is, we are done with it
            async with asyncio.timeout(self._settings.timeout):
                await self._client.close()

    async def _store(self, messages: Sequence[Message]) -> tuple[int, BaseException | None]:
        """Send messages; return how many were stored up to the first that was not, and why that was not."""
        acks: list[asyncio.Future[PubAck]] = []
        error: BaseException | None = None
        try:
            for message in messages:
                acks.append(await self._send(message))  # noqa: PERF401 - what was sent before a failure is waited for
        except (NatsError, OSError) as failure:
            error = failure
        if acks:
            await self._wait(acks)
        refusals = [refusal for ack in acks if (refusal := _refusal(ack)) is not None]
        stored = _acknowledged(acks)
        for ack in acks:
            ack.cancel()
        return stored, next(iter(refusals), error)

    async def _send(self, message: Message) -> asyncio.Future[PubAck]:
        if self._stream is None or not self.is_open:
            raise self._said if isinstance(self._said, NatsError) else NatsError("nats: the connection has ended")
        headers = {Header.MSG_ID.value: message.id, Header.EXPECTED_STREAM.value: self._settings.stream}
        return await self._stream.publish_async(message.subject, message.payload, headers=headers)

    async def _wait(self, acks: Sequence[asyncio.Future[PubAck]]) -> None:
        """Wait for all acknowledgements, the end of the connection, or the end of our patience."""
        ended = asyncio.create_task(self._ended.wait())
        every = asyncio.ensure_future(asyncio.wait(acks))
        try:
            await asyncio.wait({ended, every}, timeout=self._settings.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            every.cancel()

    async def _see_to_stream(self, stream: JetStreamContext) -> None:
        settings = self._settings
        try:
            await stream.stream_info(settings.stream)
        except NotFoundError:
            config = StreamConfig(
                name=settings.stream,
                description="doorlog: who knocked at the brokers, how far they got, and why they were turned away",
                subjects=[f"{settings.subject}.>"],
                storage=StorageType.FILE,
                num_replicas=settings.replicas,
                duplicate_window=settings.duplicate_window,
                max_age=settings.max_age,
            )
            try:
                await stream.add_stream(config)
            except APIError as error:
                if error.err_code != _STREAM_EXISTS:
                    raise

    # how we present ourselves

    def _options(self) -> dict[str, Any]:
        settings = self._settings

        async def said(error: Exception) -> None:
            self._said = error
            if self._stream is not None:  # such as an acknowledgement that is a refusal: nats-py tells it here alone
                self._ended.set()

        async def ended() -> None:
            self._ended.set()

        return {
            "servers": list(settings.servers),
            "name": self._name,
            "inbox_prefix": settings.inbox,
            "error_cb": said,
            "closed_cb": ended,
            "disconnected_cb": ended,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": settings.timeout / (len(settings.servers) + 1),  # a dead one leaves time for the others
            "tls": self._tls() if settings.is_encrypted else None,
            **self._credentials(),
        }

    def _credentials(self) -> dict[str, Any]:
        settings = self._settings
        if settings.credentials_file is not None:
            return {"user_credentials": str(settings.credentials_file)}
        if settings.nkey_file is not None:
            return {"nkeys_seed": str(settings.nkey_file)}
        if settings.password_file is None:
            return {}
        first_line = settings.password_file.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")

        def password() -> str:
            self._refuse_plain_text()
            return first_line

        return {"user": settings.user, "password": password}

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.create_default_context(cafile=settings.cafile)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certfile is not None:
            context.load_cert_chain(settings.certfile, settings.keyfile)
        return context

    def _refuse_plain_text(self) -> None:
        """Refuse a server, or somebody in its place, that does without TLS where TLS is configured.

        nats-py encrypts only if the server says that it must, whatever the address says.
        """
        # Nothing public tells; where a later nats-py does not say it here, nothing is sent.
        said = getattr(self._client, "_server_info", {})
        if self._settings.is_encrypted and not said.get("tls_required"):
            raise ConnectionError("the server does not ask for TLS, which is configured here: nothing was sent")

    # what went wrong, without a secret

    def _sentence(self, error: BaseException, message: Message | None = None) -> str:
        return f"NATS at {', '.join(self._settings.servers)}: {self._reason(error, message)}"

    def _reason(self, error: BaseException, message: Message | None) -> str:
        if isinstance(error, MaxPayloadError) and message is not None:
            size, limit = len(message.payload), self._client.max_payload
            return f"a record has {size} bytes, their max_payload is {limit}: raise it; nothing is sent until then"
        if isinstance(error, NotFoundError | NoStreamResponseError):
            stream, subject = self._settings.stream, self._settings.subject
            return f"no stream {stream} takes {subject}.>, or it has no leader at this moment"
        if isinstance(error, TimeoutError | NoServersError) and self._said is not None:
            error = self._said
        if isinstance(error, TimeoutError):
            return f"no answer within {self._settings.timeout:g} s"
        if not isinstance(error, NatsError | OSError):  # of a file with credentials: its text may hold some
            return f"our credentials can not be used ({type(error).__name__})"
        text = str(error).removeprefix("nats: ") or type(error).__name__
        if "authorization violation" in text.lower():
            return "our credentials are refused (Authorization Violation)"
        return text


def _refusal(ack: asyncio.Future[PubAck]) -> BaseException | None:
    return ack.exception() if ack.done() and not ack.cancelled() else None


def _acknowledged(acks: Sequence[asyncio.Future[PubAck]]) -> int:
    """Count those that were stored, up to the first that was not."""
    for index, ack in enumerate(acks):
        if not ack.done() or ack.cancelled() or ack.exception() is not None:
            return index
    return len(acks)
