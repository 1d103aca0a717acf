"""The state of one node: signed items of all nodes, read as values. No threads, no peers.

A node writes only its own items; what several wrote under one key is put together where it is read
(`dtvn.sync.views`, R46).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from nacl import bindings

from dtvn.gateway.owed import OwedSummary
from dtvn.gateway.owed_notes import OWED, OwedNote, note_of, noted
from dtvn.gateway.state_values import StateSnapshot, StateVersion
from dtvn.protocol import canonical
from dtvn.sync import (
    ConflictResolution,
    HybridClock,
    Item,
    ItemError,
    Kind,
    Resolver,
    Store,
    SyncError,
    Taken,
    check_value,
    checksum_of,
    sign,
    take_all,
    value_bytes,
    view_of,
)
from dtvn.sync.crdt import (
    COUNTER,
    SET,
    CounterPart,
    SetPart,
    added_to,
    counter_of,
    counter_part,
    removed_from,
    set_of,
    set_part,
    without_removed,
)

__all__ = ["NodeState", "now_us"]

STATE = "state"
KINDS = {
    STATE: Kind(check_value, shared=True),
    COUNTER: Kind(counter_part, shared=True),
    SET: Kind(set_part, shared=True),
    OWED: Kind(note_of),
}


def now_us() -> int:
    """Unix microseconds of this machine's clock."""
    return time.time_ns() // 1_000


class NodeState:
    """The items. Not for several threads at once."""

    def __init__(
        self,
        cluster: bytes,
        seed: bytes,
        names: Mapping[bytes, str],
        resolution: ConflictResolution,
        resolver: Resolver | None = None,
    ) -> None:
        """`names`: public key -> node id of all nodes that count, this one included. Raises ValueError for
        `custom` without a resolver."""
        self.key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.node_id = names[self.key]
        self.changes = 0
        """Writes of this node that it has not yet given in a snapshot."""
        self._names = dict(names)
        self._cluster = cluster
        self._resolution = resolution
        self._resolver = resolver
        self._clock = HybridClock()
        self.store = Store(
            cluster,
            KINDS,
            authors=self._names.__contains__,
            on_change=self._seen,
            own=self.key,
            now=now_us(),
        )
        view_of((), resolution, resolver)

    def _seen(self, item: Item) -> None:
        self._clock.see(item.timestamp)

    # --- values ----------------------------------------------------------------------------------

    def put(self, key: str, value: Any) -> StateVersion:
        """Write a value; raise ItemError for one that JSON cannot say, or that is too large."""
        self._write(STATE, key, value_bytes(value))
        found = self.get(key)
        if found is None:  # pragma: no cover - it was just written, later than everything seen
            raise ItemError(f"{key}: not written")
        return found

    def delete(self, key: str) -> None:
        """Leave a tombstone for a value of any author."""
        self._write(STATE, key, b"", deleted=True)

    def get(self, key: str) -> StateVersion | None:
        """The value of a key over what all nodes wrote."""
        items = self.store.under(STATE, key)
        view = view_of(items, self._resolution, self._resolver)
        if view is None:
            return None
        vector = {self._names[each.author]: each.version for each in items if each.author in self._names}
        writer = self._names.get(view.author, view.author.hex())
        seconds = view.timestamp / 1_000_000
        return StateVersion(key, view.value, view.version, seconds, writer, checksum_of(view.value), vector)

    def conflicts(self) -> int:
        """Keys whose value several nodes wrote differently."""
        differing = 0
        for key in self.store.keys(STATE):
            values = {each.value for each in self.store.under(STATE, key) if not each.deleted}
            differing += len(values) > 1
        return differing

    # --- replicated types ------------------------------------------------------------------------

    def increment(self, key: str, by: int) -> int:
        """Add to a counter (below 0: take away); returns its value here."""
        held = self.store.get(self.key, COUNTER, key)
        part = counter_part(held) if held else CounterPart(0, 0)
        part = CounterPart(part.plus + max(by, 0), part.minus + max(-by, 0))
        self._write(COUNTER, key, canonical.encode(part))
        return self.counter(key)

    def counter(self, key: str) -> int:
        """What all nodes added to a counter."""
        return counter_of(self.store.under(COUNTER, key)).value

    def add(self, key: str, element: str) -> None:
        """Add to a set; raise ItemError if this node has added too many."""
        held = self.store.get(self.key, SET, key)
        part = set_part(held) if held else SetPart(0)
        part = without_removed(part, self.key, set_of(self.store.under(SET, key)))
        self._write(SET, key, canonical.encode(added_to(part, element)))

    def remove(self, key: str, element: str) -> None:
        """Remove from a set what was added and seen here; what another node adds meanwhile stays."""
        held = self.store.get(self.key, SET, key)
        part = set_part(held) if held else SetPart(0)
        whole = set_of(self.store.under(SET, key))
        self._write(SET, key, canonical.encode(removed_from(part, self.key, whole, element)))

    def members(self, key: str) -> frozenset[str]:
        """The elements of a set."""
        return set_of(self.store.under(SET, key)).value

    # --- owed judgements -------------------------------------------------------------------------

    def tell_owed(self, waiting: Iterable[OwedSummary]) -> None:
        """Have the items of this node say what is owed now."""
        due = {str(each.id): noted(each) for each in waiting}
        items = [each for each in self.store.items(OWED) if each.author == self.key and not each.deleted]
        said = {each.key: each.value for each in items}
        for key in said.keys() - due.keys():
            self._write(OWED, key, b"", deleted=True)
        for key, value in due.items():
            if said.get(key) != value:
                self._write(OWED, key, value)

    def owed(self) -> dict[str, list[OwedNote]]:
        """What all nodes say that they are owed, the oldest first."""
        found: dict[str, list[OwedNote]] = {}
        for item in self.store.items(OWED):
            if not item.deleted:
                found.setdefault(self._names[item.author], []).append(note_of(item))
        return {name: sorted(found[name], key=lambda note: note.made) for name in sorted(found)}

    # --- snapshots -------------------------------------------------------------------------------

    def snapshot(self, validation_state: dict[str, Any]) -> StateSnapshot:
        """A copy of everything."""
        views = {key: view for key in self.store.keys(STATE) if (view := self.get(key)) is not None}
        items = tuple(sorted(self.store.items(), key=lambda item: (item.author, item.kind, item.key)))
        made = StateSnapshot(
            self.node_id, now_us() / 1_000_000, self.store.highest, validation_state, views, items
        )
        return msgspec.structs.replace(made, checksum=made.summed())

    def apply(self, snapshot: StateSnapshot) -> int:
        """Merge a snapshot in, and say how many items were new; raise SyncError, and change nothing, if its
        checksum or a signature in it is wrong."""
        if snapshot.summed() != snapshot.checksum:
            raise SyncError("snapshot checksum mismatch")
        return take_all(self.store, snapshot.items, now_us())

    def _write(self, kind: str, key: str, value: bytes, *, deleted: bool = False) -> None:
        item = sign(
            self._cluster,
            self._secret,
            kind=kind,
            key=key,
            version=self.store.highest + 1,
            timestamp=self._clock.tick(now_us()),
            value=value,
            deleted=deleted,
        )
        try:
            item = canonical.decode(Item, canonical.encode(item))  # bounds of key and value
        except canonical.CanonicalError as error:
            raise ItemError(f"{key[:64]}: {error}") from error
        self.store.proved(item)
        if self.store.put_own(item) is Taken.FULL:
            raise ItemError(f"{key}: this node holds as many items as it may")
        self.changes += 1
