"""A node's record of itself: under which addresses others can dial it, signed (R45)."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable

from dtvn.overlay import AddressValue, signed_address
from dtvn.overlay.overlay import Role
from dtvn.overlay.records import ADDRESSES_MAX, is_place
from dtvn.sync import Item

Address = tuple[str, int]


class OwnRecord:
    """The newest record of this node. It is signed again only when what it says changes.

    A node that listens on all addresses of its machine does not know which of them others reach: it names
    those from which it reaches them (`reaches`). A node that listens at a DNS name has no record; the others
    have that name.
    """

    def __init__(self, cluster: bytes, secret: bytes, name: str, role: Role) -> None:
        self._cluster = cluster
        self._secret = secret
        self._name = name
        self._role = role
        self._listens: Address = ("", 0)
        self._ways: list[str] = []
        self._hosts: set[str] = set()
        self._item: Item | None = None
        """What was signed last."""
        self._said: tuple[Address, ...] = ()
        self._version = 0

    def listens(self, address: Address) -> None:
        """It listens here, which may be a wildcard."""
        self._listens = address

    def reaches(self, hosts: Iterable[str]) -> None:
        """Others are at these hosts. How this machine reaches a DNS name is found out in a thread, which
        may take seconds."""
        if not is_wildcard(self._listens[0]):
            return
        new = {host for host in hosts if host not in self._hosts}
        self._hosts |= new
        names = sorted(host for host in new if not is_place(host))
        self._find(sorted(new.difference(names)))
        if names:
            threading.Thread(target=self._find, args=(names,), name="own_addresses", daemon=True).start()

    def item(self, above: int = 0) -> Item | None:
        """The record; None if no address is known of one that listens. `above`: the version that others hold
        (from before the clock was set back, say)."""
        places = self._places()
        if not places and self._role != "leaf":
            return None
        if self._item is None or places != self._said or self._version < above:
            self._version = max(time.time_ns() // 1_000, self._version + 1, above + 1)
            value = AddressValue(self._name, self._role, places)
            self._item = signed_address(self._cluster, self._secret, value, self._version)
            self._said = places
        return self._item

    def _places(self) -> tuple[Address, ...]:
        host, port = self._listens
        hosts = sorted(self._ways, key=is_loopback) if is_wildcard(host) else [host]
        return tuple((each, port) for each in hosts if is_place(each))[:ADDRESSES_MAX]

    def _find(self, hosts: list[str]) -> None:
        for host in hosts:
            way = way_to(host)
            if way not in self._ways:
                self._ways = [*self._ways, way]


def is_wildcard(host: str) -> bool:
    """Whether a host stands for all addresses of its machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether an IP address is known on this machine only."""
    return ipaddress.ip_address(host).is_loopback


def way_to(host: str) -> str:
    """The local address from which this machine reaches a host; nothing is sent to find it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, UnicodeError):  # the latter for a name that is no DNS name
        return "127.0.0.1"
