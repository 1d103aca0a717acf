"""Principals, their keys and their capabilities, as genesis and the log define them (R15).

Each key of a principal has its own wire name: `gateway`, then `gateway#1`, `gateway#2`. Every signature
covers the wire name, so a request states which key signed it, and execution skips it once that key is no
longer valid, the same on every node and after every restart. Old keys are kept for ever: a batch may hold a
request that was signed while its key was valid, and it must remain possible to check it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from dtvn.machine import reasons
from dtvn.protocol import canonical
from dtvn.protocol.genesis import ANY_EVENT, Grant, Principal

KEYS_MAX = 4_096
"""Most keys of principals, rotated and revoked ones included; beyond it operations are refused `full`."""


class RetiredKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A key that was rotated or revoked; the row's key in the table is its wire name."""

    public_key: bytes
    until: int
    """Batch time in microseconds until which the key remains valid, so that a gateway loses no request in
    flight."""


class ShownPrincipal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Outcome state of an operation on a principal."""

    wire: str
    """The wire name with which its requests are signed from now on; "" once revoked."""
    principal: Principal


def shown_principal(state: bytes) -> ShownPrincipal:
    """Decodes the outcome state of a kind that changes a principal; raises CanonicalError."""
    return canonical.decode(ShownPrincipal, state)


def wire_name(name: str, generation: int) -> str:
    """The wire name of a principal's key; that of generation 0 is the principal's name."""
    return f"{name}#{generation}" if generation else name


class Principals:
    """Principals by name; `touch` is called with (table, key) of each row that changed."""

    def __init__(
        self, principals: Iterable[Principal], touch: Callable[[str, str], None] = lambda _table, _key: None
    ) -> None:
        self._touch = touch
        self._listed: dict[str, Principal] = {}
        self._retired: dict[str, RetiredKey] = {}
        self._generations: dict[str, int] = {}
        """Name -> number of its retired keys, which is the generation of its present or next key."""
        self._keys: dict[str, bytes] = {}
        """Wire name -> key, retired keys included."""
        self._counts: dict[str, str] = {}
        """Wire name -> principal's name, for keys that are valid now."""
        self._expiring: dict[str, int] = {}
        self._events: dict[tuple[str, str], frozenset[str]] = {}
        """(principal, capability) -> the events in which it is granted; ANY_EVENT means all."""
        self.version = 0
        """Incremented by every change, so that a caller with a cached list of keys sees that it is stale."""
        for principal in principals:
            self._list(principal)

    def __contains__(self, wire: object) -> bool:
        return wire in self._counts

    def shown(self, name: str) -> bytes:
        """Encoded ShownPrincipal, b"" if it is not listed."""
        listed = self.get(name)
        return b"" if listed is None else canonical.encode(ShownPrincipal(self.wire(name), listed))

    def count(self) -> int:
        """Number of listed principals."""
        return len(self._listed)

    def names(self) -> list[str]:
        """Names of the listed principals, sorted."""
        return sorted(self._listed)

    def who(self, wire: str) -> str:
        """Name of the principal with this wire name; "" if that key is not valid now."""
        return self._counts.get(wire, "")

    def key(self, wire: str) -> bytes | None:
        """Public key with this wire name, retired or not, or None."""
        return self._keys.get(wire)

    def get(self, name: str) -> Principal | None:
        """A listed principal, or None."""
        return self._listed.get(name)

    def holder(self, public_key: bytes) -> str:
        """Name of the principal that has or had this key; "" if none."""
        return next((wire.partition("#")[0] for wire, key in self._keys.items() if key == public_key), "")

    def counting(self) -> dict[str, bytes]:
        """Wire name -> key, for all keys that are valid now."""
        return {wire: self._keys[wire] for wire in self._counts}

    def wire(self, name: str) -> str:
        """The wire name with which a principal signs now."""
        return wire_name(name, self._generations.get(name, 0))

    def retired(self, wire: str) -> RetiredKey | None:
        """The row of a retired key, or None."""
        return self._retired.get(wire)

    def may(self, name: str, capability: str, event: str) -> bool:
        """Whether the principal `name` holds `capability` in `event`."""
        events = self._events.get((name, capability))
        return events is not None and (event in events or ANY_EVENT in events)

    def holds(self, name: str, capability: str) -> bool:
        """Whether the principal `name` holds `capability` in some event."""
        return (name, capability) in self._events

    def begin(self, timestamp: int) -> None:
        """Begin a batch at this effective timestamp: rotated keys whose overlap is over become invalid."""
        if self._expiring:
            over = [wire for wire, until in self._expiring.items() if until <= timestamp]
            for wire in over:
                del self._expiring[wire]
                del self._counts[wire]
                self.version += 1

    def add(self, principal: Principal) -> str:
        """Add a principal; returns the outcome code."""
        if principal.name in self._listed:
            return reasons.PRINCIPAL_EXISTS
        if reason := self._refuse_key(principal.public_key):
            return reason
        self._list(principal)
        self._touch("principal", principal.name)
        return reasons.OK

    def rotate(self, name: str, public_key: bytes, until: int) -> str:
        """Give a principal another key; the old one remains valid until `until` (batch time)."""
        known = self._listed.get(name)
        if known is None:
            return reasons.PRINCIPAL_NOT_FOUND
        if reason := self._refuse_key(public_key):
            return reason
        self._retire(known, until)
        self._list(msgspec.structs.replace(known, public_key=public_key))
        self._touch("principal", name)
        return reasons.OK

    def limit(self, name: str, grants: tuple[Grant, ...]) -> str:
        """Replace a principal's grants."""
        known = self._listed.get(name)
        if known is None:
            return reasons.PRINCIPAL_NOT_FOUND
        if self._rules_alone(name) and not any(_rules(grant.capability, {grant.event}) for grant in grants):
            return reasons.LAST_ADMIN
        self._list(msgspec.structs.replace(known, grants=grants))
        self._touch("principal", name)
        return reasons.OK

    def revoke(self, name: str) -> str:
        """Remove a principal; its key and its keys still in overlap become invalid at once."""
        known = self._listed.get(name)
        if known is None:
            return reasons.PRINCIPAL_NOT_FOUND
        if self._rules_alone(name):
            return reasons.LAST_ADMIN
        self._retire(known, 0)
        for wire in [wire for wire in self._expiring if self._counts[wire] == name]:
            self._retired[wire] = msgspec.structs.replace(self._retired[wire], until=0)
            del self._expiring[wire], self._counts[wire]
            self._touch("retired", wire)
        del self._listed[name]
        self._forget_grants(name)
        self._touch("principal", name)
        return reasons.OK

    def load(self, listed: Iterable[Principal], retired: Iterable[tuple[str, RetiredKey]]) -> None:
        """Add stored rows to the principals of genesis. A principal with retired keys is as its row says, and
        revoked if it has no row."""
        rows = {principal.name: principal for principal in listed}
        for wire, key in retired:
            name = wire.partition("#")[0]
            self._generations[name] = self._generations.get(name, 0) + 1
            self._retired[wire] = key
            self._keys[wire] = key.public_key
            self._counts.pop(wire, None)
            if key.until:
                self._counts[wire] = name
                self._expiring[wire] = key.until
        for name in [name for name in self._listed if name in self._generations]:
            del self._listed[name]
            self._forget_grants(name)
        for principal in rows.values():
            self._list(principal)

    def _refuse_key(self, public_key: bytes) -> str:
        if public_key in self._keys.values():
            return reasons.KEY_IN_USE
        return reasons.FULL if len(self._keys) >= KEYS_MAX else ""

    def _list(self, principal: Principal) -> None:
        wire = self.wire(principal.name)
        self._listed[principal.name] = principal
        self._keys[wire] = principal.public_key
        self._counts[wire] = principal.name
        self.version += 1
        self._forget_grants(principal.name)
        for capability in {grant.capability for grant in principal.grants}:
            self._events[(principal.name, capability)] = frozenset(
                grant.event for grant in principal.grants if grant.capability == capability
            )

    def _forget_grants(self, name: str) -> None:
        self._events = {key: events for key, events in self._events.items() if key[0] != name}

    def _rules_alone(self, name: str) -> bool:
        """Whether this is the only principal that may change principals and members."""
        return {holder for (holder, what), events in self._events.items() if _rules(what, events)} == {name}

    def _retire(self, principal: Principal, until: int) -> None:
        wire = self.wire(principal.name)
        self._retired[wire] = RetiredKey(principal.public_key, until)
        self._generations[principal.name] = self._generations.get(principal.name, 0) + 1
        if until:
            self._expiring[wire] = until
        else:
            del self._counts[wire]
        self.version += 1
        self._touch("retired", wire)


def _rules(capability: str, events: Collection[str]) -> bool:
    """Whether this grant lets its holder change principals and members."""
    return capability == "admin" and ANY_EVENT in events
