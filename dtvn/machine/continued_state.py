"""The state with which a continued cluster begins (R11): how the old one's groups are proved, what is kept.

The state has the format of a state transfer (snapshot, parts): each group is checked against a manifest of
group hashes, and the root over the manifest was signed by q members of the old cluster. Nothing is collected
here: each group is checked and passed on, so a file of any size takes the memory of one group.

Tickets are kept whole: state, terms with codes and block, data, dispute, and the (principal, actor, nonce,
sequence) of the last transition, so that an admitted ticket is refused again and a late retry of its
admission is recognised (R13). Only the vector clock is set to zeros: it counts by members of the old cluster.
Events are kept too, with the salts of their codes, so that printed codes still open.
Left behind are sessions and their bundles (signed under the old cluster id, they are valid nowhere else), the
nonces of the last hour (the ticket's own nonce is enough to prevent a second admission), runs of agent events
(their certificates name the old cluster), locks, and principals, retired keys, members, epochs and
parameters, which the new genesis decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from dtvn.machine.parts import read_list
from dtvn.machine.rows import TicketBytes
from dtvn.machine.snapshot import event_rows, leaf_of
from dtvn.machine.ticket import TicketState, read_head, searched_row
from dtvn.machine.tree import SIZE, group_hash, hash_in, is_manifest, nonempty_groups, salted
from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.transfer import parts

Piece = tuple[int, tuple[Item, ...]]
"""One answer of a state transfer: (number of a group or of a part of one, its items)."""


class StateError(ValueError):
    """The data read is not the expected state; the text is a sentence without its full stop."""


def pieces_of(manifest: bytes, read: Callable[[int], tuple[Item, ...] | None]) -> Iterator[Piece]:
    """All pieces of a pinned state, in the order that `proved_items` expects. `read`:
    Application.read_pinned."""
    for group in nonempty_groups(manifest):
        items = _pinned(read, group)
        yield group, items
        if not parts.is_list(items):
            continue
        leaves = sum(map(len, items[0])) // SIZE
        first = 0
        while first < leaves:
            number = parts.part(group, first)
            part = _pinned(read, number)
            yield number, part
            first += len(part)


def proved_items(
    cluster: bytes, manifest: bytes, root: bytes, pieces: Iterable[Piece]
) -> Iterator[tuple[Item, ...]]:
    """Yields the items of the state with this root, some at a time, each proved before it is yielded. Raises
    StateError at the first item that does not belong to the state, and at the end if an item is missing."""
    if not is_manifest(manifest, root):
        raise StateError("its groups are not those of the state that was signed")
    salt = salted(cluster)
    given = iter(pieces)
    for group in nonempty_groups(manifest):
        number, items = _next(given, group)
        if number != group:
            raise StateError(f"group {number} stands where group {group} belongs")
        if not parts.is_list(items):
            if _group_hash(salt, group, items) != hash_in(manifest, group):
                raise StateError(f"group {group} is not that of the state that was signed")
            yield items
            continue
        leaves = read_list(items[0], hash_in(manifest, group))
        if leaves is None:
            raise StateError(f"the list of group {group} is not that of the state that was signed")
        at = 0
        while at < len(leaves):
            number, items = _next(given, group)
            if number != parts.part(group, at // SIZE) or not items:
                raise StateError(f"group {group} is not whole")
            found = b"".join(_leaf(salt, item) for item in items)
            if found != leaves[at : at + len(found)]:
                raise StateError(f"a part of group {group} is not that of the state that was signed")
            at += len(found)
            yield items
    if next(given, None) is not None:
        raise StateError("something follows the state")


def initial_rows(
    items: Iterable[Sequence[Item]], members: Sequence[str], *, searched: bool
) -> Iterator[ApplicationChange]:
    """The rows with which the new cluster's state begins. `items`: proved items; `members`: ids of the new
    members in order; `searched`: see TicketApplication."""
    clock = (0,) * len(members)
    number = 0
    for some in items:
        for item in some:
            if len(item) != 2:
                yield from event_rows(item)
                continue
            state = msgspec.structs.replace(canonical.decode(TicketState, item[0]), clock=clock)
            number += 1
            yield _row(number, state, item[1], members, searched=searched)


def _row(
    number: int, state: TicketState, issued: bytes, members: Sequence[str], *, searched: bool
) -> ApplicationChange:
    encoded = canonical.encode(state)
    if searched:
        row = searched_row(encoded, issued, lambda _at: members)
        return ApplicationChange("ticket", (state.event, state.ticket), row)
    return ApplicationChange("ticket", (number,), TicketBytes(number, read_head(encoded), encoded, issued))


def _pinned(read: Callable[[int], tuple[Item, ...] | None], number: int) -> tuple[Item, ...]:
    items = read(number)
    if not items:
        raise StateError("the state is no longer kept")
    return items


def _next(pieces: Iterator[Piece], group: int) -> Piece:
    found = next(pieces, None)
    if found is None:
        raise StateError(f"it ends before group {group} is whole")
    return found


def _group_hash(salt: object, group: int, items: tuple[Item, ...]) -> bytes | None:
    try:
        return group_hash(group, [leaf_of(salt, item) for item in items])
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None  # the item does not decode


def _leaf(salt: object, item: Item) -> bytes:
    try:
        return leaf_of(salt, item)[2]
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise StateError(f"a leaf cannot be read: {error}") from error
