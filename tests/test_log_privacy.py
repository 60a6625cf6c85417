"""A hidden name stands nowhere in a record, whatever the device wrote and wherever it wrote it."""

from __future__ import annotations

import hmac
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorlog.errors import SettingsError
from doorlog.events.parts import (
    CandidatePart,
    DeviceEvidencePart,
    DevicePart,
    DoorlogPart,
    HashPart,
    MqttPart,
    NamePart,
    ProxyPart,
    SourcePart,
    UserPart,
)
from doorlog.events.records import ANY_EVENT, Connection, Event
from doorlog.events.sentences import message_of, reason_of
from doorlog.identity.stated import identify
from doorlog.log.flood import Floodgate
from doorlog.log.privacy import Concealment, PrivacyKey
from doorlog.settings.log_models import PrivacySettings
from support.events import (
    admitted_connect,
    ended_session,
    failed_connect,
    folded_passwords,
    one_of_each,
    refused_password,
    refused_publish,
    served_certificate,
)
from support.random_events import events
from support.sample_events import certificate, tls

SECRET = bytes(range(32))
PSEUDONYM = re.compile(r"hmac-[0-9a-f]{8}:[0-9a-f]{32}")
ALL = ("user_name", "client_id", "address", "certificate_name")
MODES = st.sampled_from(["plain", "hmac", "omit"])


@pytest.fixture(scope="module")
def keyfile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("privacy") / "privacy.key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def concealment(keyfile: Path, mode: str | None = None, **modes: str) -> Concealment:
    chosen = dict.fromkeys(ALL, mode) if mode else modes
    return Concealment(PrivacySettings.model_validate({"keyfile": keyfile, **chosen}))


def shown(event: Event) -> str:
    """Return all that can be read in a record of the event: identity and sentences came after."""
    event = identify(event)
    reason = event.event.model_copy(update={"reason": reason_of(event)})
    event = event.model_copy(update={"event": reason})
    event = event.model_copy(update={"message": message_of(event)})
    line = event.model_dump_json(exclude_none=True)
    ANY_EVENT.validate_json(line)
    return line


def connection(event: Event) -> Connection:
    assert isinstance(event, Connection)
    return event


# what stays as it is


def test_nothing_is_touched_where_all_is_plain(tmp_path: Path) -> None:
    conceal = concealment(tmp_path / "no key needed", "plain")

    assert not conceal.is_active
    assert all(conceal(event) is event for event in one_of_each())


def test_what_is_no_connection_names_nobody(keyfile: Path) -> None:
    conceal = concealment(keyfile, "hmac")

    assert conceal.is_active
    assert conceal(served_certificate()) == served_certificate()


# pseudonyms


def test_a_pseudonym_is_keyed_names_its_key_and_is_the_same_each_time(keyfile: Path) -> None:
    event = connection(concealment(keyfile, "hmac")(admitted_connect(device=None)))
    key_id = hmac.digest(SECRET, b"key id", "sha256").hex()[:8]
    of_client = hmac.digest(SECRET, b"client_id|pump-17", "sha256").hex()[:32]

    assert event.mqtt is not None
    assert event.mqtt.client_id == f"hmac-{key_id}:{of_client}"
    assert event.user is not None
    assert PSEUDONYM.fullmatch(event.user.name)
    assert event.user.name != event.mqtt.client_id, "the kinds are told apart"
    assert event.source == SourcePart(address=event.source.address, port=51235, bytes=900)
    assert PSEUDONYM.fullmatch(event.source.address or "")


def test_a_device_has_one_pseudonym_in_all_its_records(keyfile: Path) -> None:
    conceal = concealment(keyfile, "hmac")
    concealed = [connection(conceal(event)) for event in (admitted_connect(), ended_session(), refused_publish())]

    assert len({event.mqtt and event.mqtt.client_id for event in concealed}) == 1
    assert len({event.source.address for event in concealed}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("::ffff:10.0.0.9", "10.0.0.9"), ("2001:DB8::1", "2001:db8:0:0::1"), ("odd", "odd")]
)
def test_two_ways_to_write_an_address_are_one_address(keyfile: Path, one: str, other: str) -> None:
    conceal = concealment(keyfile, address="hmac")

    addresses = {connection(conceal(failed_connect(source=SourcePart(ip=ip)))).source.address for ip in (one, other)}
    assert len(addresses) == 1


def test_a_flood_has_the_pseudonyms_of_what_it_counts(keyfile: Path) -> None:
    conceal, gate = concealment(keyfile, "hmac"), Floodgate(1, 60)
    failure = refused_password(device=None)
    for second in range(3):
        gate.passes(failure.model_copy(update={"timestamp": failure.timestamp + timedelta(seconds=second)}), second)
    (flood,) = gate.close()
    one, other = connection(conceal(failure)), connection(conceal(flood))

    assert (one.mqtt and one.mqtt.client_id) == (other.mqtt and other.mqtt.client_id)
    assert one.source.address == other.source.address
    assert "pump-17" not in shown(conceal(flood))


