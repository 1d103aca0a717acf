"""The small application of these tests with a state that can be fetched in three hundred groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Self

from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import Item, Repeated
from dtvn.protocol.consensus.effects import ApplicationChange
from tests.consensus.doubles import KeyValue

GROUPS = 300
HASH = 32
Group = tuple[Item, ...]


def group_hash(items: Group) -> bytes:
    return sha256(canonical.encode(items)).digest()


def group_of(table: str, key: tuple[Any, ...]) -> int:
    return int.from_bytes(sha256(canonical.encode((table, key))).digest()[:4]) % GROUPS


class Grouped(KeyValue):
    """KeyValue whose root is that of a manifest."""

    def __init__(self) -> None:
        super().__init__()
        self.values = {f"G-{number}": b"of genesis" for number in range(2_400)}
        self._frozen: tuple[int, list[Group]] = (0, [])
        self._pinned: list[Group] | None = None

    def groups(self) -> list[Group]:
        rows: list[tuple[str, tuple[Any, ...], Any]] = [
            *(("value", (ticket,), value) for ticket, value in self.values.items()),
            *(("bundle", key, row) for key, row in self.executed.items()),
        ]
        found: list[list[Item]] = [[] for _ in range(GROUPS)]
        for table, key, row in rows:
            found[group_of(table, key)].append((canonical.encode((table, key, row)),))
        return [tuple(sorted(items)) for items in found]

    def root(self) -> bytes:
        return sha256(manifest_of(self.groups())).digest()

    def freeze(self, sequence: int) -> bytes:
        self._frozen = sequence, self.groups()
        return self.root()

    def pin(self, sequence: int) -> bytes | None:
        if self._frozen[0] != sequence:
            return None
        self._pinned = self._frozen[1]
        return manifest_of(self._pinned)

    def read_pinned(self, group: int) -> Group | None:  # type: ignore[override]
        return None if self._pinned is None else self._pinned[group]

    def release(self) -> None:
        self._pinned = None

    def staging(self, manifest: bytes, root: bytes) -> Gathering | None:  # type: ignore[override]
        return Gathering(manifest) if sha256(manifest).digest() == root else None


def manifest_of(groups: list[Group]) -> bytes:
    return b"".join(group_hash(items) for items in groups)


class Gathering:
    """A state on its way in."""

    def __init__(self, manifest: bytes) -> None:
        self._hashes = [manifest[at : at + HASH] for at in range(0, len(manifest), HASH)]
        self._groups: dict[int, Group] = {}
        empty = group_hash(())
        self._missing = {number: None for number, found in enumerate(self._hashes) if found != empty}

    @property
    def missing(self) -> Mapping[int, None]:
        return self._missing

    def adopt(self, other: Self) -> None:
        for number, items in other._groups.items():
            if self._hashes[number] == other._hashes[number]:
                self._groups[number] = items
                self._missing.pop(number, None)

    def add(self, group: int, items: Group) -> bool:
        if group not in self._missing:
            return group in range(GROUPS)
        if group_hash(items) != self._hashes[group]:
            return False
        self._groups[group] = items
        del self._missing[group]
        return True

    def state(self) -> Iterator[ApplicationChange]:
        return self.rows()

    def rows(self) -> Iterator[ApplicationChange]:
        for _number, items in sorted(self._groups.items()):
            for (body,) in items:
                table = canonical.decode(tuple[str, Any, Any], body)[0]
                if table == "value":
                    _, key, value = canonical.decode(tuple[str, tuple[str], bytes], body)
                    yield ApplicationChange("value", key, value)
                else:
                    _, place, row = canonical.decode(tuple[str, tuple[int, int, int], Repeated], body)
                    yield ApplicationChange("bundle", place, row)
