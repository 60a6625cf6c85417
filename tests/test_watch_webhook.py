"""The webhook's thread: in order, again if need be, bounded, and nobody waits for it."""

from __future__ import annotations

import logging
from collections import deque
from threading import Event
from typing import TYPE_CHECKING

import pytest

from doorlog.settings.alert_models import WebhookSettings
from doorlog.watch.webhook import MOST_WAITING, Webhook
from doorlog.watch.webhook_post import Answer
from support.webhook_receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKEN = Answer(True, "HTTP 200 OK", 0.0, 200)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def open_webhook(receiver: Receiver) -> Webhook:
    return Webhook(WebhookSettings.model_validate({"url": receiver.url}), first_pause=0.001)


def test_messages_come_in_order_and_again_until_they_are_taken(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses.extend((500, 503, 200, 404, 200))
    webhook = open_webhook(receiver)
    webhook.put(b"1")
    webhook.put(b"2")
    assert receiver.wait_for(5) == [1, 1, 1, 2, 2]
    webhook.close()
    assert webhook.dropped == 0
    assert [record.getMessage() for record in caplog.records] == [
        "alerts.webhook: a message was not taken: HTTP 500 Internal Server Error",
        "alerts.webhook: messages are taken again",
        "alerts.webhook: a message was not taken: HTTP 404 Not Found",
        "alerts.webhook: messages are taken again",
    ]


def test_what_is_refused_for_good_is_dropped(receiver: Receiver) -> None:
    receiver.statuses.append(400)
    webhook = open_webhook(receiver)
    webhook.put(b"1")
    webhook.put(b"2")
    assert receiver.wait_for(2) == [1, 2]
    webhook.close()
    assert webhook.dropped == 1


def test_the_oldest_goes_when_too_many_wait() -> None:
    began, go = Event(), Event()
    sent: deque[bytes] = deque()

    def send(_settings: WebhookSettings, body: bytes) -> Answer:
        began.set()
        assert go.wait(10)
        sent.append(body)
        return TAKEN

    webhook = Webhook(WebhookSettings.model_validate({"url": "http://localhost/"}), send)
    webhook.put(b"first")
    assert began.wait(10)
    for number in range(MOST_WAITING + 5):
        webhook.put(str(number).encode())
    go.set()
    webhook.close()
    assert list(sent) == [b"first", *(str(number).encode() for number in range(5, MOST_WAITING + 5))]
    assert webhook.dropped == 5


def test_the_end_gives_what_waits_a_last_try(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[bytes] = []
    refused = Event()

    def send(_settings: WebhookSettings, body: bytes) -> Answer:
        tried.append(body)
        refused.set()
        return Answer(False, "Connection refused", 0.0)

    with caplog.at_level(logging.CRITICAL):
        webhook = Webhook(WebhookSettings.model_validate({"url": "http://localhost/"}), send, first_pause=300)
        webhook.put(b"1")
        assert refused.wait(10)
        webhook.close()
    assert tried == [b"1", b"1"]
    assert webhook.dropped == 1


def test_an_end_without_a_message(receiver: Receiver) -> None:
    open_webhook(receiver).close()
    assert receiver.got == []