def test_what_is_omitted_is_not_there(keyfile: Path) -> None:
    event = connection(concealment(keyfile, "omit")(refused_publish(mqtt=MqttPart(client_id="p17", topic="lp/p17/x"))))

    assert event.source == SourcePart(port=51235)
    assert event.mqtt == MqttPart(topic="lp/omitted/x")
    assert event.user is None


# certificates


def shown_certificate(**changes: Any) -> Any:
    names = NamePart(distinguished_name="CN=p-17,O=Waterworks", common_name=("p-17",), organization=("Waterworks",))
    changes = {
        "subject": names,
        "serial_number": "DEADBEEF17",
        "alternative_names": ("p-17.lan", "10.0.0.9"),
        **changes,
    }
    theirs = certificate("p-17", "Devices CA").model_copy(update=changes)
    part = tls(theirs=theirs, server_name="p-17.example.org", alpn=("mqtt", "p-17"))
    assert part.client is not None
    client = part.client.model_copy(update={"hash": HashPart(sha256="AB" * 32)})
    return failed_connect(tls=part.model_copy(update={"client": client}), device=None)


@pytest.mark.parametrize("mode", ["hmac", "omit"])
def test_nothing_of_a_certificate_tells_whose_it_is(keyfile: Path, mode: str) -> None:
    event = concealment(keyfile, certificate_name=mode)(shown_certificate())
    client = connection(event).tls
    assert client is not None
    assert client.client is not None
    x509 = client.client.x509
    assert x509 is not None

    line = shown(event)
    assert not re.search(r"p-17|Waterworks|DEADBEEF|ABABAB", line)
    assert x509.issuer.common_name == ("Devices CA",), "an authority is nobody's name"
    assert x509.not_after
    if mode == "omit":
        assert (x509.subject, x509.alternative_names, client.client.hash) == (NamePart(), None, None)
        assert x509.serial_number == "omitted"
    else:
        assert all(map(PSEUDONYM.fullmatch, (*(x509.alternative_names or ()), x509.serial_number)))


def test_a_certificate_that_signed_itself_does_not_tell_either(keyfile: Path) -> None:
    names = NamePart(distinguished_name="CN=p-17,O=Waterworks", common_name=("p-17",), organization=("Waterworks",))
    event = concealment(keyfile, certificate_name="hmac")(shown_certificate(issuer=names))

    assert not re.search(r"p-17|Waterworks", shown(event))


# everywhere else


def test_a_field_that_is_plain_does_not_tell_one_that_is_hidden(keyfile: Path) -> None:
    event = refused_publish(
        mqtt=MqttPart(client_id="10.0.0.9", topic="lp/10.0.0.9/x"),
        user=UserPart(name="10.0.0.9"),
        device=DevicePart(id="10.0.0.9"),
        doorlog=DoorlogPart(
            proxy=ProxyPart(ip="10.0.0.9", port=1),
            fault="KeyError: '10.0.0.9'",
            device=DeviceEvidencePart(
                confidence="likely",
                evidence=("admitted as 10.0.0.9",),
                candidates=(CandidatePart(id="10.0.0.9", score=1),),
            ),
        ),
        message="10.0.0.9 said so",
    )

    concealed = connection(concealment(keyfile, client_id="hmac")(event))
    assert "10.0.0.9" not in concealed.model_dump_json()
    assert concealed.source.ip is None
    assert concealed.source.address == (concealed.mqtt and concealed.mqtt.client_id)


MARK = st.text("xyzXYZäß€", min_size=2, max_size=9).map(lambda text: f"qv{text}")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events(), st.fixed_dictionaries(dict.fromkeys(ALL, MODES)), st.data())
def test_no_hidden_name_survives_anywhere(
    keyfile: Path, event: Event, modes: dict[str, str], data: st.DataObject
) -> None:
    if not isinstance(event, Connection):
        return
    names = {kind: data.draw(MARK) + str(number) for number, kind in enumerate(ALL)}
    inside = "lp/{}/{}{} {}".format(*data.draw(st.permutations(list(names.values()))))
    name = names["certificate_name"]
    subject = NamePart(distinguished_name=f"CN={name},O=x", common_name=(name,))
    theirs = certificate("x", inside, alternative_names=(name,)).model_copy(update={"subject": subject})
    user = data.draw(st.sampled_from([names["user_name"], inside]))
    event = event.model_copy(
        update={
            "message": inside,
            "event": event.event.model_copy(update={"reason": inside}),
            "source": SourcePart(ip=names["address"], address=data.draw(st.sampled_from([None, names["address"]]))),
            "mqtt": MqttPart(client_id=names["client_id"], topic=inside),
            "user": UserPart(name=user),
            "tls": tls(theirs=theirs, server_name=inside, alpn=(inside,)),
            "device": DevicePart(id=inside),
            "doorlog": DoorlogPart(
                fault=inside,
                proxy=ProxyPart(ip=names["address"], port=1),
                device=DeviceEvidencePart(
                    confidence="likely", evidence=(inside,), candidates=(CandidatePart(id=inside, score=1),)
                ),
            ),
        }
    )
    concealed = concealment(keyfile, **modes)(event)

    line = concealed.model_dump_json() + shown(concealed)
    assert "could not be applied" not in line
    hidden = {(user if kind == "user_name" else name) for kind, name in names.items() if modes[kind] != "plain"}
    assert [name for name in hidden if name in line] == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events(), st.fixed_dictionaries(dict.fromkeys(ALL, MODES)))
