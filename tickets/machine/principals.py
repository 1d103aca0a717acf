"""Who may do what: principals, their keys and capabilities, as genesis and the log say (R15).

A rotated key gets a new name on the wire: `gateway`, then `gateway#1`, `gateway#2`. The name is inside
every signature, so a request says itself which key signed it, and execution passes over it once that
key no longer counts, the same on every node and after every restart. Old keys are kept for ever: a
batch may hold a request that was signed in time, and who checks it late must be able to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from tickets.machine import reasons
from validators.genesis import ANY_EVENT, Grant, Principal

__all__ = ["KEYS_MAX", "Principals", "RetiredKey", "ShownPrincipal", "wire_name"]

KEYS_MAX = 4_096
"""Keys of principals ever, rotated and revoked ones included; beyond it `full`."""


class RetiredKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A key that was rotated or revoked; its key in the table is its name on the wire."""

    public_key: bytes
    until: int
    """Batch time in microseconds until which it still counts, so that a gateway loses nothing in flight."""


class ShownPrincipal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Outcome state of an operation on a principal."""

    wire: str
    """The name with which its requests are signed from now on; "" once revoked."""
    principal: Principal


def wire_name(name: str, generation: int) -> str:
    """The name on the wire of a principal's key: the first one bears the bare name."""
    return f"{name}#{generation}" if generation else name


class Principals:
    """Principals by name; `touch` hears which rows (table, key) changed."""

    def __init__(
        self, principals: Iterable[Principal], touch: Callable[[str, str], None] = lambda _table, _key: None
    ) -> None:
        self._touch = touch
        self._listed: dict[str, Principal] = {}
        self._retired: dict[str, RetiredKey] = {}
        self._generations: dict[str, int] = {}
        """How many keys of a name are retired: the generation of the next one."""
        self._keys: dict[str, bytes] = {}
        """Name on the wire to key, retired ones included."""
        self._counts: dict[str, str] = {}
        """Name on the wire to name, where the key counts now."""
        self._expiring: dict[str, int] = {}
        self._events: dict[tuple[str, str], frozenset[str]] = {}
        """(principal, capability) to the events in which it holds; ANY_EVENT stands for all."""
        self.version = 0
        """Raised by every change, so that whoever keeps a list of keys knows when it is old."""
        for principal in principals:
            self._list(principal)

    def __contains__(self, wire: object) -> bool:
        return wire in self._counts

    def count(self) -> int:
        """How many are listed now."""
        return len(self._listed)

    def names(self) -> list[str]:
        """Names of all that are listed now, sorted."""
        return sorted(self._listed)

    def who(self, wire: str) -> str:
        """The principal behind a name on the wire; "" when that key does not count now."""
        return self._counts.get(wire, "")

    def key(self, wire: str) -> bytes | None:
        """Public key behind a name on the wire, retired or not, or None."""
        return self._keys.get(wire)

    def get(self, name: str) -> Principal | None:
        """A listed principal, or None."""
        return self._listed.get(name)

    def holder(self, public_key: bytes) -> str:
        """The principal whose key this is or was, "" for nobody."""
        return next((wire.partition("#")[0] for wire, key in self._keys.items() if key == public_key), "")

    def counting(self) -> dict[str, bytes]:
        """Name on the wire to key, of all keys that count now."""
        return {wire: self._keys[wire] for wire in self._counts}

    def wire(self, name: str) -> str:
        """The name with which a principal signs now."""
        return wire_name(name, self._generations.get(name, 0))

    def retired(self, wire: str) -> RetiredKey | None:
        """The row of a retired key."""
        return self._retired.get(wire)

    def may(self, name: str, capability: str, event: str) -> bool:
        """Whether the principal `name` holds `capability` in `event`."""
        events = self._events.get((name, capability))
        return events is not None and (event in events or ANY_EVENT in events)

    def begin(self, timestamp: int) -> None:
        """A batch begins at this effective timestamp: keys whose time is over count no more."""
        if self._expiring:
            over = [wire for wire, until in self._expiring.items() if until <= timestamp]
            for wire in over:
                del self._expiring[wire]
                del self._counts[wire]
                self.version += 1

    def add(self, principal: Principal) -> str:
        """List a new principal; a reason when that cannot be."""
        if principal.name in self._listed:
            return reasons.PRINCIPAL_EXISTS
        if reason := self._refuse_key(principal.public_key):
            return reason
        self._list(principal)
        self._touch("principal", principal.name)
        return reasons.OK

    def rotate(self, name: str, public_key: bytes, until: int) -> str:
        """Give a principal another key; the old one counts until `until` (batch time)."""
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
        """Say anew what a principal may do."""
        known = self._listed.get(name)
        if known is None:
            return reasons.PRINCIPAL_NOT_FOUND
        if self._rules_alone(name) and not any(_rules(grant.capability, {grant.event}) for grant in grants):
            return reasons.LAST_ADMIN
        self._list(msgspec.structs.replace(known, grants=grants))
        self._touch("principal", name)
        return reasons.OK

    def revoke(self, name: str) -> str:
        """Take a principal off the list, its key and its keys still in overlap at once."""
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
        """Add stored rows to what genesis lists. A name with retired keys stands as its row says, and
        is revoked when it has none."""
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
        """Whether nobody else may change principals and members."""
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
