"""Where a client is: the part of its address that it cannot choose."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

SITE_BITS = 64
"""Bits of an IPv6 address that count: its owner chooses the others."""


def site_of(remote: str, forwarded: str) -> str:
    """The address of a connection, of IPv6 its network; "" if it is none. `forwarded`: X-Forwarded-For of our
    proxy, "" without one; the proxy appends the last address, and a client can only write those before."""
    text = forwarded.rpartition(",")[2].strip() if forwarded else remote
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    shift = address.max_prefixlen - SITE_BITS
    return f"{IPv6Address(int(address) >> shift << shift)}/{SITE_BITS}"