def test_any_event_is_concealed_and_can_be_read_back(keyfile: Path, event: Event, modes: dict[str, str]) -> None:
    concealed = concealment(keyfile, **modes)(event)

    assert ANY_EVENT.validate_json(concealed.model_dump_json(exclude_none=True)).event.action == event.event.action
    assert "could not be applied" not in concealed.model_dump_json()
    assert concealed.event.model_copy(update={"reason": None}) == event.event.model_copy(update={"reason": None})


@pytest.mark.parametrize("client_id", ["\ud800pump", "x" * 255 + "…", "aaa", "a", "", "\\", "(", "…"])
def test_a_hostile_client_id_is_hidden_like_any_other(keyfile: Path, client_id: str) -> None:
    mqtt = MqttPart.model_construct(client_id=client_id, topic=f"lp/{client_id.rstrip('…')}{'a' * 1000}/{client_id}")
    concealed = connection(concealment(keyfile, client_id="hmac")(refused_publish(mqtt=mqtt)))

    assert concealed.mqtt is not None
    assert client_id == "" or PSEUDONYM.fullmatch(concealed.mqtt.client_id or "")
    assert len(concealed.mqtt.topic or "") <= 2048
    assert len(client_id) < 3 or client_id.rstrip("…") not in (concealed.mqtt.topic or "")


def test_a_record_that_can_not_be_concealed_has_no_names_at_all(keyfile: Path) -> None:
    conceal = concealment(keyfile, "hmac")
    odd = folded_passwords(user=UserPart.model_construct(name=17))  # type: ignore[arg-type] # that it is none

    concealed = connection(conceal(odd))
    assert concealed.doorlog.fault
    assert concealed.doorlog.flood == odd.doorlog.flood
    assert "pump-17" not in shown(concealed)
    assert "10.0.0.9" not in shown(concealed)


# the key


def test_a_new_key_makes_new_pseudonyms_and_a_broken_one_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "privacy.key"
    path.write_bytes(SECRET)
    path.chmod(0o640)
    conceal = concealment(path, user_name="hmac")

    def name() -> str:
        user = connection(conceal(admitted_connect())).user
        assert user is not None
        return user.name

    first = name()
    assert not conceal.findings
    path.write_bytes(SECRET[::-1])
    path.chmod(0o644)
    conceal.reload()
    second = name()
    assert first[:14] != second[:14], "it names its key"
    finding = conceal.findings[0]
    assert (finding.severity, finding.code) == ("warning", "privacy_key_readable")
    assert f"everybody on this machine can read {path}" in finding.sentence

    path.write_bytes(b"short")
    with pytest.raises(SettingsError, match="has 5 bytes"):
        conceal.reload()
    assert name() == second


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can not be read: No such file or directory; make one with openssl rand -out privacy.key 32"),
        (b"", "has 0 bytes, a key has at least 32: make one with openssl rand -out privacy.key 32"),
        (b"x" * 31, "has 31 bytes, a key has at least 32: make one with"),
    ],
)
def test_a_key_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "privacy.key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError, match=re.escape(f"log.privacy.keyfile: {path} {said}")) as caught:
        concealment(path, "hmac")
    assert caught.value.faults[0][0] == "log.privacy.keyfile"


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert concealment(Path("/dev/zero"), "hmac").is_active


def test_a_key_does_not_print_itself() -> None:
    key = PrivacyKey.of(SECRET)

    assert repr(SECRET)[2:-1] not in repr(key)
    assert key.id not in {SECRET.hex()[:8], SECRET.hex()[-8:]}


def test_omitting_needs_no_key(tmp_path: Path) -> None:
    assert Concealment(PrivacySettings(user_name="omit")).is_active
    assert concealment(tmp_path / "absent", "omit").is_active
