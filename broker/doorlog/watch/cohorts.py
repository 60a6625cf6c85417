"""Which cohorts an attempt belongs to: groups of devices that the operator named, and the sites of the inventory."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.addresses import plain_address
from doorlog.settings.cohort_models import SITE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

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
        cohorts = tuple(cohorts)
        self.names = tuple(cohort.name for cohort in cohorts)
        self._shown = tuple(cohort for cohort in cohorts if not cohort.needs_device)
        self._owned = tuple(cohort for cohort in cohorts if cohort.needs_device)
        # What a client may write is part of the key: a device of one build comes with the same again and again.
        self._shown_of = lru_cache(_REMEMBERED)(self._find_shown)

    def shown(self, event: ConnectEvent) -> tuple[str, ...]:
        """Return the cohorts that the attempt itself shows: by its address, its ClientHello, its server name."""
        return self._shown_of(*_look(event)) if self._shown else ()

    def owned(self, event: ConnectEvent, owners: Owners) -> tuple[str, ...]:
        """Return the cohorts that only the device can tell, or the user name; the site that all owners share is one."""
        user = event.user.name if event.user is not None else None
        users = frozenset((user,)) if user else owners.users
        look = _parsed(*_look(event)) if self._owned else (None, None, None)
        names = tuple(
            cohort.name for cohort in self._owned if _is_owned(cohort, owners.sites, users) and _is_shown(cohort, *look)
        )
        (site,) = owners.sites if len(owners.sites) == 1 else (None,)
        return (*names, f"{SITE_PREFIX}{site}") if site else names

    def _find_shown(self, ip: str | None, ja4: str | None, server_name: str | None) -> tuple[str, ...]:
        look = _parsed(ip, ja4, server_name)
        return tuple(cohort.name for cohort in self._shown if _is_shown(cohort, *look))


def _look(event: ConnectEvent) -> tuple[str | None, str | None, str | None]:
    """Return address, JA4 and server name; behind a load balancer that ends TLS, the server name that it tells."""
    client, proxy = event.tls.client if event.tls is not None else None, event.doorlog.proxy
    server_name = client.server_name if client is not None else None
    if server_name is None and proxy is not None:
        server_name = proxy.server_name
    return event.source.ip, client.ja4 if client is not None else None, server_name


def _parsed(
    ip: str | None, ja4: str | None, server_name: str | None
) -> tuple[IPv4Address | IPv6Address | None, str | None, str | None]:
    try:
        address = plain_address(ip) if ip else None
    except ValueError:
        address = None
    return address, ja4, server_name.lower() if server_name else None


def _is_shown(
    cohort: CohortSettings, address: IPv4Address | IPv6Address | None, ja4: str | None, server_name: str | None
) -> bool:
    if cohort.ja4 is not None and cohort.ja4 != ja4:
        return False
    if cohort.server_name is not None and not _is_named(server_name, cohort.server_name):
        return False
    return not cohort.network or (address is not None and any(address in network for network in cohort.network))


def _is_named(server_name: str | None, pattern: str) -> bool:
    if server_name is None:
        return False
    return server_name.endswith(pattern[1:]) if pattern.startswith("*.") else server_name == pattern


def _is_owned(cohort: CohortSettings, sites: frozenset[str | None], users: frozenset[str | None]) -> bool:
    if cohort.site is not None and sites != {cohort.site}:
        return False
    prefix = cohort.user_prefix
    return prefix is None or (bool(users) and all(user is not None and user.startswith(prefix) for user in users))
