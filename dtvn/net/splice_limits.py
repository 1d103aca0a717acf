"""What a splice allows, and the buckets that count it. No clock here: `now` is in seconds, from any zero."""

from __future__ import annotations

import ipaddress

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one splice. Over a bound of connections, the newcomer's connection is closed at once; over a
    bound of bytes, nothing is read until it is met again, so TCP slows the sender."""

    handshake: float = 5.0
    """Seconds for a registration, for a dialler's first bytes, and for the connection back."""
    heartbeat: float = 2.0
    """Seconds between two pings; a side that hears nothing for three of them ends the registration."""
    idle: float = 30.0
    """Seconds without a byte in either direction after which a splice ends; a live link has a heartbeat of
    0.2 s."""
    handshakes: int = 256
    """Connections that have not said yet who they are, on the port of registrations."""
    splices: int = 2_048
    """Splices at once, of all keys."""
    splices_a_key: int = 256
    splices_an_address: int = 64
    failures_a_second: float = 1.0
    """Of one address on the port of registrations, with `failures_burst` more: forged, malformed, slow."""
    failures_burst: float = 20.0
    dials_a_second: float = 10.0
    """Connections a second of one address, and to one listener; on average, with `dials_burst` more."""
    dials_burst: float = 40.0
    bytes_a_second: float = 64 * 2.0**20
    """Both directions together, of all splices of one key, and of one address of diallers."""


SAID_BURST = 0.25
"""Seconds of a rate of bytes that may be passed on at once."""


class Bucket:
    """A token bucket that may go into debt: after taking too much, one waits."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, 0.0

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)

    def allows(self, now: float) -> bool:
        """Take one, if there is one."""
        self._fill(now)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def is_empty(self, now: float) -> bool:
        """Whether `allows` would say no."""
        self._fill(now)
        return self._level < 1.0

    def owe(self, amount: float, now: float) -> float:
        """Take this much, and return the seconds until it is paid."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def is_full(self, now: float) -> bool:
        """Whether nothing counts against its owner, so that it can be forgotten."""
        self._fill(now)
        return self._level >= self._burst


class Buckets:
    """One bucket for each owner. Of more than `kept_max` the full ones are forgotten, else the oldest."""

    def __init__(self, rate: float, burst: float, kept_max: int = 4_096) -> None:
        self._rate, self._burst, self._kept_max = rate, burst, kept_max
        self._of: dict[object, Bucket] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, owner: object, now: float) -> Bucket:
        """The bucket of an owner."""
        bucket = self._of.get(owner)
        if bucket is None:
            if len(self._of) >= self._kept_max:
                self._of = {each: b for each, b in self._of.items() if not b.is_full(now)}
            while len(self._of) >= self._kept_max:
                del self._of[next(iter(self._of))]
            bucket = self._of[owner] = Bucket(self._rate, self._burst)
            bucket.is_full(now)
        return bucket


def network_of(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which one host has whole."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
