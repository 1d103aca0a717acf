"""The state as a snapshot: frozen and read at its source, verified and collected where it is installed.

A snapshot holds the content of all leaves of the state tree, in 1,024 groups of 64 buckets. The manifest is
the hashes of all groups; the root that q members signed is computed from it (tree.root_of_groups), so each
group can be checked by itself, no matter which member sent it. An item of a group is either (state, issued)
of a ticket or (body,) of a row of another table, whose leaf is H(0x00, body). A group that is too large for
one answer is transferred in parts (parts.py).

Freezing copies only the manifest: from then on the tables keep the values that changes replace (copy on
write). These are dropped at the next freeze unless the state was pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from dtvn.machine.blobs import BlobTable
from dtvn.machine.parts import Leaf, Listed, large, list_of, part_of
from dtvn.machine.registry import Replaced, TicketRegistry
from dtvn.machine.rows import ROW_TYPES, TicketBytes
from dtvn.machine.ticket import MembersAt, read_head, searched_row, ticket_leaf
from dtvn.machine.tree import (
    GROUP_BUCKETS,
    GROUPS,
    StateTree,
    climb,
    group_hash,
    hash_in,
    is_manifest,
    locate,
    nonempty_groups,
    salted,
)
from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.transfer import parts

KEPT_MAX = 500_000
"""Most replaced rows that a pinned state may keep (about 200 MB); beyond it, the state is released."""
ORDERED_MAX = 500_000
"""Most leaves in large groups of a pinned state whose order is cached; sorting takes some microseconds per
leaf."""

Ordered = tuple[Item, tuple[Item, ...]]
"""The list of a large group, and its items in that order."""

Before = dict[int, dict[tuple[Any, ...], bytes | None]]


class _Pinned:
    """A state that is being served, and the values that later changes replaced."""

    def __init__(self, manifest: bytes, tables: Mapping[str, BlobTable]) -> None:
        self.manifest = manifest
        self.tickets: Replaced = {}
        self.rows: dict[str, Before] = {name: {} for name in tables}
        self.kept = 0
        """Number of replaced rows in `rows`; replaced tickets are counted by `tickets`."""
        self.ordered: dict[int, Ordered] = {}
        """Group -> its list and its items in order, for large groups."""
        self._leaves = 0
        """Number of leaves in `ordered`."""

    def remember(self, group: int, ordered: Ordered) -> None:
        """Cache the order of a group; evicts older groups beyond ORDERED_MAX."""
        self._leaves += len(ordered[1])
        while self.ordered and self._leaves > ORDERED_MAX:
            self._leaves -= len(self.ordered.pop(next(iter(self.ordered)))[1])
        self.ordered[group] = ordered

    def take_over(self, before: _Pinned) -> None:
        """Copy the cached order of large groups that are the same in both states."""
        for group, ordered in before.ordered.items():
            if hash_in(before.manifest, group) == hash_in(self.manifest, group):
                self.remember(group, ordered)


class Freezer:
    """Keeps one state readable while execution goes on: the one of the newest freeze, or a pinned one."""

    def __init__(
        self,
        tree: StateTree,
        registry: TicketRegistry,
        tables: Mapping[str, BlobTable],
        planted: Mapping[int, list[bytes]],
    ) -> None:
        self._tree = tree
        self._registry = registry
        self._tables = tables
        self._planted = planted
        self._frozen: tuple[int, bytes] | None = None
        """(sequence, manifest) of the newest freeze."""
        self._pinned: _Pinned | None = None

    def freeze(self, sequence: int) -> None:
        """Freeze the present state, so that it may be pinned until the next freeze. The tree's root must have
        been computed."""
        tickets = self._registry.mark()
        rows = {name: table.mark() for name, table in self._tables.items()}
        self._frozen = sequence, self._tree.groups()
        pinned = self._pinned
        if pinned is None:
            return
        for ticket, replaced in tickets.items():
            pinned.tickets.setdefault(ticket, replaced)
        for name, groups in rows.items():
            for group, changed in groups.items():
                kept = pinned.rows[name].setdefault(group, {})
                pinned.kept -= len(kept)
                for key, body in changed.items():
                    kept.setdefault(key, body)
                pinned.kept += len(kept)
        if len(pinned.tickets) + pinned.kept > KEPT_MAX:
            self._pinned = None

    def pin(self, sequence: int) -> bytes | None:
        """Keep the state frozen at `sequence` readable until `release`. Returns its manifest, or None if the
        newest freeze was at another sequence."""
        if self._frozen is None or self._frozen[0] != sequence:
            return None
        before, self._pinned = self._pinned, _Pinned(self._frozen[1], self._tables)
        if before is not None:
            self._pinned.take_over(before)
        return self._pinned.manifest

    def release(self) -> None:
        """Stop keeping the pinned state readable."""
        self._pinned = None

    def prove(self, event: str, ticket: str) -> Proof | None:
        """Proof of a ticket in the newest frozen state; None without a frozen state or if the tree has been
        rehashed since."""
        if self._frozen is None or self._frozen[1] != self._tree.groups():
            return None
        place, _rank = self._tree.locate(_ticket_key(event, ticket))
        group = place // GROUP_BUCKETS
        items: list[Item] = list(self._registry.read(group, place=place))
        rows = [body for table in self._tables.values() for body in table.read(group)]
        for body in (*rows, *self._planted.get(group, ())):
            name, key, _ = _bodies.decode(body)
            if self._tree.locate(canonical.encode((name, key)))[0] == place:
                items.append((body,))
        return Proof(self._frozen[0], tuple(items), self._tree.siblings(place))

    def read(self, number: int) -> tuple[Item, ...] | None:
        """A group of the pinned state, the list of a large group, or a part of one; None if no state is
        pinned."""
        pinned = self._pinned
        if pinned is None or number < 0:
            return None
        group, first = parts.group_of(number), parts.first_of(number)
        ordered = pinned.ordered.get(group)
        if ordered is None:
            items = self._items(pinned, group)
            if not large(items):
                return items
            ordered = self._order(items, group)
            pinned.remember(group, ordered)
        return (ordered[0],) if first is None else part_of(ordered[1], first)

    def _items(self, pinned: _Pinned, group: int) -> tuple[Item, ...]:
        items: list[Item] = list(self._registry.read(group, pinned.tickets))
        for name, table in self._tables.items():
            items += [(body,) for body in table.read(group, pinned.rows[name])]
        items += [(body,) for body in self._planted.get(group, ())]
        return tuple(items)

    def _order(self, items: tuple[Item, ...], group: int) -> Ordered:
        """The list of a group, and its items in that order: the same at every member."""
        salt = self._tree.salt
        found = sorted([(leaf_of(salt, item), item) for item in items])
        return list_of([leaf for leaf, _item in found], group), tuple([item for _leaf, item in found])


class Proof(msgspec.Struct, frozen=True):
    """Proof of one key in a frozen state. It holds the key's whole bucket, so it can prove absence as well as
    presence."""

    sequence: int
    items: tuple[Item, ...]
    siblings: tuple[bytes, ...]
    """tree.StateTree.siblings of the bucket."""


def prove_ticket(
    cluster_id: bytes, root: bytes, proof: Proof, event: str, ticket: str
) -> tuple[bytes, bytes] | None:
    """(state, issued) of a ticket in the state with this root, None if the state does not hold the ticket.
    Raises ValueError if the proof is invalid."""
    salt = salted(cluster_id)
    place, _rank = locate(salt, _ticket_key(event, ticket))
    try:
        leaves = [leaf_of(salt, item) for item in proof.items]
    except (msgspec.MsgspecError, TypeError, RecursionError) as error:
        raise ValueError(f"an item cannot be read: {error}") from error
    if climb(place, leaves, proof.siblings) != root:
        raise ValueError("the bucket is not one of this state")
    for item in proof.items:
        if len(item) == 2:
            head = read_head(item[0])
            if (head.event, head.ticket) == (event, ticket):
                return item[0], item[1]
    return None


class Staging:
    """A snapshot that is being received: collects verified groups until all are there. `names_after`: if the
    rows are searched, returns the ids of members by sequence, given the epochs in the snapshot; else None."""

    def __init__(
        self,
        cluster_id: bytes,
        manifest: bytes,
        names_after: Callable[[Iterable[Membership]], MembersAt] | None = None,
    ) -> None:
        self._names_after = names_after
        self._salt = salted(cluster_id)
        self._manifest = manifest
        self._groups: dict[int, tuple[Item, ...]] = {}
        self._listed: dict[int, Listed] = {}
        """Groups that are, or were, received in parts."""
        self._missing: dict[int, None] = dict.fromkeys(nonempty_groups(manifest))

    @classmethod
    def begin(
        cls,
        cluster_id: bytes,
        manifest: bytes,
        root: bytes,
        names_after: Callable[[Iterable[Membership]], MembersAt] | None = None,
    ) -> Staging | None:
        """A staging without any group yet; None if the manifest does not hash to `root`."""
        return cls(cluster_id, manifest, names_after) if is_manifest(manifest, root) else None

    @property
    def missing(self) -> Mapping[int, None]:
        """Numbers of the missing groups, ascending, then of the missing parts of groups with a known list."""
        return self._missing

    def adopt(self, other: Staging) -> None:
        """Copy the groups that another staging has received and that are the same in this snapshot."""
        for group, items in other._groups.items():
            if hash_in(self._manifest, group) == hash_in(other._manifest, group):
                self._groups[group] = items
                self._missing.pop(group, None)
        for group, listed in other._listed.items():
            if group in self._missing and hash_in(self._manifest, group) == hash_in(other._manifest, group):
                self._list(group, listed)

    def add(self, number: int, items: tuple[Item, ...]) -> bool:
        """Add a group, the list of a group or a part of one. Returns False if it does not match the manifest,
        which proves its sender faulty."""
        group, first = parts.group_of(number), parts.first_of(number)
        listed = self._listed.get(group)
        late = group in self._groups or first is None or listed is None
        if number not in self._missing and late:  # a late answer to an earlier request
            return 0 <= number < GROUPS * parts.LEAVES_MAX and (first is None or bool(items))
        try:
            if first is not None and listed is not None:
                return self._add_part(group, first, listed, items) or self._add_whole(group, items)
            return self._add_list(group, items[0]) if parts.is_list(items) else self._add_whole(group, items)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return False  # RecursionError: too deeply nested to decode

    def _add_whole(self, group: int, items: tuple[Item, ...]) -> bool:
        found = group_hash(group, [self._leaf(item) for item in items])
        if found is None or found != hash_in(self._manifest, group):
            return False
        self._have(group, items)
        return True

    def _add_list(self, group: int, item: Item) -> bool:
        listed = Listed.begin(group, item, hash_in(self._manifest, group))
        if listed is not None:
            self._list(group, listed)
        return listed is not None

    def _add_part(self, group: int, first: int, listed: Listed, items: tuple[Item, ...]) -> bool:
        before = listed.missing_at(first)
        if not listed.add(first, items, self._leaf):
            return False
        if (after := listed.missing_at(first)) != before and before is not None:
            del self._missing[before]
            self._missing.update({} if after is None else {after: None})
        if (whole := listed.whole()) is not None:
            self._have(group, whole)
        return True

    def _list(self, group: int, listed: Listed) -> None:
        """Record the list of a group and request its parts instead of the group."""
        self._listed[group] = listed
        del self._missing[group]
        self._missing.update(dict.fromkeys(listed.missing()))

    def _have(self, group: int, items: tuple[Item, ...]) -> None:
        self._groups[group] = items
        self._missing.pop(group, None)
        listed = self._listed.get(group)
        if listed is not None:
            for number in listed.missing():
                del self._missing[number]

    def _leaf(self, item: Item) -> Leaf:
        return leaf_of(self._salt, item)

    def state(self) -> Iterator[ApplicationChange]:
        """All rows, as `Application.load` takes them with the least work."""
        number = 0
        for item in self._items():
            if len(item) != 2:
                yield from _rows_in(item[0])
                continue
            state, issued = item
            number += 1
            yield ApplicationChange("ticket", (number,), TicketBytes(number, read_head(state), state, issued))

    def rows(self) -> Iterator[ApplicationChange]:
        """All rows, as the ledger stores them."""
        if self._names_after is None:
            return self.state()
        return self._searched(self._names_after(self._epochs()))

    def _searched(self, names: MembersAt) -> Iterator[ApplicationChange]:
        """Searched tickets come by event and id, as the database's indices have them (those with longer ids
        later): in the order of the groups, each would be written to another page."""
        tickets: list[Item] = []
        for item in self._items():
            if len(item) == 2:
                tickets.append(item)
            else:
                yield from _rows_in(item[0])
        tickets.sort()  # the bytes of a TicketState begin with its event and id
        for state, issued in tickets:
            row = searched_row(state, issued, names)
            yield ApplicationChange("ticket", (row.event, row.ticket), row)

    def _items(self) -> Iterator[Item]:
        for group in sorted(self._groups):
            yield from self._groups[group]

    def _epochs(self) -> Iterator[Membership]:
        """The epochs in the snapshot, in any order."""
        for item in self._items():
            if len(item) == 1:
                yield from (change.row for change in _rows_in(item[0]) if change.table == "membership")


def event_rows(item: Item) -> Iterator[ApplicationChange]:
    """The row in an item that is not a ticket, if it is that of an event."""
    return (change for change in _rows_in(item[0]) if change.table == "event")


def _rows_in(body: bytes) -> Iterator[ApplicationChange]:
    table, key, _ = _bodies.decode(body)
    if table in ROW_TYPES:  # other tables come from genesis
        yield ApplicationChange(table, key, msgspec.msgpack.decode(body, type=_row_types[table])[2])


def leaf_of(salt: Any, item: Item) -> Leaf:
    """(bucket, rank, leaf hash) of an item. Raises if the item does not decode; the group's hash proves the
    rest."""
    if len(item) == 2:
        state, issued = item
        head = read_head(state)
        return *locate(salt, _ticket_key(head.event, head.ticket)), ticket_leaf(state, issued)
    (body,) = item
    table, found, _ = _bodies.decode(body)
    path = canonical.encode((table, found))
    return *locate(salt, path), sha256(b"\x00" + body).digest()


def _ticket_key(event: str, ticket: str) -> bytes:
    return canonical.encode(("ticket", (event, ticket)))


_bodies = msgspec.msgpack.Decoder(tuple[str, tuple[Any, ...], msgspec.Raw])
_row_types: dict[str, Any] = {
    name: tuple[str, tuple[Any, ...], kind]  # type: ignore[valid-type]
    for name, kind in ROW_TYPES.items()
    if name != "ticket"
}
