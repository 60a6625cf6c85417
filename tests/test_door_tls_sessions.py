"""Sessions that are known by their ids: what a device is given is what it offers later, and what that may cost."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import replace

import pytest

from doorlog.door.tls_context import ServedChain
from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_sessions import BYTES_WITH_CERTIFICATES, LIFETIME, SessionKeeper, session_digest
from support.clients.base import TlsVersion
from support.clients.raw_tls import ANYTHING, Offer, only
from support.memory_tls import MemoryDevice, connected, mutual, served, visited
from support.pki import Pki

each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=["none", "optional", "required"])
def chain(request: pytest.FixtureRequest, pki: Pki) -> ServedChain:
    return served(pki.server(), cafile=pki.cafile, client_certificate=request.param)


def device(pki: Pki, offer: Offer = ANYTHING) -> MemoryDevice:
    files = pki.client("pump-17")
    return MemoryDevice(replace(offer, certfile=files.certfile, keyfile=files.keyfile))


def back(first: MemoryDevice, offer: Offer = ANYTHING) -> MemoryDevice:
    """Return the device once more, with the session that it has."""
    return MemoryDevice(offer, context=first.context, session=first.tls.session)


class Clock:
    """Tells the time that the test says."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def test_a_digest_is_the_beginning_of_sha_256() -> None:
    assert session_digest(b"abc") == hashlib.sha256(b"abc").hexdigest()[:16] == "ba7816bf8f01cfea"


@each_version
def test_a_device_offers_what_it_was_given(pki: Pki, chain: ServedChain, version: TlsVersion) -> None:
    first = device(pki, only(version))
    before = visited(chain, first)
    assert before.ticket is not None
    assert before.offered_tickets == ()

    again = back(first, only(version))
    engine = visited(chain, again)
    assert engine.resumed
    assert engine.offered_tickets == (before.ticket,)
    assert engine.ticket is not None
    assert (engine.ticket == before.ticket) is (version == "1.2"), "TLS 1.3 gives a new one each time"

    third = connected(chain, back(again, only(version)))
    assert third.resumed
    assert third.offered_tickets == (engine.ticket,)


@each_version
def test_a_device_that_can_do_both_offers_what_it_was_given(pki: Pki, version: TlsVersion) -> None:
    """Also a session of TLS 1.2, by a client that would rather have had TLS 1.3."""
    chain = served(pki.server(), maximum_version=version)
    first = MemoryDevice()
    before = visited(chain, first)
    assert before.ticket is not None

    engine = connected(chain, back(first))
    assert engine.hello is not None
    assert 0x0304 in engine.hello.versions
    assert engine.resumed
    assert engine.offered_tickets == (before.ticket,)


def test_a_session_id_that_means_nothing_is_no_ticket(pki: Pki) -> None:
    engine = connected(served(pki.server()), MemoryDevice(only("1.3")))
    assert engine.hello is not None
    assert engine.hello.tickets, "OpenSSL makes a session id up, for middleboxes"
    assert engine.offered_tickets == ()


@each_version
def test_a_device_that_refuses_our_new_certificate_offers_what_the_old_one_gave_it(
    pki: Pki, chain: ServedChain, version: TlsVersion
) -> None:
    first = device(pki, only(version, Offer(cafile=pki.cafile)))
    before = visited(chain, first)
    rotated = served(pki.server_foreign())
    engine = connected(rotated, back(first, only(version, Offer(cafile=pki.cafile))))
    assert not engine.established
    assert engine.received_alert == 48
    assert before.ticket is not None
    assert engine.offered_tickets == (before.ticket,)
    assert engine.ticket is None


@each_version
def test_a_session_that_ends_without_goodbye_is_forgotten_and_still_told(pki: Pki, version: TlsVersion) -> None:
    """OpenSSL's rule (RFC 5246, 7.2.1); why the door says goodbye to devices that are gone."""
    chain = served(pki.server())
    first = MemoryDevice(only(version))
    ticket = connected(chain, first).ticket
    assert ticket is not None
    engine = connected(chain, back(first, only(version)))
    assert not engine.resumed
    assert engine.offered_tickets == (ticket,)


@each_version
def test_sessions_with_certificates_are_bounded(pki: Pki, version: TlsVersion) -> None:
    """Beyond the bound they are sealed in tickets: devices resume as ever, and nobody can tell which one it is."""
    clock = Clock()
    plain = mutual(pki)
    chain = replace(plain, sessions=SessionKeeper(plain.context, clock))
    chain.sessions.keep_certificates(BYTES_WITH_CERTIFICATES - 1)
    assert visited(chain, device(pki, only(version))).ticket is not None, "the last one"
    kept = chain.context.session_stats()["number"]

    first = device(pki, only(version))
    engine = visited(chain, first)
    assert engine.established
    assert engine.ticket is None
    assert connected(chain, back(first, only(version))).resumed
    assert chain.context.session_stats()["number"] == kept

    clock.now += LIFETIME
    assert visited(chain, device(pki, only(version))).ticket is not None


def test_the_bound_counts_certificates_and_nothing_else(pki: Pki) -> None:
    chain = mutual(pki, client_certificate="optional")
    chain.sessions.keep_certificates(BYTES_WITH_CERTIFICATES - 1)
    for _ in range(3):
        assert visited(chain, MemoryDevice()).ticket is not None
    foreign = pki.client_foreign("pump-17")
    refused = connected(chain, MemoryDevice(Offer(certfile=foreign.certfile, keyfile=foreign.keyfile)))
    assert not refused.established
    assert chain.sessions.begin(), "who is refused uses nothing up"
    visited(chain, device(pki))
    assert not chain.sessions.begin()


def test_a_context_gives_one_ticket() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    SessionKeeper(context)
    assert context.num_tickets == 1
    assert context.options & ssl.OP_NO_TICKET


def test_an_attempt_that_never_began_has_no_ticket(pki: Pki) -> None:
    engine = TlsEngine(lambda _hello: served(pki.server()))
    assert (engine.ticket, engine.offered_tickets) == (None, ())
