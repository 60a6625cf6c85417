"""``doorlog check``: what would go wrong, and what looks wrong, without starting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from doorlog.addresses import is_loopback
from doorlog.application.check_listeners import check_listeners
from doorlog.application.check_plugins import check_plugins, open_doors
from doorlog.certificates import Severity
from doorlog.embedded.log_topics import log_topics
from doorlog.errors import SettingsError, SinkError, WebhookFault
from doorlog.log.opening import check_sink
from doorlog.log.privacy import Concealment
from doorlog.log.signing import Checkpoints
from doorlog.settings.load import load_settings
from doorlog.settings.models import Settings
from doorlog.watch.webhook_post import trusting, url_of


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        severity: ``error`` keeps the broker from starting, ``warning`` and ``info`` do not.
        place: Where in the configuration; empty for the file itself.
        sentence: What is wrong, and the remedy.
    """

    severity: Severity
    place: str
    sentence: str

    def __str__(self) -> str:
        """Say place and sentence in one line."""
        return ": ".join(filter(None, (self.place, self.sentence)))


_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


def check_file(path: Path, now: datetime | None = None) -> list[Finding]:
    """Look at a configuration file and at everything that a start would use.

    Args:
        path: A YAML file.
        now: The time against which certificates are judged; aware.

    Returns:
        Findings, errors first. A file that is no configuration has one for each fault, and nothing else is looked at.
    """
    try:
        settings = load_settings(path)
    except SettingsError as error:
        return [Finding("error", place, sentence) for place, sentence in error.faults]
    return check_settings(settings, now)


def check_settings(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """Look at everything that a start would use; plugins are loaded as at a start, but not started.

    Args:
        settings: A configuration that could be read.
        now: The time against which certificates are judged; aware.

    Returns:
        Findings, errors first.
    """
    found = (
        *check_listeners(settings.listeners, now or datetime.now(UTC)),
        *open_doors(settings),
        *check_plugins(settings),
        *_check_log(settings),
        *_check_directory(settings),
        *_check_promises(settings),
        *_check_alerts(settings),
    )
    return sorted((Finding(*finding) for finding in found), key=lambda finding: _ORDER[finding.severity])


def _check_log(settings: Settings) -> Iterator[tuple[Severity, str, str]]:
    log = settings.log
    if log.file is not None:
        fault = _unwritable(log.file.path)
        if fault is not None:
            yield "error", "log.file.path", f"{log.file.path} {fault}"
    elif not log.stdout:
        severity: Severity = "info" if log.console == "always" else "warning"
        yield severity, "log", "no record is kept: set log.file.path, or log.stdout for a container"


def _check_directory(settings: Settings) -> Iterator[tuple[Severity, str, str]]:
    """Look at the device directory, if it stands somewhere else than the log."""
    path = settings.device.directory
    if not settings.device.learn or path is None:
        return
    fault = _unwritable(path)
    if fault is not None:
        yield "error", "device.directory", f"{path} {fault}"


def _check_promises(settings: Settings) -> Iterator[tuple[Severity, str, str]]:
    """Look at the keys of the log, and at its sinks."""
    log = settings.log
    findings: list[str] = []

    def conceal() -> None:
        findings.extend(finding.sentence for finding in Concealment(log.privacy).findings)

    looks: list[tuple[str, Callable[[], object]]] = [
        ("log.checkpoint.keyfile", lambda: Checkpoints(log.checkpoint)),
        ("log.privacy.keyfile", conceal),
        ("log.sinks", lambda: log_topics(log)),
    ]
    looks += [(f"log.sinks.{name}", partial(check_sink, name, log)) for name in log.sinks]
    for place, look in looks:
        try:
            look()
        except SettingsError as error:
            for where, fault in error.faults or ((place, str(error).removeprefix(f"{place}: ")),):
                yield "error", where, fault
        except SinkError as error:
            yield "error", place, str(error)
    for sentence in findings:
        yield "warning", "log.privacy.keyfile", sentence


def _check_alerts(settings: Settings) -> Iterator[tuple[Severity, str, str]]:
    """Look at the webhook, without sending anything; nothing of its address is shown."""
    webhook = settings.alerts.webhook if settings.alerts is not None else None
    if webhook is None:
        return
    try:
        url = url_of(webhook)
    except WebhookFault as fault:
        yield "error", "alerts.webhook", str(fault)
    else:
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield "warning", "alerts.webhook", "names of devices cross the network in the clear: use https://"
    if webhook.cafile is not None:
        try:
            trusting(webhook.cafile)
        except WebhookFault as fault:
            yield "error", "alerts.webhook", str(fault)


def _unwritable(path: Path) -> str | None:
    """Say why nothing could be appended to a file; None if it can be, as far as can be told without doing it."""
    if path.is_dir():
        return "is a folder: name a file in it"
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if nearest is path:
        return (
            None
            if os.access(path, os.R_OK | os.W_OK)
            else "can not be written by this user: correct its owner or its mode"
        )
    if not nearest.is_dir():
        return f"can not be created, since {nearest} is no folder"
    if os.statvfs(nearest).f_flag & os.ST_RDONLY:
        return f"can not be created, since {nearest} is mounted read-only"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"can not be created in {nearest} by this user: create its folder, and give it to the broker's user"
    return None
