"""Addresses as libp2p writes them: /ip4/127.0.0.1/tcp/4001/p2p/PEER-ID."""

from __future__ import annotations

import ipaddress

PORT_MAX = 65_535


def format_multiaddr(host: str, port: int, peer: str) -> str:
    """The multiaddr of a TCP address and a peer id; a host that is not an IP address becomes /dns."""
    try:
        protocol = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        protocol = "dns"
    return f"/{protocol}/{host}/tcp/{port}/p2p/{peer}"


def parse_multiaddr(text: str) -> tuple[str, int, str]:
    """(host, port, peer id; "" if absent); raise ValueError with a sentence if the text is malformed."""
    if not text.isascii():
        raise ValueError(f"{text!a} is not ASCII")
    parts = text.strip().split("/")
    if len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp" or (len(parts) == 7 and parts[5] != "p2p"):
        raise ValueError(f"{text!r} is not of the form /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID")
    protocol, host = parts[1], parts[2]
    if protocol in ("ip4", "ip6"):
        try:
            version = ipaddress.ip_address(host).version
        except ValueError as error:
            raise ValueError(f"{text!r}: {host!r} is not an address") from error
        if protocol != f"ip{version}":
            raise ValueError(f"{text!r}: {host!r} is not an {protocol} address")
    elif protocol not in ("dns", "dns4", "dns6") or not host:
        raise ValueError(f"{text!r}: {protocol!r} is not one of ip4, ip6, dns, dns4, dns6")
    if not parts[4].isascii() or not parts[4].isdigit() or not 1 <= int(parts[4]) <= PORT_MAX:
        raise ValueError(f"{text!r}: {parts[4]!r} is not a port")
    return host, int(parts[4]), parts[6] if len(parts) == 7 else ""
