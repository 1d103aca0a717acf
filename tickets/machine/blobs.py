"""Small tables of the state that are hashed and stored late: sessions, pages, nonces, the clock.

Their rows change many times between two checkpoints (a session with every bundle), so a change only
marks the key; encoding, hashing and storing happen once, when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from tickets.machine.tree import GROUP_BUCKETS, StateTree
from validators import canonical
from validators.consensus.effects import ApplicationChange

__all__ = ["BlobTable"]

Key = tuple[Any, ...]


class BlobTable:
    """The leaves and pending rows of one table; `read` gives the present row of a key, or None."""

    def __init__(self, name: str, tree: StateTree, read: Callable[[Key], Any]) -> None:
        self._name = name
        self._tree = tree
        self._read = read
        self._leaves: dict[Key, tuple[bytes, int]] = {}
        """Key -> its leaf, and the group it stands in."""
        self._bodies: dict[int, dict[Key, bytes]] = {}
        """Group -> what its leaves cover: b"\\0" and this give the leaf's hash."""
        self._before: dict[int, dict[Key, bytes | None]] | None = None
        """What stood where something changed since the last `mark`; None: nobody wants to know."""
        # Insertion order is the order of changes, the same on every node.
        self._unhashed: dict[Key, None] = {}
        self._unsaved: dict[Key, None] = {}
        self._made: dict[Key, Any] = {}
        """Rows that were hashed and are still to be stored, or the other way round."""

    def touch(self, key: Key) -> None:
        """The row of `key` changed, appeared or went."""
        if self._made:
            self._made.pop(key, None)
        self._unhashed[key] = None
        self._unsaved[key] = None

    def adopt(self, key: Key) -> None:
        """The row of `key` was loaded from storage: hash it, but do not store it again."""
        self._unhashed[key] = None

    def settle(self) -> None:
        """Bring the tree up to date."""
        for key in self._unhashed:
            row = self._row(key, self._unsaved)
            path = canonical.encode((self._name, key))
            found = self._leaves.pop(key, None)
            old = None
            if found is not None:
                leaf, group = found
                self._tree.remove(path, leaf)
                old = self._bodies[group].pop(key)
            elif row is None:
                continue
            if row is not None:
                body = canonical.encode((self._name, key, row))
                leaf = sha256(b"\x00" + body).digest()
                group = self._tree.insert(path, leaf) // GROUP_BUCKETS
                self._leaves[key] = leaf, group
                self._bodies.setdefault(group, {})[key] = body
            if self._before is not None:
                self._before.setdefault(group, {}).setdefault(key, old)
        self._unhashed.clear()

    def mark(self) -> dict[int, dict[Key, bytes | None]]:
        """From now on remember what changes replace; returns what they replaced since the last mark, by
        group (None: there was no such key)."""
        before, self._before = self._before or {}, {}
        return before

    def read(self, group: int, *before: dict[int, dict[Key, bytes | None]]) -> list[bytes]:
        """What the leaves of a group cover; as it was before changes that `before` names, the oldest
        first, and before those since the last mark."""
        found: dict[Key, bytes | None] = dict(self._bodies.get(group, {}))
        found.update((self._before or {}).get(group, {}))
        for changes in reversed(before):
            found.update(changes.get(group, {}))
        return [body for body in found.values() if body is not None]

    def drain(self) -> list[ApplicationChange]:
        """Rows changed since the last call, the last value per key."""
        changes = [
            ApplicationChange(table=self._name, key=key, row=self._row(key, self._unhashed))
            for key in self._unsaved
        ]
        self._unsaved.clear()
        return changes

    def _row(self, key: Key, wanted: dict[Key, None]) -> Any:
        """The present row, made once while the other reader still wants it: a thousand nonces are long."""
        if key in self._made:
            return self._made.pop(key)
        row = self._read(key)
        if key in wanted:
            self._made[key] = row
        return row
