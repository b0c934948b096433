"""What an IP address leads to, in whatever form it is written, and which addresses nobody reaches by accident.

IPv6 has many forms that carry an address of IPv4: the kernel takes some of them for that address, and a gateway on the way
may translate others. So an address is judged together with all that it may carry.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PRIVATE = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"
"""Ranges from which clusters take the addresses of pods and Services: private ones, and those that carriers share."""

_METADATA = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # nearly every cloud; also the credentials of containers at AWS (170.2, 170.23)
            "100.100.100.200/32",  # Alibaba Cloud
            "100.96.0.96/32",  # Volcano Engine
            "168.63.129.16/32",  # Azure's host
            "192.0.0.192/32",  # Oracle Cloud, classic
            "fd00:ec2::/32",  # AWS: metadata (254), credentials of pods (23), DNS, time
            "fd20:ce::254/128",  # Google Cloud
            "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
            "fd00:42::42/128",  # Scaleway
        ),
    )
)
"""Where clouds tell a machine, and whoever asks from it, who it is and with which keys."""

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_NAT64_LOCAL_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""Bytes in which RFC 6052 puts an address of IPv4, for each length of a prefix that a network may choose there."""
_ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))


def parsed(text: str) -> Address:
    """Return the address in a text, without its zone; one of IPv4 that is mapped into IPv6 is the one of IPv4.

    Raises:
        ValueError: there is none.
    """
    address = ip_address(text.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def networks(text: str) -> tuple[Network, ...]:
    """Return the ranges in a text such as `10.0.0.0/8,fd00::/8`.

    Raises:
        ValueError: an entry is no range, or has bits after its prefix; the message names it.
    """
    found = []
    for entry in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(ip_network(entry))
        except ValueError as error:
            raise ValueError(f"{entry!r} is not a range of addresses such as 10.0.0.0/8: {error}") from None
    return tuple(found)


def is_within(address: Address, ranges: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in one of the ranges."""
    return any(address in network for network in ranges)


def carried(address: Address) -> Iterator[Address]:
    """Yield the address, and every address of IPv4 that it may carry."""
    yield address
    if isinstance(address, IPv4Address):
        return
    octets = address.packed
    if address in _COMPATIBLE or address in _TRANSLATED or address in _NAT64 or octets[8:12] in _ISATAP:
        # `::` and `::1` come out as 0.0.0.0 and 0.0.0.1, which are off limits as well.
        yield IPv4Address(octets[12:])
    if address in _NAT64_LOCAL:
        places = (IPv4Address(bytes(octets[place] for place in places)) for places in _NAT64_LOCAL_PLACES)
        # Read at the wrong place, most begin with the zeros that fill the rest.
        yield from (found for found in places if found not in _THIS_NETWORK)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def off_limits(address: Address) -> str | None:
    """Return what is at an address that is never meant by accident, None for all others.

    The words go after "which is" or "leads to ADDRESS,".
    """
    if is_within(address, _METADATA):
        return "where clouds tell a machine its keys"
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    if local or address.is_multicast or (isinstance(address, IPv4Address) and address in _THIS_NETWORK):
        return "an address of this machine or its link"
    return None
