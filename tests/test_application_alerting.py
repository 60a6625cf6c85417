"""Alerts of a running broker: looked at on a thread of their own, whatever goes wrong there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from doorlog.application.alerting import NEW_SECONDS, Alerting, new_certificates
from doorlog.door.tls_context import ServedChain, load_served_chain
from doorlog.settings.alert_models import AlertSettings
from doorlog.settings.models import TlsSettings
from doorlog.watch.alert_memory import AlertMemory
from doorlog.watch.alert_rules import Sample
from support.pki import Pki
from support.webhook_receiver import Receiver, receiving

NOTHING = AlertMemory(None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def settings(receiver: Receiver) -> AlertSettings:
    rules = {"log_lags": {"pending": 0}}
    return AlertSettings.model_validate(
        {"webhook": {"url": receiver.url}, "interval": 0.05, "resolve": 0, "rules": rules}
    )


def test_what_is_wrong_is_told_and_that_it_is_over(receiver: Receiver) -> None:
    lags = [9.0]
    moments = iter(range(100_000))
    alerting = Alerting(settings(receiver), "broker-1", lambda: Sample(next(moments), 0, lag=lags[-1]), NOTHING)
    (message,) = receiver.wait_for(1)
    assert alerting.firing == ("log_lags",)
    lags.append(0.0)
    _, over = receiver.wait_for(2)
    alerting.close()
    assert (message["status"], message["service"], over["status"]) == ("firing", "broker-1", "resolved")
    assert not alerting.firing


def test_a_broker_that_starts_again_goes_on_with_what_was_told(receiver: Receiver, tmp_path: Path) -> None:
    def start(lag: float) -> Alerting:
        moments = iter(range(100_000))
        memory = AlertMemory(tmp_path / "alerts.json")
        return Alerting(
            settings(receiver), "broker-1", lambda: Sample(time.monotonic() + 1_000 * next(moments), 0, lag=lag), memory
        )

    first = start(9.0)
    receiver.wait_for(1)
    first.close()
    second = start(0.0)
    assert second.firing == ("log_lags",)
    _, over = receiver.wait_for(2)
    second.close()
    assert over["status"] == "resolved"
    assert AlertMemory(tmp_path / "alerts.json").read() == ()


def test_what_could_not_be_brought_is_told_by_the_next_start(receiver: Receiver, tmp_path: Path) -> None:
    moments = iter(range(100_000))
    receiver.statuses.extend([503] * 100)
    looks = Event()

    def sample() -> Sample:
        looks.set()
        return Sample(next(moments), 0, lag=9.0)

    alerting = Alerting(settings(receiver), "broker-1", sample, AlertMemory(tmp_path / "alerts.json"))
    receiver.wait_for(1)
    looks.clear()
    assert looks.wait(10)
    alerting.close()
    assert not (tmp_path / "alerts.json").exists()


def test_a_look_that_fails_is_said_once_and_the_next_one_counts(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    looks = iter(range(100_000))

    def sample() -> Sample:
        if (number := next(looks)) < 3:
            raise RuntimeError("no idea")
        return Sample(number, 0, lag=9.0)

    alerting = Alerting(settings(receiver), "doorlog", sample, NOTHING)
    receiver.wait_for(1)
    alerting.close()
    assert [record.getMessage() for record in caplog.records] == [
        "alerts: what was counted could not be looked at; said once"
    ]


def test_a_certificate_is_new_where_devices_knew_another_one_before(tmp_path: Path) -> None:
    server = Pki(tmp_path).server()
    chain: ServedChain = load_served_chain(TlsSettings(certfile=server.certfile, keyfile=server.keyfile))
    assert chain.part.hash is not None
    ours = chain.part.hash.sha256[:32]
    chains = {"tls": chain}

    assert new_certificates(chains, {"before": 10.0, ours: 100.0}, 200.0) == {"tls"}
    assert new_certificates(chains, {"before": 10.0, ours: 100.0}, 100.0 + NEW_SECONDS) == frozenset()
    assert new_certificates(chains, {ours: 100.0, "after": 110.0}, 200.0) == frozenset(), "the first of all"
    assert new_certificates(chains, {"before": 10.0}, 200.0) == frozenset(), "it was not shown to anybody"
    assert new_certificates({}, {}, 0.0) == frozenset()
