"""In which cohorts an attempt is: only what the operator named, and only where all of it fits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from doorlog.events.parts import ProxyPart, SourcePart, TlsClientPart, TlsPart, UserPart
from doorlog.events.records import ConnectEvent
from doorlog.settings.cohort_models import CohortSettings
from doorlog.watch.cohorts import NOBODY, Cohorts, Owners
from support.events import admitted_connect, failed_connect
from support.random_events import events

JA4 = "t13d311000_e8f1e7e78f70_1f22a2ca17c4"
BERLIN = Owners(frozenset(("berlin",)), frozenset(("b-17",)))


def cohort(**keys: Any) -> Cohorts:
    return Cohorts([CohortSettings.model_validate({"name": "c", **keys})])


def hello(server_name: str | None = None, ja4: str | None = None, ip: str | None = "192.0.2.7") -> ConnectEvent:
    client = TlsClientPart(server_name=server_name, ja4=ja4)
    return failed_connect(source=SourcePart(ip=ip), tls=TlsPart(established=False, client=client))


@pytest.mark.parametrize(
    ("keys", "event", "fits"),
    [
        ({"ja4": JA4}, hello(ja4=JA4), True),
        ({"ja4": JA4}, hello(ja4=JA4.replace("t13", "t12")), False),
        ({"ja4": JA4}, hello(), False),
        ({"network": ["10.0.0.0/8", "192.0.2.0/24"]}, hello(), True),
        ({"network": "192.0.2.0/24"}, hello(ip="::ffff:192.0.2.9"), True),
        ({"network": "192.0.2.0/24"}, hello(ip="192.0.3.1"), False),
        ({"network": "192.0.2.0/24"}, hello(ip=None), False),
        ({"network": "192.0.2.0/24"}, hello(ip="no address"), False),
        ({"server_name": "mqtt.example.com"}, hello("MQTT.example.com"), True),
        ({"server_name": "mqtt.example.com"}, hello("a.mqtt.example.com"), False),
        ({"server_name": "*.example.com"}, hello("a.b.example.com"), True),
        ({"server_name": "*.example.com"}, hello("example.com"), False),
        ({"server_name": "*.example.com"}, hello("badexample.com"), False),
        ({"server_name": "*.example.com"}, hello(), False),
        ({"server_name": "a.example.com", "network": "192.0.2.0/24"}, hello("a.example.com"), True),
        ({"server_name": "a.example.com", "network": "10.0.0.0/8"}, hello("a.example.com"), False),
    ],
)
def test_what_an_attempt_shows(keys: dict[str, Any], event: ConnectEvent, fits: bool) -> None:
    assert cohort(**keys).shown(event) == (("c",) if fits else ())
    assert cohort(**keys).owned(event, NOBODY) == ()


def test_the_server_name_that_a_load_balancer_tells() -> None:
    sample = failed_connect(tls=None)
    proxy = ProxyPart(ip="10.0.0.1", port=1, server_name="a.example.com")
    event = sample.model_copy(update={"doorlog": sample.doorlog.model_copy(update={"proxy": proxy})})
    assert cohort(server_name="*.example.com").shown(event) == ("c",)


@pytest.mark.parametrize(
    ("keys", "owners", "fits"),
    [
        ({"site": "berlin"}, BERLIN, True),
        ({"site": "paris"}, BERLIN, False),
        ({"site": "berlin"}, Owners(frozenset(("berlin", "paris")), frozenset()), False),
        ({"site": "berlin"}, Owners(frozenset(("berlin", None)), frozenset()), False),
        ({"site": "berlin"}, NOBODY, False),
        ({"user_prefix": "b-"}, BERLIN, True),
        ({"user_prefix": "b-"}, Owners(frozenset(), frozenset(("b-1", "b-2"))), True),
        ({"user_prefix": "b-"}, Owners(frozenset(), frozenset(("b-1", "c-2"))), False),
        ({"user_prefix": "b-"}, Owners(frozenset(), frozenset(("b-1", None))), False),
        ({"user_prefix": "b-"}, NOBODY, False),
        ({"site": "berlin", "network": "10.0.0.0/8"}, BERLIN, True),
        ({"site": "berlin", "network": "192.0.2.0/24"}, BERLIN, False),
    ],
)
def test_what_the_devices_tell_that_it_may_have_been(keys: dict[str, Any], owners: Owners, fits: bool) -> None:
    event = failed_connect()  # from 10.0.0.9, without a user
    assert ("c" in cohort(**keys).owned(event, owners)) == fits
    assert cohort(**keys).shown(event) == ()


def test_the_user_that_a_connect_named_goes_before_the_last_one() -> None:
    event = admitted_connect(user=UserPart(name="x-1"))
    assert cohort(user_prefix="b-").owned(event, Owners(frozenset((None,)), frozenset(("b-1",)))) == ()
    assert cohort(user_prefix="x-").owned(event, NOBODY) == ("c",)


def test_each_site_is_a_cohort_where_all_devices_that_fit_are_of_it() -> None:
    nobody_named = Cohorts([])
    assert nobody_named.owned(failed_connect(), BERLIN) == ("site:berlin",)
    assert nobody_named.owned(failed_connect(), Owners(frozenset(("berlin", "paris")), frozenset())) == ()
    assert nobody_named.owned(failed_connect(), Owners(frozenset((None,)), frozenset())) == ()


@given(event=events())
def test_whatever_comes_is_in_no_cohort_that_nobody_named(event: Any) -> None:
    cohorts = Cohorts(
        [
            CohortSettings.model_validate({"name": "net", "network": "::/0"}),
            CohortSettings.model_validate({"name": "names", "server_name": "*.com", "user_prefix": "a"}),
        ]
    )
    if isinstance(event, ConnectEvent):
        assert set(cohorts.shown(event)) <= {"net"}
        assert set(cohorts.owned(event, BERLIN)) <= {"names", "site:berlin"}
