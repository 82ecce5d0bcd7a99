"""Which network addresses may be talked to on somebody's behalf: public ones, and those that the operator allows."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST = IPv6Network("2000::/3")
"""All public addresses of IPv6 lie here."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""An address of IPv4 in the last 32 bits, RFC 6052."""

_NEVER = tuple(map(ip_network, ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20")))
"""What the ipaddress of some Pythons takes for public: special addresses, and those at which clouds tell a machine what
it is."""

_LOOPBACKS = (ip_address("127.0.0.1"), ip_address("::1"))


class AddressNotAllowed(OSError):
    """The message says which, and what the operator can do about it."""


class Addresses:
    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def allow(self, address: Address) -> bool:
        inner = _inside(address)
        if any(candidate in network for candidate in (address, inner) for network in self._allowed):
            return True
        if any(inner in network for network in _NEVER):
            return False
        if isinstance(inner, IPv4Address):
            return inner.is_global and not inner.is_multicast
        return inner in _UNICAST and inner.is_global

    def check_host(self, host: str) -> None:
        """Raises AddressNotAllowed where the host of a URL says by itself that it is none to talk to. What a name
        resolves to is not known here."""
        if host == "localhost" or host.endswith(".localhost"):
            if not any(self.allow(loopback) for loopback in _LOOPBACKS):
                raise not_allowed(host)
            return
        address = literal(host)
        if address is not None and not self.allow(address):
            raise not_allowed(host)


def not_allowed(host: str) -> AddressNotAllowed:
    return AddressNotAllowed(
        f"{host} has no public address, and no other that this server allows; its operator allows more with "
        "--allow-address NETWORK"
    )


def literal(host: str) -> Address | None:
    """The address that is written in place of a name, in any of the spellings that connecting knows: 127.1, 0x7f000001
    and 2130706433 are 127.0.0.1. None: it is a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return ip_address(str(found[0][4][0]))


def _inside(address: Address) -> Address:
    """The address of IPv4 that one of IPv6 leads to, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
