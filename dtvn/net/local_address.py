"""The local address behind a member's public one."""

from __future__ import annotations

import ipaddress
import socket


def bindable(host: str) -> str:
    """The address on which to listen so that others reach this machine at `host`: `host` if it is an IP
    address of this machine, else all addresses. A DNS name may resolve to a loopback address on its own
    machine, and behind NAT or in a cloud the public address is not the machine's."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "0.0.0.0"  # noqa: S104 - links are authenticated
    family, anywhere = (
        (socket.AF_INET6, "::") if address.version == 6 else (socket.AF_INET, "0.0.0.0")  # noqa: S104
    )
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return anywhere
    return host
