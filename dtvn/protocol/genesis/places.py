"""Which addresses a member may be given, checked where people and programs name one.

Ordered operations and sealed files are only held to `is_host`: all versions must decide about them alike.
"""

from __future__ import annotations

import ipaddress

from dtvn.protocol.genesis.terms import is_host

BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def why_not_reached(host: str) -> str:
    """Why no other member can reach this host, to be read after the name of its field; "" if one can."""
    if not is_host(host):
        return "must be an IP address or a DNS name that the members can reach"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    kinds = {
        "unspecified": address.is_unspecified,
        "multicast": address.is_multicast,
        "link-local": address.is_link_local,
        "broadcast": address == BROADCAST,
    }
    found = next((kind for kind, is_of_it in kinds.items() if is_of_it), "")
    return found and f"must be an address at which the members reach one machine; {host} is {found}"
