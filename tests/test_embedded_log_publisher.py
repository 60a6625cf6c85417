"""Records from another thread to the event loop: in order, bounded, one a turn, and to an end when the broker stops."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from doorlog.embedded.log_publisher import LogPublisher
from doorlog.errors import SinkError


class Readers:
    """Keep what is delivered.

    Attributes:
        payloads: What came, in order.
        go: Cleared while they take nothing.
        fault: What a delivery fails with.
    """

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.fault: Exception | None = None

    async def deliver(self, topic: str, payload: bytes) -> None:
        assert topic == "doorlog/x"
        self.reached.set()
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        self.payloads.append(payload)


def publish(publisher: LogPublisher, *numbers: int) -> list[Future[None]]:
    return [publisher.publish("doorlog/x", b"%d" % number) for number in numbers]


async def taken(*futures: Future[None]) -> None:
    async with asyncio.timeout(5):
        await asyncio.gather(*map(asyncio.wrap_future, futures))


async def test_records_come_in_order_from_another_thread() -> None:
    readers = Readers()
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    futures = await asyncio.to_thread(publish, publisher, *range(500))
    await taken(*futures)
    assert readers.payloads == [b"%d" % number for number in range(500)]
    await taken(*publish(publisher, 500))
    assert len(readers.payloads) == 501, "it begins again after a pause"
    await publisher.stop()


async def test_between_two_records_everybody_else_has_a_turn() -> None:
    seen: list[str] = []

    async def deliver(_topic: str, _payload: bytes) -> None:
        seen.append("record")
        asyncio.get_running_loop().call_soon(seen.append, "device")

    publisher = LogPublisher(deliver)
    publisher.start()
    await taken(*publish(publisher, 1, 2, 3))
    assert seen[:5] == ["record", "device", "record", "device", "record"]
    await publisher.stop()


async def test_no_more_wait_than_may() -> None:
    readers = Readers()
    readers.go.clear()
    publisher = LogPublisher(readers.deliver, max_waiting=2)
    publisher.start()
    first = publish(publisher, 0)
    await readers.reached.wait()
    waiting = publish(publisher, 1, 2)
    (refused,) = publish(publisher, 3)
    with pytest.raises(SinkError, match=r"^2 records wait for our own broker already$"):
        refused.result()
    readers.go.set()
    await taken(*first, *waiting)
    assert readers.payloads == [b"0", b"1", b"2"]
    await publisher.stop()


async def test_a_delivery_that_fails_is_told_and_the_next_goes_on() -> None:
    readers = Readers()
    readers.fault = RuntimeError("a plugin failed")
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    (failed,) = publish(publisher, 1)
    with pytest.raises(RuntimeError, match=r"^a plugin failed$"):
        await taken(failed)
    readers.fault = None
    await taken(*publish(publisher, 2))
    assert readers.payloads == [b"2"]
    await publisher.stop()


async def test_what_its_sink_no_longer_waits_for_is_not_delivered() -> None:
    readers = Readers()
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    impatient, patient = publish(publisher, 1, 2)
    assert impatient.cancel()
    await taken(patient)
    assert readers.payloads == [b"2"]
    await publisher.stop()


async def test_while_the_broker_does_not_run_there_are_no_readers_to_wait_for() -> None:
    readers = Readers()
    publisher = LogPublisher(readers.deliver)
    assert all(future.done() for future in publish(publisher, 1))
    publisher.start()
    await publisher.stop()
    assert all(future.done() for future in publish(publisher, 2))
    assert not readers.payloads


async def test_a_stop_leaves_nobody_waiting() -> None:
    readers = Readers()
    readers.go.clear()
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    futures = publish(publisher, 1, 2, 3)
    await readers.reached.wait()
    futures[1].cancel()
    await publisher.stop()
    assert all(future.done() for future in futures)
    assert not readers.payloads


async def test_a_stop_before_the_first_delivery_has_begun() -> None:
    readers = Readers()
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    futures = publish(publisher, 1)
    publisher._wake()
    await publisher.stop()
    assert futures[0].done()
    publisher.start()
    await taken(*publish(publisher, 2))
    assert readers.payloads == [b"2"]
    await publisher.stop()


async def test_a_record_that_crossed_the_stop() -> None:
    readers = Readers()
    publisher = LogPublisher(readers.deliver)
    publisher.start()
    futures = publish(publisher, 1)
    publisher._loop = None  # as if the stop had come between the two steps of publish
    await taken(*futures)
    assert not readers.payloads


def test_a_loop_that_is_closed() -> None:
    readers: list[Readers] = []

    async def start() -> LogPublisher:
        readers.append(Readers())
        publisher = LogPublisher(readers[0].deliver)
        publisher.start()
        return publisher

    with ThreadPoolExecutor(1) as thread:  # so that this one keeps its own event loop, if it has one
        publisher = thread.submit(asyncio.run, start()).result()
    (future,) = publish(publisher, 1)
    assert future.done()


async def test_a_plugin_that_is_in_no_hurry_does_not_keep_the_broker_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("doorlog.embedded.log_publisher._STOP_SECONDS", 0.01)
    let_go, reached, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deliver(_topic: str, _payload: bytes) -> None:
        reached.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    publisher = LogPublisher(deliver)
    publisher.start()
    first, second = publish(publisher, 1, 2)
    await reached.wait()
    await publisher.stop()
    assert not first.done()
    assert second.done()
    let_go.set()
    await ended.wait()
    await taken(first)
