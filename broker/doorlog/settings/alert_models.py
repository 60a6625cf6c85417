"""Settings of alerts that doorlog itself sends, to a webhook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from doorlog.settings.base import Setting

_PLAIN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
NO_URL: Final = 'expected an address as in "https://alerts.example.com/hook", in ASCII, without blanks and #'


class Rule(NamedTuple):
    """When a rule says that something is wrong.

    Attributes:
        enabled: Whether it is looked at.
        pending: Seconds that it must be so before it is told.
        limit: What is too much; None for a rule that has no measure.
    """

    enabled: bool
    pending: float
    limit: float | None


DEFAULTS: Final = {
    "failures_after_new_certificate": Rule(True, 120, 0.05),
    "cohort_failing": Rule(True, 300, 0.5),
    "failing": Rule(True, 600, 0.5),
    "password_storm": Rule(True, 120, 1.0),
    "certificate_expires": Rule(True, 0, 30.0),
    "log_failing": Rule(True, 30, None),
    "log_lags": Rule(True, 60, 5.0),
    "log_gap": Rule(True, 0, None),
    "refusing": Rule(True, 120, 0.1),
}
"""What holds for a rule that the configuration says nothing of."""


class WebhookSettings(Setting):
    """Where messages go: an HTTP POST with a JSON body."""

    url: SecretStr | None = None
    """Its address, ``https://`` or ``http://``; never shown. A user and password in it are sent (Basic)."""
    url_file: Path | None = None
    """Instead of ``url``: a file with the address alone, read for each message; for an address that is a secret."""
    cafile: Path | None = None
    """PEM file with the authorities that sign its certificate; without it, those of the system."""
    timeout: Annotated[float, Field(ge=1, le=60)] = 10.0
    """Seconds that one message may take, from looking up its name to the answer."""

    @field_validator("url", mode="before")
    @classmethod
    def _url_is_one(cls, value: Any) -> Any:
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        parse_url(value if isinstance(value, str) else "")
        return value

    @field_validator("url_file", mode="before")
    @classmethod
    def _file_is_no_url(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            raise ValueError("expected the name of a file that holds the address; the address itself belongs into url")
        return value

    @model_validator(mode="after")
    def _one_address(self) -> WebhookSettings:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("set either url or url_file, where messages go")
        return self


class AlertRuleSettings(Setting):
    """One rule; what is not set is as docs/alerts.md says."""

    enabled: bool = True
    """Whether it is looked at."""
    pending: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Seconds that it must be so before it is told."""
    limit: Annotated[float, Field(gt=0)] | None = None
    """What is too much, in the measure of the rule."""


class AlertRulesSettings(Setting):
    """What is told: every rule, unless it is switched off here."""

    failures_after_new_certificate: AlertRuleSettings = AlertRuleSettings()
    """Devices refuse a certificate that is new; ``limit`` is the part of the attempts that do."""
    cohort_failing: AlertRuleSettings = AlertRuleSettings()
    """A cohort fails while the rest of the fleet is well; ``limit`` is the part of its attempts that fail."""
    failing: AlertRuleSettings = AlertRuleSettings()
    """Most attempts fail; ``limit`` is the part of all that do."""
    password_storm: AlertRuleSettings = AlertRuleSettings()
    """Passwords are guessed, or many devices have a wrong one; ``limit`` is wrong ones and unknown users a second."""
    certificate_expires: AlertRuleSettings = AlertRuleSettings()
    """A served certificate ends soon; ``limit`` is days before its end; told again 14, 7 and 1 day before it."""
    log_failing: AlertRuleSettings = AlertRuleSettings()
    """The log file can not be written; has no ``limit``."""
    log_lags: AlertRuleSettings = AlertRuleSettings()
    """Events wait to be written; ``limit`` is for how many seconds."""
    log_gap: AlertRuleSettings = AlertRuleSettings()
    """Records are missing from the log, or may be; has no ``limit``."""
    refusing: AlertRuleSettings = AlertRuleSettings()
    """The broker itself turns devices away; ``limit`` is how many a second, for each reason."""

    @model_validator(mode="after")
    def _limits_have_a_measure(self) -> AlertRulesSettings:
        for name, default in DEFAULTS.items():
            if default.limit is None and getattr(self, name).limit is not None:
                raise ValueError(f"{name} has no limit: remove it")
        return self

    def rule(self, name: str) -> Rule:
        """Return what holds for a rule."""
        given, default = getattr(self, name), DEFAULTS[name]
        return Rule(
            given.enabled,
            default.pending if given.pending is None else given.pending,
            default.limit if given.limit is None else given.limit,
        )


class AlertSettings(Setting):
    """Messages to a webhook when something is wrong, and when it is over, for set-ups without Prometheus."""

    webhook: WebhookSettings
    """Where messages go."""
    every: Annotated[float, Field(ge=60)] = 14_400.0
    """Seconds after which what is still wrong is told again; of a certificate, at most once a day."""
    resolve: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """Seconds that it must be over before that is told."""
    interval: Annotated[float, Field(ge=0.05, le=300)] = 15.0
    """Seconds between two looks."""
    rules: AlertRulesSettings = AlertRulesSettings()
    """What is told."""


def parse_url(text: str) -> SplitResult:
    """Read an address; no error shows anything of it.

    Raises:
        ValueError: It is none that could be used.
    """
    if not _PLAIN.fullmatch(text):
        raise ValueError(NO_URL)
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and "#" not in text
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(NO_URL) from None
    return url
