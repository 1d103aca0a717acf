"""Which epoch a node's ledger lives in, and under which key the node stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from validators import canonical
from validators import genesis as g
from validators.consensus.membership import Membership, founding
from validators.consensus.succession import EPOCH
from validators.ledger import Ledger
from validators.link import public_key_of, read_seed, sync_folder
from validators.node.layout import NodeFolder
from validators.node.options import StartError

__all__ = ["as_genesis", "membership_of", "own_place"]


def membership_of(ledger: Ledger, genesis: g.Genesis) -> Membership:
    """The epoch that the ledger's next entry belongs to, as its last hand-over said."""
    kept = ledger.state_value(EPOCH)
    return founding(genesis) if kept is None else canonical.decode(Membership, kept)


def as_genesis(genesis: g.Genesis, membership: Membership) -> g.Genesis:
    """Genesis with the members of an epoch: for links, addresses and what people are shown. Its hash is
    no cluster id."""
    return msgspec.structs.replace(genesis, members=membership.members, parameters=membership.parameters)


def own_place(folder: NodeFolder, membership: Membership) -> tuple[int | None, bytes]:
    """(index, seed) of this node in an epoch; None: it is no member, and follows.

    A node whose key is being rotated holds the next one too (`next.key`). In the epoch that names it the old
    one is erased: nobody can sign for a past epoch with it any more (R35). Raise StartError when the node
    is a member under a key that is not here.
    """
    seed = read_seed(folder.key)
    upcoming = read_seed(folder.next_key) if folder.next_key.exists() else None
    places = {member.public_key: index for index, member in enumerate(membership.members)}
    if upcoming is not None and public_key_of(upcoming) in places:
        _erase(folder.key)
        folder.next_key.replace(folder.key)
        sync_folder(folder.identity)
        seed = upcoming
    place = places.get(public_key_of(seed))
    if place is None and membership.find(folder.id) is not None:
        raise StartError(f"The key in {folder.key} is that of no member, though {folder.id} is one.")
    return place, seed


def _erase(path: Path) -> None:
    """Overwrite a file in place before its name goes; what the disk itself keeps is beyond a program."""
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
