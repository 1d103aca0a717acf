"""The state of one node: signed items of all nodes, read as values. No threads, no peers. Its own items are
kept in a folder, where one is given, before anybody hears of them.

A node writes only its own items; what several wrote under one key is put together where it is read
(`dtvn.sync.views`, R46).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from nacl import bindings

from dtvn.files.kept import FolderError
from dtvn.gateway.owed import OwedSummary
from dtvn.gateway.owed_notes import OWED, OwedNote, note_of, noted
from dtvn.gateway.state_file import OwnItems
from dtvn.gateway.state_values import StateSnapshot, StateVersion
from dtvn.protocol import canonical
from dtvn.sync import (
    AHEAD_US_MAX,
    AUTHOR_ITEMS_MAX,
    ConflictResolution,
    HybridClock,
    Item,
    ItemError,
    Kind,
    Resolver,
    Store,
    Taken,
    check_value,
    checksum_of,
    sign,
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
        folder: Path | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        """`names`: public key -> node id of all nodes that count, this one included. Raises ValueError for
        `custom` without a resolver, FolderError if the folder cannot be used. `now`: Unix microseconds."""
        self.key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.node_id = names[self.key]
        self.writes = 0
        """Of this node, since it began."""
        self._names = dict(names)
        self._cluster = cluster
        self._resolution = resolution
        self._resolver = resolver
        self._clock = HybridClock()
        self._now = now
        self.store = Store(
            cluster,
            KINDS,
            authors=self._names.__contains__,
            on_change=self._seen,
            own=self.key,
            now=self._now(),
        )
        view_of((), resolution, resolver)
        self._file: OwnItems | None = None
        if folder is not None:
            self._file = self._loaded(folder)

    def _loaded(self, folder: Path) -> OwnItems:
        file = OwnItems(folder)
        try:
            items = file.load()
            if any(item.author != self.key for item in items):
                raise FolderError(f"{folder} holds what another node than {self.node_id} wrote")
            self.store.take_all(items, self._now())
        except ItemError as error:
            file.close()
            raise FolderError(f"{folder} holds what was written in another state: {error}") from error
        except FolderError:
            file.close()
            raise
        return file

    def _seen(self, item: Item) -> None:
        if item.author == self.key and self._file is not None:
            self._file.keep(item)
        self._clock.see(item.version, self._now())

    @property
    def version(self) -> int:
        """Largest version of any item."""
        return max((item.version for item in self.store.items()), default=0)

    def expire(self) -> None:
        """Forget deletions whose time is over."""
        own = [item for item in self.store.expire(self._now()) if item.author == self.key]
        if own and self._file is not None:
            self._file.forget(own)

    def close(self) -> None:
        """Let another process have the folder; nothing can be written any more."""
        if self._file is not None:
            self._file.close()

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
        seconds = view.version / 1_000_000
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
        return counter_of(self.store.under(COUNTER, key))

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
            self.node_id, self._now() / 1_000_000, self.version, validation_state, views, items
        )
        return msgspec.structs.replace(made, checksum=made.summed())

    def apply(self, snapshot: StateSnapshot) -> int:
        """Merge a snapshot in, and say how many items were new; raise ItemError, and change nothing, if its
        checksum or a signature in it is wrong."""
        if snapshot.summed() != snapshot.checksum:
            raise ItemError("snapshot checksum mismatch")
        return self.store.take_all(snapshot.items, self._now())

    def _write(self, kind: str, key: str, value: bytes, *, deleted: bool = False) -> None:
        now = self._now()
        self._allow(kind, key, now)
        version = self._clock.tick(now)
        item = sign(
            self._cluster, self._secret, kind=kind, key=key, version=version, value=value, deleted=deleted
        )
        try:
            item = canonical.decode(Item, canonical.encode(item))  # bounds of key and value
        except canonical.CanonicalError as error:
            raise ItemError(f"{key[:64]}: {error}") from error
        self.store.proved(item)
        if self.store.put(item) is Taken.FULL:
            raise ItemError(f"{key}: this node holds as many items as it may")
        self.writes += 1

    def _allow(self, kind: str, key: str, now: int) -> None:
        """Raise ItemError where a write would count for nothing, or push out another."""
        newest = self.store.newest(self.key, kind, key)
        if newest is None and self.store.count_of(self.key) >= AUTHOR_ITEMS_MAX:
            raise ItemError(
                f"{key}: this node wrote {AUTHOR_ITEMS_MAX:,} keys already, and no more are taken; one "
                "that is deleted makes room a day later"
            )
        if newest is not None and newest.version > now + AHEAD_US_MAX:
            at = datetime.fromtimestamp(newest.version / 1_000_000, UTC).isoformat(" ", "seconds")
            raise ItemError(
                f"{key}: this node wrote it when its clock said {at}, which is later than now: until then "
                "nothing that it writes here counts"
            )
