"""Small tables of the state that are hashed and stored late: sessions, pages, nonces, the clock.

Their rows change many times between two checkpoints (a session with every bundle), so a change only
marks the key; encoding, hashing and storing happen once, in `settle` and `drain`.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from dtvn.machine.tree import GROUP_BUCKETS, StateTree
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange

Key = tuple[Any, ...]


class BlobTable:
    """The leaves and pending rows of one table. The callback `read` returns the present row of a key, or
    None."""

    def __init__(self, name: str, tree: StateTree, read: Callable[[Key], Any]) -> None:
        self._name = name
        self._tree = tree
        self._read = read
        self._leaves: dict[Key, tuple[bytes, int]] = {}
        """Key -> (its leaf, the group of its bucket)."""
        self._bodies: dict[int, dict[Key, bytes]] = {}
        """Group -> key -> body of its leaf; the leaf is the hash of b"\\0" and the body."""
        self._before: dict[int, dict[Key, bytes | None]] | None = None
        """Group -> key -> body that was replaced since the last `mark`, None for a key that did not exist.
        Nothing is collected (None) before the first `mark`."""
        # Insertion order is the order of changes, the same on every node.
        self._unhashed: dict[Key, None] = {}
        self._unsaved: dict[Key, None] = {}
        self._made: dict[Key, Any] = {}
        """Rows that were built for hashing and are still to be stored, or the reverse."""

    def touch(self, key: Key) -> None:
        """Mark the row of `key` as changed, added or removed."""
        if self._made:
            self._made.pop(key, None)
        self._unhashed[key] = None
        self._unsaved[key] = None

    def adopt(self, key: Key) -> None:
        """Mark the row of `key` as loaded from storage: it is hashed, but not stored again."""
        self._unhashed[key] = None

    def settle(self) -> None:
        """Write the leaves of all changed rows to the state tree."""
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
                body = canonical.encode((self._name, key, canonical.trimmed(row)))
                leaf = sha256(b"\x00" + body).digest()
                group = self._tree.insert(path, leaf) // GROUP_BUCKETS
                self._leaves[key] = leaf, group
                self._bodies.setdefault(group, {})[key] = body
            if self._before is not None:
                self._before.setdefault(group, {}).setdefault(key, old)
        self._unhashed.clear()

    def mark(self) -> dict[int, dict[Key, bytes | None]]:
        """Start to remember the bodies that changes replace. Returns those replaced since the last mark, by
        group and key (None: the key did not exist)."""
        before, self._before = self._before or {}, {}
        return before

    def read(self, group: int, *before: dict[int, dict[Key, bytes | None]]) -> list[bytes]:
        """The bodies of a group's leaves as they were before the changes since the last mark, and before
        those in `before` (results of earlier marks, the oldest first)."""
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
        """The present row. It is built once and kept while the other reader (`settle` or `drain`) still needs
        it: a group of a thousand nonces is expensive to build."""
        if key in self._made:
            return self._made.pop(key)
        row = self._read(key)
        if key in wanted:
            self._made[key] = row
        return row
