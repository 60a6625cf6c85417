"""A device that resumes a TLS session shows no certificate again: the one of its first session is judged anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from doorlog.certificates.facts import MAX_DER
from support.broker import Running, listeners, running
from support.clients.base import ClientResult, TlsVersion
from support.clients.openssl import OpenSslClient
from support.pki import CLIENT, CertificateFiles, Pki

VERSIONS: tuple[TlsVersion, ...] = ("1.2", "1.3")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def broker(tmp_path: Path, pki: Pki) -> AsyncIterator[Running]:
    async with running(tmp_path, listeners(pki), limits={"attempt_timeout": 10}) as broker:
        yield broker


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Where a device keeps its TLS session."""
    return tmp_path / "session.pem"


def enormous(pki: Pki) -> CertificateFiles:
    """A certificate that OpenSSL verifies, but that is too large to be read here."""
    names = tuple(f"{number}.{'x' * 50}.example.org" for number in range(300))
    files = pki.issue("enormous", replace(CLIENT, common_name="pump-17", names=names), pki.devices)
    assert len(files.der) > MAX_DER
    return files


async def log_in(
    broker: Running, pki: Pki, files: CertificateFiles, version: TlsVersion, *session: str
) -> ClientResult:
    return await OpenSslClient(session).run(
        broker.target("mtls"),
        cafile=pki.cafile,
        certfile=files.certfile,
        keyfile=files.keyfile,
        client_id="pump-17",
        tls_version=version,
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_good_certificate_is_still_good(broker: Running, pki: Pki, session: Path, version: TlsVersion) -> None:
    assert (await log_in(broker, pki, pki.client(), version, "-sess_out", str(session))).connected
    assert (await log_in(broker, pki, pki.client(), version, "-sess_in", str(session))).connected

    again = await broker.record(lambda record: record.get("tls", {}).get("resumed") is True)
    assert again["event"]["code"] == "admitted"
    assert again["tls"]["client"]["x509"]["subject"]["common_name"] == ["device-17"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_that_can_not_be_judged_is_invalid(
    broker: Running, pki: Pki, session: Path, version: TlsVersion
) -> None:
    await log_in(broker, pki, enormous(pki), version, "-sess_out", str(session))
    assert not (await log_in(broker, pki, enormous(pki), version, "-sess_in", str(session))).connected

    again = await broker.record(lambda record: record.get("tls", {}).get("resumed") is True)
    assert (again["doorlog"]["stage"], again["event"]["code"]) == ("handshake", "client_certificate_invalid")
    assert "x509" not in again["tls"].get("client", {})
