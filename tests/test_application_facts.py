"""The facts that the monitor tells: counted before the log folds, and the devices at most once a minute."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from doorlog.application.facts import DEVICES_SECONDS, DeviceStates, Instruments
from doorlog.events.records import Event
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.store import open_store
from doorlog.log.status import LogStatus
from doorlog.settings.cohort_models import CohortSettings
from support.events import admitted_connect, failed_connect, lost_records, refused_password

WELL = LogStatus(mode="durable", failure=None, sequence=48, waiting=1, unwritten=0)


def import_device(path: Path, name: str) -> None:
    with closing(open_store(path)) as connection:
        store_inventory(connection, [Imported(name, None, None, None, None, (), ())], replace=False)


def test_an_event_is_counted_and_goes_its_way() -> None:
    instruments = Instruments(["tls"], None)
    recorded: list[Event] = []

    def record(event: Event) -> bool:
        recorded.append(event)
        return True

    instruments.counting(record)(failed_connect())
    refined = instruments.counting_refined(lambda event: event)(lost_records())

    facts = instruments.facts(WELL, 1, 1)
    assert recorded == [failed_connect()]
    assert refined == lost_records()
    assert sum(facts.counts.attempts.values()) == 1
    assert facts.counts.missing["write_failed"] == 42
    assert facts.devices is None


def test_what_is_folded_counts_for_the_cohort_of_what_was_named_before() -> None:
    cohort = CohortSettings(name="berlin", user_prefix="pump-")
    instruments = Instruments(["tls"], None, [cohort])
    refine = instruments.counting_refined(lambda event: event)
    refine(admitted_connect())
    refine(refused_password())
    count = instruments.counting(lambda _event: False)
    count(refused_password())
    count(lost_records())

    assert instruments.facts(WELL, 1, 1).counts.cohorts == {("berlin", "success"): 1, ("berlin", "failure"): 2}


def test_the_directory_is_asked_once_a_minute(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "devices.db"
    ask = DeviceStates(path, clock=lambda: now)
    import_device(path, "pump-17")
    assert ask() == {"failing": 0, "unclear": 0, "silent": 1, "ok": 0}

    import_device(path, "pump-18")
    now = DEVICES_SECONDS - 1
    assert ask() == {"failing": 0, "unclear": 0, "silent": 1, "ok": 0}
    now = DEVICES_SECONDS
    assert ask() == {"failing": 0, "unclear": 0, "silent": 2, "ok": 0}


def test_a_directory_that_is_not_there_or_damaged_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database" * 100)
    assert DeviceStates(tmp_path / "none.db")() is None
    assert DeviceStates(tmp_path / "damaged.db")() is None


def test_a_sample_for_alerts_names_who_failed() -> None:
    instruments = Instruments(["tls"], None, alerts=True)
    instruments.counting_refined(lambda event: event)(failed_connect())
    sample = instruments.sample(WELL, frozenset(("tls",)))
    assert sample.unknown == {("listener", "tls"): 1}
    assert (sample.failure, sample.lag, sample.new_certificates) == (None, 0.0, frozenset(("tls",)))
    assert Instruments(["tls"], None).sample(WELL, frozenset()).devices == {}
