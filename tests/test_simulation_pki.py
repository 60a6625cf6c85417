"""The certificates of a simulated rotation."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from doorlog.simulation.pki import Pki
from doorlog.simulation.plan import Plan

PLAN = Plan()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"), PLAN)


def read(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_both_chains_come_from_one_root_through_their_own_authority(pki: Pki) -> None:
    (root,) = read(pki.root)
    chains = [read(pki.server(number)[0]) for number in (1, 2)]

    for leaf, authority in chains:
        leaf.verify_directly_issued_by(authority)
        authority.verify_directly_issued_by(root)
    assert chains[0][1].public_key() != chains[1][1].public_key()


def test_what_can_be_pinned_is_of_the_old_chain(pki: Pki) -> None:
    leaf, authority = read(pki.server(1)[0])

    assert read(pki.trusted("leaf")) == [leaf]
    assert read(pki.trusted("intermediate")) == [authority]
    assert pki.trusted(None) == pki.root


def test_the_rotation_ends_the_trust_in_the_old_authority_of_devices(pki: Pki) -> None:
    before, after = (read(pki.server(number)[2]) for number in (1, 2))
    (old,) = read(pki.client("pump-1", "distrusted", expired=False)[0])
    (new,) = read(pki.client("pump-2", "good", expired=False)[0])

    assert {old.issuer, new.issuer} == {authority.subject for authority in before}
    assert new.issuer in {authority.subject for authority in after}
    assert old.issuer not in {authority.subject for authority in after}


def test_one_that_expires_is_the_same_but_for_its_end(pki: Pki) -> None:
    now = datetime.now(UTC)
    (good,) = read(pki.client("pump-3", "expires", expired=False)[0])
    (expired,) = read(pki.client("pump-3", "expires", expired=True)[0])

    assert good.not_valid_after_utc > now
    assert expired.not_valid_after_utc < now
    assert expired.not_valid_after_utc <= PLAN.moment(PLAN.rotation)
    assert good.serial_number == expired.serial_number
    assert good.public_key() == expired.public_key()
    assert good.subject == expired.subject


def test_files_are_for_their_owner_only(pki: Pki) -> None:
    for path in pki.client("pump-4", "good", expired=False):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
