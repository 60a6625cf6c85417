"""Devices come and go; then one fails without a word, and the log says who it was, or who it could have been."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from doorlog.events.codes import Action, Code
from doorlog.events.parts import HashPart, MqttPart, ProxyPart
from doorlog.events.records import DeviceConfirmedEvent
from doorlog.identity.naming import Naming
from doorlog.settings.models import DeviceSettings
from support.events import served_certificate
from support.fleet import ESP, NEW, NODE, House, admitted, failed, house, left, regular, wrong_password
from support.sample_events import certificate

AFTER = 24 * 10 + 1.0
"""Hours: the certificate was rotated after ten days."""


# a device that only one can be


def test_who_fails_where_it_always_was_is_named(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), *regular("pump-18", "192.0.2.2"))
        named = here.name(failed(AFTER))
    assert named.device.id == "pump-17"
    said = named.doorlog.device
    assert (said.confidence, said.method) == ("likely", "address_and_client_hello")
    assert said.candidates[0].score >= 0.98
    assert said.evidence[0].startswith("admitted from this address 40 times in 9 days, last there 6 hours ago")
    assert "its ClientHello looks as it did then" in said.evidence


def test_who_was_never_here_is_nobody(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        assert here.who(failed(AFTER, "198.51.100.7", ja4=NODE)) == (None, "unknown")


def test_another_stack_at_its_address_is_not_the_device(tmp_path: Path) -> None:
    """A scanner behind the same router, say."""
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        device, confidence = here.who(failed(AFTER, ja4=NODE))
    assert device is None
    assert confidence in {"ambiguous", "unknown"}


def test_who_sends_no_hello_is_not_named_by_an_address_alone(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        event = failed(AFTER, code=Code.CLOSED_BEFORE_HELLO).model_copy(update={"tls": None})
        named = here.name(event)
    assert named.device is None
    assert named.doorlog.device.method == "address"
    assert named.doorlog.device.candidates[0].id == "pump-17"


# look-alikes


def test_look_alikes_behind_one_address_are_never_named(tmp_path: Path) -> None:
    devices = [f"pump-{number}" for number in range(10)]
    with house(tmp_path) as here:
        for device in devices:
            here.see(*regular(device, days=3))
        named = here.name(failed(73))
    assert named.device is None
    assert named.doorlog.device.confidence == "ambiguous"
    assert {candidate.id for candidate in named.doorlog.device.candidates} == set(devices)
    assert "9 other devices look just like it here" in named.doorlog.device.evidence


def test_look_alikes_are_unclear_after_a_failure_that_one_of_them_had(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        for device in ("plug-13", "plug-14"):
            here.see(*regular(device, days=3))
        here.see(*regular("pump-17", "192.0.2.2"))
        here.name(failed(73))
        assert here.states(74) == {"plug-13": "unclear", "plug-14": "unclear", "pump-17": "ok"}


def test_a_stranger_at_its_address_makes_no_device_unclear(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        for device in ("plug-13", "plug-14"):
            here.see(*regular(device, days=3))
        here.name(failed(73, ja4=NODE))
        here.name(failed(73.1, code=Code.CLOSED_BEFORE_HELLO).model_copy(update={"tls": None}))
        assert here.states(74) == {"plug-13": "ok", "plug-14": "ok"}


def test_another_stack_behind_the_same_address_is_told_apart(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("esp-1"), *regular("esp-2"), *regular("gateway", ja4=NODE))
        assert here.who(failed(AFTER, ja4=NODE)) == ("gateway", "likely")
        assert here.who(failed(AFTER + 0.1, ja4=ESP)) == (None, "ambiguous")


def test_who_accepted_this_very_certificate_is_not_the_one_that_refuses_it(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), *regular("pump-18"))
        assert here.who(failed(AFTER)) == (None, "ambiguous")
        here.see(admitted("pump-18", AFTER + 1, served=NEW))
        named = here.name(failed(AFTER + 2))
    assert named.device.id == "pump-17"
    assert "1 other candidate has accepted this certificate" in named.doorlog.device.evidence


def test_a_session_does_not_decide_between_look_alikes(tmp_path: Path) -> None:
    """It may be half open: the device left without a word, and it is this one that comes back and fails."""
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), *regular("pump-18"), admitted("pump-18", AFTER - 0.5))
        named = here.name(failed(AFTER))
    assert named.device is None
    assert named.doorlog.device.candidates[0].id == "pump-17", "it only puts the other one last"


def test_a_device_that_was_replaced_is_not_taken_for_its_successor(tmp_path: Path) -> None:
    """The same model, at the same address: only the one has been away for weeks."""
    with house(tmp_path) as here:
        here.see(*regular("old", days=3))
        here.see(*[admitted("new", 24 * day + hour) for day in range(20, 30) for hour in (0, 6, 12, 18)])
        assert here.who(failed(24 * 30 + 1)) == ("new", "likely")


# addresses that change


def test_an_address_that_was_handed_on_is_that_of_the_last_one(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("first", days=3), *regular("second", "192.0.2.2", days=3))
        here.see(
            admitted("first", 73, "192.0.2.3"), admitted("second", 74, "192.0.2.1"), admitted("first", 76, "192.0.2.3")
        )
        here.see(*[admitted("second", 80 + 6 * n, "192.0.2.1") for n in range(8)])
        assert here.who(failed(129, "192.0.2.1"))[0] in {"second", None}
        named = here.name(failed(129.1, "192.0.2.1"))
    assert named.doorlog.device.candidates[0].id == "second"


def test_a_site_that_gets_another_address_moves_as_a_whole(tmp_path: Path) -> None:
    """The first of its devices that comes from there is not taken for one that has slept since."""
    with house(tmp_path) as here:
        for device in ("a", "b", "c"):
            here.see(*regular(device, days=5))
        here.see(admitted("a", 121, "192.0.2.200"), left("a", 121.1))
        named = here.name(failed(122, "192.0.2.200"))
        assert named.device is None
        assert {one.id for one in named.doorlog.device.candidates[:3]} == {"a", "b", "c"}
        here.see(admitted("b", 123), admitted("c", 123))
        assert here.who(failed(124, "192.0.2.200")) == ("a", "likely"), "the others are where they were: a moved alone"


def test_hundreds_behind_a_carriers_addresses_stay_ambiguous(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        for hour in range(4):
            for number in range(60):
                here.naming(admitted(f"tracker-{number:02}", hour + number / 100, f"192.0.2.{(number * 7 + hour) % 9}"))
            here.directory.flush()
        named = here.name(failed(5, "192.0.2.3"))
    assert named.device is None
    assert named.doorlog.device.confidence == "ambiguous"
    assert len(named.doorlog.device.candidates) > 5


def test_an_ipv6_host_that_changes_its_address_every_day_is_known_by_its_network(tmp_path: Path) -> None:
    """RFC 8981: temporary addresses of one /64."""
    with house(tmp_path) as here:
        here.see(*[admitted("camera", 24 * day, f"2001:db8:1::{day + 1:x}") for day in range(20)])
        assert here.who(failed(24 * 20, "2001:db8:1::ffff")) == ("camera", "likely")
        assert here.who(failed(24 * 20 + 1, "2001:db8:2::1")) != ("camera", "likely")


# what says it outright


def test_a_ticket_names_who_it_was_issued_to_wherever_it_is(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(admitted("pump-17", ticket="0123456789abcdef"))
        tickets = ("ffffffffffffffff", "0123456789abcdef")
        named = here.name(failed(5, "203.0.113.5", tickets=tickets))
        replayed = here.name(failed(6, "203.0.113.5", tickets=tickets, resumed=True))
        resumed = here.name(failed(7, "203.0.113.5", tickets=tickets, resumed=True, established=True))
    assert (named.device.id, named.doorlog.device.confidence) == ("pump-17", "likely"), "who listens can repeat it"
    assert (resumed.device.id, resumed.doorlog.device.confidence) == ("pump-17", "certain"), "its key, nobody can"
    assert replayed.doorlog.device.confidence == "likely", "that it is resumed is known before the key is"
    assert named.doorlog.device.method == "resumption_ticket"


def test_the_load_balancers_word_names_it(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        event = failed(1)
        proxy = ProxyPart(ip="192.0.2.250", port=1, client_name="pump-17", client_verified=True)
        named = here.name(event.model_copy(update={"doorlog": event.doorlog.model_copy(update={"proxy": proxy})}))
    assert (named.device.id, named.doorlog.device.confidence) == ("pump-17", "certain")


# claims


def test_a_wrong_password_from_where_the_device_is_speaks_for_it(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        named = here.name(wrong_password("pump-17", AFTER, "192.0.2.1"))
        (failure,) = here.rows("failure")
    assert named.doorlog.device.confidence == "likely"
    assert named.doorlog.device.evidence[1].startswith("admitted from this address 40 times")
    assert failure[1] == 0


def test_a_wrong_password_from_elsewhere_is_only_a_claim(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        named = here.name(wrong_password("pump-17", AFTER, "203.0.113.66"))
        (failure,) = here.rows("failure")
    assert "this device was never admitted from this address" in named.doorlog.device.evidence
    assert failure[1] == 1


@pytest.mark.parametrize("name", ["pump-17", "made-up"])
def test_a_name_in_a_certificate_from_nobody_is_only_a_claim(tmp_path: Path, name: str) -> None:
    """Anybody can make one."""
    with house(tmp_path) as here:
        here.see(*regular("pump-17"))
        forged = failed(AFTER, "203.0.113.66", code=Code.CLIENT_CERTIFICATE_UNTRUSTED)
        named = here.name(showing(forged, name))
        failures = here.rows("failure")
    assert named.device.id == name
    assert named.doorlog.device.confidence == "likely"
    assert [(row[0], row[1]) for row in failures] == ([("pump-17", 1)] if name == "pump-17" else [])
    assert len(named.doorlog.device.evidence) == 2, "what was shown, and whether that speaks for it"


def test_a_certificate_that_it_was_admitted_with_makes_it_failing_wherever_it_is(tmp_path: Path) -> None:
    """Its authority was removed, say: there is no need that it is where it was."""
    with house(tmp_path) as here:
        here.see(showing(admitted("pump-17"), "serial 4711"))
        untrusted = failed(AFTER, "203.0.113.66", code=Code.CLIENT_CERTIFICATE_UNTRUSTED)
        assert here.who(showing(untrusted, "serial 4711")) == ("pump-17", "likely")
        (failure,) = here.rows("failure")
    assert failure[:2] == ("pump-17", 0)


def test_a_verified_certificate_that_has_expired_is_its_devices_failure(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        assert here.who(showing(failed(1, "203.0.113.5", code=Code.CLIENT_CERTIFICATE_EXPIRED), "never-admitted")) == (
            "never-admitted", "certain",
        )  # fmt: skip
        (failure,) = here.rows("failure")
    assert failure[:2] == ("never-admitted", 0)


def test_a_certificate_names_the_device_that_was_admitted_with_it(tmp_path: Path) -> None:
    """By the id that the device has, whatever its certificate calls it; and nobody, where several share it."""
    with house(tmp_path) as here:
        shown = showing(failed(1, "203.0.113.5", code=Code.CLIENT_CERTIFICATE_EXPIRED), "some name")
        here.see(showing(admitted("pump-17"), "some name"))
        assert here.who(shown) == ("pump-17", "certain")
        here.see(showing(admitted("pump-18", 0.5, "192.0.2.2"), "some name"))
        assert here.who(shown) == (None, "unknown")


def showing(event: Any, name: str) -> Any:
    """Return the event with a client certificate of this name."""
    x509 = certificate(name, "Somebody")
    client = event.tls.client.model_copy(update={"x509": x509, "hash": HashPart(sha256=name.encode().hex().upper())})
    return event.model_copy(update={"tls": event.tls.model_copy(update={"client": client})})


# failures teach nothing


LEARNED = ("device", "sighting", "certificate", "ticket", "statistic")


@pytest.mark.parametrize("attack", ["refusals", "claims", "scans"])
def test_failures_teach_nothing(tmp_path: Path, attack: str) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), *regular("pump-18", "192.0.2.2"))
        here.see(admitted("somebody", AFTER - 0.5, "198.51.100.1", served=NEW))  # that we serve it is our own doing
        before = here.rows(*LEARNED)
        for number in range(50):
            hours = AFTER + number / 10
            here.see(
                {
                    "refusals": failed(hours, "192.0.2.2"),
                    "claims": wrong_password("pump-17", hours, "203.0.113.66"),
                    "scans": failed(hours, f"203.0.113.{number}", ja4=NODE),
                }[attack]
            )
        assert here.rows(*LEARNED) == before
        assert here.who(failed(AFTER + 6, "192.0.2.2")) == ("pump-18", "likely")
        assert here.who(failed(AFTER + 6, "203.0.113.66"))[0] is None


def test_names_of_devices_that_never_were_are_not_kept(tmp_path: Path) -> None:
    """Else whoever writes a new client id each time would fill the disk."""
    with house(tmp_path) as here:
        for number in range(100):
            here.see(wrong_password(f"made-up-{number}", number / 100, "203.0.113.66"))
        assert here.rows("failure", "device") == []


# what comes later


def confirmations(here: House) -> list[DeviceConfirmedEvent]:
    return [event for event in here.naming.afterwards() if isinstance(event, DeviceConfirmedEvent)]


def test_a_later_success_confirms_what_was_likely(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), failed(AFTER), failed(AFTER + 1), admitted("pump-17", AFTER + 2, served=NEW))
        (confirmed,) = confirmations(here)
        assert confirmations(here) == []
        assert here.naming(confirmed) is confirmed, "it is not named again"
    assert confirmed.event.action is Action.DEVICE_CONFIRMED
    assert confirmed.device is not None
    assert confirmed.device.id == "pump-17"
    part = confirmed.doorlog.confirmed
    assert part is not None
    assert part.connection_ids == (f"failed-192.0.2.1-{AFTER}", f"failed-192.0.2.1-{AFTER + 1}")
    assert (part.attempts, part.corrected) == (2, 0)


def test_a_device_that_was_never_seen_before_explains_its_own_failures(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(failed(1), failed(2), admitted("brand-new", 3))
        (confirmed,) = confirmations(here)
    assert confirmed.device is not None
    assert confirmed.device.id == "brand-new"


def test_a_success_corrects_what_was_taken_for_the_one_before(tmp_path: Path) -> None:
    """The address was handed on while it failed."""
    with house(tmp_path) as here:
        here.see(*regular("first"), failed(AFTER), admitted("first", AFTER + 0.5, "192.0.2.9"))
        here.see(admitted("second", AFTER + 1))
        (confirmed,) = confirmations(here)
    assert confirmed.device is not None
    assert confirmed.device.id == "second"
    assert confirmed.doorlog.confirmed is not None
    assert confirmed.doorlog.confirmed.corrected == 1


def test_look_alikes_explain_nothing_for_one_another(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(*regular("pump-17"), *regular("pump-18"), failed(AFTER), admitted("pump-18", AFTER + 1))
        assert confirmations(here) == []


# what breaks


def test_a_broken_directory_leaves_what_a_record_says_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_anything: Any) -> Any:
        raise sqlite3.DatabaseError("disk I/O error")

    with house(tmp_path) as here:
        monkeypatch.setattr(here.directory.view, "at", broken)
        for hours in range(3):
            assert here.who(failed(hours)) == (None, "unknown")
        assert here.who(admitted("pump-17", 4)) == ("pump-17", "certain")
    assert [record.getMessage() for record in caplog.records] == [
        "the device directory can not be read: disk I/O error; devices are named by what they say alone"
    ]


def test_without_a_directory_each_event_speaks_for_itself() -> None:
    naming = Naming(DeviceSettings())
    assert naming(failed(1)).doorlog.device == failed(1).doorlog.device
    named = naming(admitted("pump-17"))
    assert getattr(named, "device").id == "pump-17"  # noqa: B009 - of an event about a connection
    event = served_certificate()
    assert naming(event) is event


def test_sessions_that_end_are_counted_down(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.see(
            admitted("pump-17"), admitted("pump-17", 1), left("pump-17", 2), left("pump-17", 3), left("pump-17", 4)
        )
        assert here.naming._connected == {}
        here.see(left("nobody", 5).model_copy(update={"mqtt": MqttPart()}))
