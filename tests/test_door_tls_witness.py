"""What is known of a TLS connection when nothing, or something odd, has gone by."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest

from doorlog.certificates.facts import certificate_facts
from doorlog.door.classify import Ending, TlsEvidence
from doorlog.door.tls_engine import TlsEngine
from doorlog.door.tls_witness import TlsState, TlsWitness
from support.clients.base import TlsVersion
from support.clients.raw_tls import Offer, only
from support.memory_tls import MemoryDevice, connected, mutual, served, visited
from support.pki import Pki

each_version = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class Unreadable(TlsWitness):
    """A resumed session whose certificate is what a test says."""

    __slots__ = ("peer",)

    def __init__(self, peer: bytes | None) -> None:
        super().__init__()
        self.peer = peer

    @property
    def resumed(self) -> bool:
        return True

    def _verified_peer(self) -> bytes | None:
        return self.peer


def test_nothing_is_known_in_the_beginning() -> None:
    witness = TlsWitness()
    assert witness.state is TlsState.HELLO
    assert witness.evidence(None) == TlsEvidence(server_key="")
    assert witness.evidence(Ending.RESET).ending is Ending.RESET
    assert (witness.not_tls, witness.resumed, witness.certificate_sent) == (False, False, False)
    assert (witness.version, witness.cipher, witness.received_alert, witness.sent_alert) == (None, None, None, None)
    assert witness.presented_certificates == ()
    assert witness.resumed_certificate_fault() is None


def resumed(pki: Pki, version: TlsVersion) -> TlsEngine:
    chain = mutual(pki, crlfile=pki.crlfile)
    files = pki.client("pump-17")
    first = MemoryDevice(only(version, Offer(certfile=files.certfile, keyfile=files.keyfile)))
    visited(chain, first)
    engine = connected(chain, MemoryDevice(only(version), context=first.context, session=first.tls.session))
    assert engine.resumed
    return engine


@each_version
def test_a_resumed_session_still_has_its_certificate(pki: Pki, version: TlsVersion) -> None:
    engine = resumed(pki, version)
    assert engine.presented_certificates[0] == pki.client("pump-17").der
    assert engine.resumed_certificate_fault() is None


@pytest.mark.parametrize(
    ("days", "fault"), [(-10, "not_yet_valid"), (0, None), (89, None), (91, "expired"), (4000, "expired")]
)
def test_the_certificate_of_a_resumed_session_is_judged_by_the_day(pki: Pki, days: int, fault: str | None) -> None:
    engine = resumed(pki, "1.3")
    assert engine.chain is not None
    facts = certificate_facts(engine.presented_certificates[0])
    assert engine.chain.refuses_again(facts, pki.now + timedelta(days=days)) == fault


def test_a_certificate_that_was_revoked_meanwhile(pki: Pki) -> None:
    engine = resumed(pki, "1.3")
    assert engine.chain is not None
    revoked = certificate_facts(pki.client_revoked().der)
    assert engine.chain.refuses_again(revoked, pki.now) == "revoked"


def test_a_resumed_session_without_its_certificate_is_refused_where_one_is_required(pki: Pki) -> None:
    witness = Unreadable(None)
    witness.chain = mutual(pki)
    assert witness.resumed_certificate_fault() == "missing"
    witness.chain = mutual(pki, client_certificate="optional")
    assert witness.resumed_certificate_fault() is None
    witness.chain = served(pki.server())
    assert witness.resumed_certificate_fault() is None


def test_a_resumed_session_with_a_certificate_that_can_not_be_read_is_refused(pki: Pki) -> None:
    witness = Unreadable(b"nonsense")
    witness.chain = mutual(pki)
    assert witness.resumed_certificate_fault() == "invalid"


@pytest.mark.parametrize(
    ("reason", "alert"), [("TLSV1_ALERT_UNKNOWN_CA", 48), ("SSLV3_ALERT_BAD_CERTIFICATE", 42), ("BAD_EXTENSION", None)]
)
def test_an_alert_is_read_from_openssls_mnemonic(reason: str, alert: int | None) -> None:
    witness = TlsWitness()
    witness.error = ssl.SSLError(1, reason)
    witness.error.reason = reason
    assert witness.received_alert == alert
    assert witness.evidence(None).error_reason == (None if alert else reason)


def test_an_alert_without_a_mnemonic_is_read_from_the_wire() -> None:
    witness = TlsWitness()
    witness.error = ssl.SSLError(1, "unknown")
    witness.error.reason = None  # type: ignore[assignment] # which typeshed does not know, and CPython does
    witness.client.feed(b"\x15\x03\x03\x00\x02\x02\x74")
    assert witness.received_alert == 116


def test_a_warning_that_was_ignored_is_no_refusal() -> None:
    witness = TlsWitness()
    witness.client.feed(b"\x15\x03\x03\x00\x02\x01\x70")
    assert witness.received_alert == 112
    witness.state = TlsState.ESTABLISHED
    assert witness.received_alert is None
