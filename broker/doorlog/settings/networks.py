"""How a network is written in a configuration."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator


def _network(value: Any) -> IPv4Network | IPv6Network:
    """Read a network, so that one sentence says what is wrong instead of one for each kind of network."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError('expected a network, as in "10.0.0.0/24" or "2001:db8::/32"')  # noqa: TRY004 - pydantic's way
    try:
        wide = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f'expected a network, as in "10.0.0.0/24" or "2001:db8::/32" (it is {value!r})') from None
    address = ip_address(value.partition("/")[0])
    if address != wide.network_address:
        raise ValueError(f'{value} is an address in a network: write "{wide}" for all of it, or "{address}" for one')
    return wide


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
