"""Settings of cohorts: groups of devices whose attempts are counted apart."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from doorlog.settings.base import Setting
from doorlog.settings.networks import Network

MOST_COHORTS: Final = 200
"""Cohorts that are counted apart, the sites of the inventory among them."""
SITE_PREFIX: Final = "site:"
"""How the name of a site's cohort begins."""
OTHER: Final = "other"
"""The cohort of what is on no list."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_JA4: Final = re.compile(r"[a-z0-9]{10}_[0-9a-f]{12}_[0-9a-f]{12}")
_SERVER_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

ShortText = Annotated[str, Field(min_length=1, max_length=256)]


class CohortSettings(Setting):
    """A group of devices whose attempts are counted apart; each site of the device inventory is one by itself.

    Of the keys beside ``name``, at least one must be there; an attempt is in the cohort that fits all that are.
    """

    name: str
    """A name of yours, up to 64 letters, digits and ``_ . : -``: the label ``cohort`` of the metrics."""
    site: ShortText | None = None
    """A site of the device inventory (``doorlog devices import``): attempts of its devices, also those that failed
    before they said who they are."""
    ja4: str | None = None
    """``tls.client.ja4``: one build of a TLS stack."""
    network: tuple[Network, ...] = ()
    """Where they come from: one network, or a list of them."""
    server_name: str | None = None
    """The host name that they ask for: ``mqtt.example.com``, or ``*.example.com`` for all names below it."""
    user_prefix: ShortText | None = None
    """How the user name begins; of an attempt that failed before it was sent, that of the device that it was."""

    @field_validator("name", mode="before")
    @classmethod
    def _name_is_short_and_plain(cls, value: Any) -> Any:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise ValueError("expected up to 64 letters, digits and _ . : -")
        if value.startswith(SITE_PREFIX):
            raise ValueError(f'"{SITE_PREFIX}" begins the names of the sites of the inventory: choose another name')
        if value == OTHER:
            raise ValueError(f'"{OTHER}" stands for all cohorts beyond {MOST_COHORTS}: choose another name')
        return value

    @field_validator("ja4", mode="before")
    @classmethod
    def _ja4_is_one(cls, value: Any) -> Any:
        if not isinstance(value, str) or not _JA4.fullmatch(value):
            raise ValueError("expected tls.client.ja4 of a record, as in t13d311000_e8f1e7e78f70_1f22a2ca17c4")
        return value

    @field_validator("network", mode="before")
    @classmethod
    def _one_network_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("server_name", mode="before")
    @classmethod
    def _server_name_is_one(cls, value: Any) -> Any:
        if not isinstance(value, str) or not _SERVER_NAME.fullmatch(value) or len(value) > 255:
            raise ValueError('expected a host name, as in "mqtt.example.com" or "*.example.com"')
        return value.lower()

    @model_validator(mode="after")
    def _says_who_is_in_it(self) -> CohortSettings:
        if not (self.site or self.ja4 or self.network or self.server_name or self.user_prefix):
            raise ValueError("say who is in it: set at least one of site, ja4, network, server_name, user_prefix")
        return self

    @property
    def needs_device(self) -> bool:
        """Whether only a named device, or a user name, can tell who is in it."""
        return self.site is not None or self.user_prefix is not None


def distinct(cohorts: tuple[CohortSettings, ...]) -> tuple[CohortSettings, ...]:
    """Return the same cohorts.

    Raises:
        ValueError: There are too many, or two have one name.
    """
    if len(cohorts) > MOST_COHORTS:
        raise ValueError(f"there are {len(cohorts)} cohorts, at most {MOST_COHORTS} are counted apart: leave some out")
    seen: set[str] = set()
    for cohort in cohorts:
        if cohort.name in seen:
            raise ValueError(f'the name "{cohort.name}" stands twice: give each cohort one of its own')
        seen.add(cohort.name)
    return cohorts
