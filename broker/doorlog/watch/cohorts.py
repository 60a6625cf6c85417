"""Which cohorts an attempt belongs to: groups of devices that the operator named, and the sites of the inventory."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.addresses import plain_address
from doorlog.settings.cohort_models import SITE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from doorlog.events.records import ConnectEvent
    from doorlog.settings.cohort_models import CohortSettings

_REMEMBERED: Final = 4096


class Owners(NamedTuple):
    """What is known of all devices that an attempt may have been of: of one, or of candidates that look alike.

    Attributes:
        sites: Their sites in the inventory; None for a device that has none.
        users: The user names under which they were last admitted; None for a device that had none.
    """

    sites: frozenset[str | None]
    users: frozenset[str | None]


NOBODY: Final = Owners(frozenset(), frozenset())


class Cohorts:
    """Says in which cohorts an attempt is.

    Args:
        cohorts: Those that the operator named.

    Attributes:
        names: Their names.
    """

    def __init__(self, cohorts: Iterable[CohortSettings]) -> None:
        self._cohorts = tuple(cohorts)
        self.names = tuple(cohort.name for cohort in self._cohorts)
        self._some_show = not all(cohort.needs_device for cohort in self._cohorts)
        self._some_need_device = any(cohort.needs_device for cohort in self._cohorts)
        # By the address alone: all else is quickly compared, and a client may write what it likes into it.
        self._around = lru_cache(_REMEMBERED)(self._find_around)

    def shown(self, event: ConnectEvent) -> tuple[str, ...]:
        """Return the cohorts that the attempt itself shows: by its address, its ClientHello, its server name."""
        if not self._some_show:
            return ()
        return tuple(cohort.name for cohort in self._fitting(event) if not cohort.needs_device)

    def owned(self, event: ConnectEvent, owners: Owners) -> tuple[str, ...]:
        """Return the cohorts that only the device can tell, or the user name; the site that all owners share is one."""
        names: tuple[str, ...] = ()
        if self._some_need_device:
            user = event.user.name if event.user is not None else None
            users = frozenset((user,)) if user else owners.users
            fitting = (cohort for cohort in self._fitting(event) if cohort.needs_device)
            names = tuple(cohort.name for cohort in fitting if _is_owned(cohort, owners.sites, users))
        (site,) = owners.sites if len(owners.sites) == 1 else (None,)
        return (*names, f"{SITE_PREFIX}{site}") if site else names

    def _fitting(self, event: ConnectEvent) -> Iterator[CohortSettings]:
        """Yield the cohorts that fit all that the attempt itself shows."""
        client = event.tls.client if event.tls is not None else None
        ja4 = client.ja4 if client is not None else None
        server_name = _server_name(event)
        for cohort in self._around(event.source.ip):
            if cohort.ja4 in (None, ja4) and _is_named(server_name, cohort.server_name):
                yield cohort

    def _find_around(self, ip: str | None) -> tuple[CohortSettings, ...]:
        """Find the cohorts whose networks hold an address, and those that have none."""
        try:
            address = plain_address(ip) if ip else None
        except ValueError:
            address = None
        return tuple(
            cohort
            for cohort in self._cohorts
            if not cohort.network or (address is not None and any(address in network for network in cohort.network))
        )


def _server_name(event: ConnectEvent) -> str | None:
    """Return the host name that was asked for; behind a load balancer that ends TLS, the one that it tells."""
    client, proxy = event.tls.client if event.tls is not None else None, event.doorlog.proxy
    name = client.server_name if client is not None else None
    if name is None and proxy is not None:
        name = proxy.server_name
    return name.lower() if name else None


def _is_named(server_name: str | None, pattern: str | None) -> bool:
    if pattern is None or server_name is None:
        return pattern is None
    return server_name.endswith(pattern[1:]) if pattern.startswith("*.") else server_name == pattern


def _is_owned(cohort: CohortSettings, sites: frozenset[str | None], users: frozenset[str | None]) -> bool:
    if cohort.site is not None and sites != {cohort.site}:
        return False
    prefix = cohort.user_prefix
    return prefix is None or (bool(users) and all(user is not None and user.startswith(prefix) for user in users))
