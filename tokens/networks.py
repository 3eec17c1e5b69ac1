"""Networks in CIDR notation (RFC 4632, RFC 4291), as allow-lists name them. Pure."""

import functools
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.core.exceptions import ValidationError

Network = IPv4Network | IPv6Network

MOST_NETWORKS = 100
SITE_BITS = {4: 24, 6: 48}
HOST_BITS = {4: 32, 6: 64}


def validate_networks(names: list[str]) -> None:
    """Addresses and networks, not too many. Raises ValidationError."""
    if len(names) > MOST_NETWORKS:
        raise ValidationError(f"At most {MOST_NETWORKS} networks; these are {len(names)}.")
    for name in names:
        if not _is_network(name):
            raise ValidationError(
                "%(name)s is no network.%(meant)s Write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32.",
                code="no_network",  # for "invalid" a JSON field has words of its own
                params={"name": repr(name[:80]), "meant": _meant(name)},
            )


def _is_network(name: str) -> bool:
    """Of IPv4 in the dress of IPv6 nothing would ever be held: addresses are asked for without it."""
    try:
        return _undressed(ip_network(name)) is None
    except ValueError:
        return False


def _undressed(network: Network) -> IPv4Network | None:
    """The IPv4 network that one of IPv4-mapped addresses stands for (RFC 4291, 2.5.5.2)."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return IPv4Network(f"{mapped}/{network.prefixlen - 96}") if mapped and network.prefixlen >= 96 else None


def _meant(name: str) -> str:
    """What a network with bits of a host in it, or one of IPv4-mapped addresses, was probably to be."""
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        return ""
    return f" Did you mean {_undressed(network) or network}?"


def hold(names: Collection[str], address: str) -> bool:
    """Whether one of these networks holds an address. An address that cannot be read is in none."""
    try:
        asked = _unmapped(ip_address(address))
    except ValueError:
        return False
    return any(asked in network for network in _parsed(tuple(names)))


def site_of(address: str) -> str | None:
    """Its /24 (IPv4) or /48 (IPv6): what one subscriber or site has. None for what is no address."""
    block = _block(address, SITE_BITS)
    return None if block is None else str(block)


def host_of(address: str) -> str | None:
    """Itself (IPv4), or the start of its /64 (IPv6), all of which one host has. None for no address."""
    block = _block(address, HOST_BITS)
    return None if block is None else str(block.network_address)


def _block(address: str, bits: Mapping[int, int]) -> Network | None:
    try:
        known = _unmapped(ip_address(address.partition("%")[0]))
    except ValueError:
        return None
    return ip_network(f"{known}/{bits[known.version]}", strict=False)


def cover(names: Collection[str], others: Collection[str]) -> bool:
    """Whether every address of the `others` is in one of these networks."""
    return all(
        any(other.version == one.version and other.subnet_of(one) for one in _parsed(tuple(names)))  # type: ignore[arg-type]
        for other in _parsed(tuple(others))
    )


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came through an IPv6 socket (RFC 4291, 2.5.5.2) is the IPv4 address."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


@functools.lru_cache(maxsize=1024)
def _parsed(names: tuple[str, ...]) -> tuple[Network, ...]:
    """Parsing takes longer than asking, and a list is asked at every request of its tokens."""
    return tuple(ip_network(name) for name in names)
