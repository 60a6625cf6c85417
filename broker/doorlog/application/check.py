"""``doorlog check``: what would go wrong, and what looks wrong, without starting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from doorlog.certificates import Finding as ChainFinding
from doorlog.certificates.chain import inspect_chain, inspect_client_ca
from doorlog.certificates.revocation import inspect_crl
from doorlog.door.tls_context import load_served_chain
from doorlog.embedded.authority import check_plugins
from doorlog.errors import DoorlogError
from doorlog.settings.models import ListenerSettings, Settings, TlsSettings


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        severity: ``error`` keeps the broker from starting, ``warning`` and ``info`` do not.
        place: Where in the configuration.
        sentence: What is wrong, and the remedy.
    """

    severity: str
    place: str
    sentence: str


def check_settings(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Look at everything that a start would use.

    Args:
        settings: A configuration that could be read.
        now: The time against which certificates are judged.

    Returns:
        Findings, errors first.
    """
    found = [*_listeners(settings, now or datetime.now(UTC)), *_plugins(settings), *_log(settings)]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _listeners(settings: Settings, now: datetime) -> Iterator[Finding]:
    for name, listener in settings.listeners.items():
        place = f"listeners.{name}"
        if listener.tls is not None:
            yield from _tls(f"{place}.tls", listener.tls, now)
        else:
            yield from _plain(place, listener)


def _plain(place: str, listener: ListenerSettings) -> Iterator[Finding]:
    if not listener.is_loopback and listener.proxy_protocol == "refused":
        yield Finding(
            "warning",
            place,
            "passwords travel unencrypted on this port, which other machines can reach: add tls, or bind to 127.0.0.1",
        )


def _tls(place: str, tls: TlsSettings, now: datetime) -> Iterator[Finding]:
    report = inspect_chain(tls.certfile, tls.keyfile, now=now)
    yield from _at(f"{place}.certfile", report.findings)
    if tls.cafile is not None:
        yield from _at(f"{place}.cafile", inspect_client_ca(tls.cafile, now=now))
    if tls.cafile is not None and tls.crlfile is not None:
        yield from _at(f"{place}.crlfile", inspect_crl(tls.crlfile, tls.cafile, now=now))
    if report.ok:
        try:
            load_served_chain(tls)
        except DoorlogError as error:
            yield Finding("error", place, str(error))


def _at(place: str, findings: tuple[ChainFinding, ...]) -> Iterator[Finding]:
    for finding in findings:
        yield Finding(finding.severity, place, finding.sentence)


def _plugins(settings: Settings) -> Iterator[Finding]:
    try:
        check_plugins(settings)
    except DoorlogError as error:
        yield Finding("error", "auth.plugins", str(error))


def _log(settings: Settings) -> Iterator[Finding]:
    file = settings.log.file
    if file is None and not settings.log.stdout and settings.log.console == "never":
        yield Finding("warning", "log", "records go nowhere: set log.file.path or log.stdout")
    if file is not None and file.path.is_dir():
        yield Finding("error", "log.file.path", f"{file.path} is a folder: name a file in it")
