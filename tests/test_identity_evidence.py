"""What events show of a device, and what an admitted one teaches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from doorlog.events.codes import Code
from doorlog.events.parts import HashPart, NamePart, SourcePart, TlsClientPart, TlsPart, X509Part
from doorlog.identity.evidence import evidence_of, is_admission, is_failure, sighting_of
from support.events import ended_session
from support.fleet import BEGIN, ESP, NEW, admitted, at, failed, left


def test_a_failure_shows_where_it_came_from_and_how_its_hello_looked() -> None:
    evidence = evidence_of(failed(1, "192.0.2.7", tickets=("0011223344556677",)))
    assert evidence.moment == at(1).timestamp()
    assert evidence.place.address == "192.0.2.7"
    assert evidence.look == f"{ESP} mqtt.example.org"
    assert evidence.served == NEW[:32]
    assert evidence.tickets == ("0011223344556677",)
    assert not evidence.resumed


def test_without_tls_there_is_no_look() -> None:
    evidence = evidence_of(failed(1).model_copy(update={"tls": None}))
    assert (evidence.look, evidence.served, evidence.tickets) == (None, None, ())


def test_a_pseudonym_is_a_place_too() -> None:
    event = failed(1).model_copy(update={"source": SourcePart(address="hmac-1:2")})
    assert evidence_of(event).place.address == "hmac-1:2"


@pytest.mark.parametrize(
    ("code", "acceptance"),
    [
        (Code.SERVER_CERTIFICATE_UNKNOWN_CA, 0.01),
        (Code.SERVER_CERTIFICATE_EXPIRED, 0.1),
        (Code.TIMEOUT_AFTER_SERVER_CERTIFICATE, 0.3),
        (Code.CLIENT_CERTIFICATE_EXPIRED, 1.0),
        (Code.CLOSED_BEFORE_HELLO, 1.0),
    ],
)
def test_a_refusal_speaks_against_who_accepted_the_certificate(code: Code, acceptance: float) -> None:
    assert evidence_of(failed(1, code=code)).acceptance == acceptance


def test_an_endless_server_name_is_cut() -> None:
    event = failed(1)
    assert event.tls is not None
    client = TlsClientPart(ja4=ESP, server_name="A" * 2_000)
    event = event.model_copy(update={"tls": event.tls.model_copy(update={"client": client})})
    assert evidence_of(event).look == f"{ESP} {'a' * 128}"


def test_an_admission_teaches_who_it_was_and_with_what() -> None:
    subject = NamePart(distinguished_name="CN=pump-17", common_name=("pump-17",))
    x509 = X509Part(
        subject=subject, issuer=NamePart(), serial_number="1", not_before=BEGIN, not_after=BEGIN + timedelta(days=1)
    )
    event = admitted("pump-17", 2, ticket="0011223344556677")
    assert event.tls is not None
    client = (
        event.tls.client.model_copy(update={"x509": x509, "hash": HashPart(sha256="CC")}) if event.tls.client else None
    )
    event = event.model_copy(update={"tls": event.tls.model_copy(update={"client": client})})
    sighting = sighting_of(event, "pump-17", evidence_of(event))
    assert sighting.device == "pump-17"
    assert sighting.user_name == "user of pump-17"
    assert (sighting.protocol_version, sighting.keep_alive, sighting.tls_version) == ("3.1.1", 60, "1.3")
    assert (sighting.certificate, sighting.subject) == ("CC", "CN=pump-17")
    assert sighting.ticket == "0011223344556677"


def test_an_admission_without_tls_teaches_what_there_is() -> None:
    event = admitted("pump-17").model_copy(update={"tls": None, "user": None, "mqtt": None})
    sighting = sighting_of(event, "pump-17", evidence_of(event))
    assert (sighting.tls_version, sighting.user_name, sighting.keep_alive, sighting.ticket) == (None,) * 4


def test_tls_without_a_hello_is_no_look() -> None:
    event = failed(1).model_copy(update={"tls": TlsPart(established=False, client=TlsClientPart())})
    assert evidence_of(event).look is None


def test_what_teaches_and_what_fails() -> None:
    assert is_admission(admitted("a"))
    assert not is_failure(admitted("a"))
    assert is_failure(failed(1))
    assert not is_admission(failed(1))
    for ended in (left("a", 1), ended_session()):
        assert not is_admission(ended)
        assert not is_failure(ended)
