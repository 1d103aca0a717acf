"""Small tables of the state that are hashed and stored late: sessions, pages, nonces, the clock.

Their rows change many times between two checkpoints (a session with every bundle), so a change only
marks the key; encoding, hashing and storing happen once, when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from tickets.machine.tree import StateTree
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
        self._leaves: dict[Key, bytes] = {}
        # Insertion order is the order of changes, the same on every node.
        self._unhashed: dict[Key, None] = {}
        self._unsaved: dict[Key, None] = {}

    def touch(self, key: Key) -> None:
        """The row of `key` changed, appeared or went."""
        self._unhashed[key] = None
        self._unsaved[key] = None

    def adopt(self, key: Key) -> None:
        """The row of `key` was loaded from storage: hash it, but do not store it again."""
        self._unhashed[key] = None

    def settle(self) -> None:
        """Bring the tree up to date."""
        for key in self._unhashed:
            row = self._read(key)
            old = self._leaves.pop(key, None)
            path = canonical.encode((self._name, key))
            if row is None:
                if old is not None:
                    self._tree.remove(path, old)
                continue
            new = sha256(b"\x00" + canonical.encode((self._name, key, row))).digest()
            self._leaves[key] = new
            if old is None:
                self._tree.insert(path, new)
            else:
                self._tree.remove(path, old)
                self._tree.insert(path, new)
        self._unhashed.clear()

    def drain(self) -> list[ApplicationChange]:
        """Rows changed since the last call, the last value per key."""
        changes = [ApplicationChange(table=self._name, key=key, row=self._read(key)) for key in self._unsaved]
        self._unsaved.clear()
        return changes
