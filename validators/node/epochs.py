"""Which epoch a node's ledger lives in, and under which key the node stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from validators import canonical
from validators import genesis as g
from validators.consensus.config import TRANSFER_LAG, TRANSFER_PATIENCE
from validators.consensus.membership import Membership, founding
from validators.consensus.succession import EPOCH
from validators.crossing import Crossing
from validators.ledger import Ledger
from validators.link import public_key_of, read_seed, sync_folder
from validators.node.keys import VotedStamp
from validators.node.layout import NodeFolder

__all__ = ["as_genesis", "make_crossing", "membership_of", "other_sources", "own_place"]


def membership_of(ledger: Ledger, genesis: g.Genesis) -> Membership:
    """The epoch that the ledger's next entry belongs to, as its last hand-over said."""
    kept = ledger.state_value(EPOCH)
    return founding(genesis) if kept is None else canonical.decode(Membership, kept)


def as_genesis(genesis: g.Genesis, membership: Membership) -> g.Genesis:
    """Genesis with the members of an epoch: for links, addresses and what people are shown. Its hash is
    no cluster id."""
    return msgspec.structs.replace(genesis, members=membership.members, parameters=membership.parameters)


def other_sources(path: Path, membership: Membership) -> tuple[g.Member, ...]:
    """Members of a later epoch, as a file says (NodeFolder.sources), that are none of `membership` under the
    same key: of it nobody may be left. Raise CanonicalError when the file is none of ours."""
    try:
        later = canonical.decode(Membership, path.read_bytes())
    except FileNotFoundError:
        return ()
    if later.epoch <= membership.epoch:
        return ()
    known = {member.public_key for member in membership.members}
    others = [member for member in later.members if member.public_key not in known]
    return tuple(msgspec.structs.replace(member, id=f"{member.id}@{later.epoch}") for member in others)


def own_place(folder: NodeFolder, membership: Membership) -> tuple[int | None, bytes, bool]:
    """(index, seed, whether the key is new) of this node in an epoch. None: it is no member, and follows; so
    does one that is a member under another key: its own may be that of a later epoch.

    A node whose key is being rotated holds the next one too (`next.key`). In the epoch that names it the old
    one is erased: nobody can sign for a past epoch with it any more (R35). The new one has never voted,
    whatever the old one did.
    """
    seed = read_seed(folder.key)
    upcoming = read_seed(folder.next_key) if folder.next_key.exists() else None
    fresh = False
    places = {member.public_key: index for index, member in enumerate(membership.members)}
    if upcoming is not None and public_key_of(upcoming) in places:
        _replace(folder.key, folder.next_key)
        VotedStamp(folder.identity).clear()
        seed, fresh = upcoming, True
    return places.get(public_key_of(seed)), seed, fresh


def make_crossing(folder: NodeFolder, genesis: g.Genesis, membership: Membership) -> Crossing:
    """What takes this node over epochs that it slept through, under any key that it has."""
    keys = [public_key_of(read_seed(path)) for path in (folder.key, folder.next_key) if path.exists()]
    return Crossing(
        genesis,
        membership,
        name=folder.id,
        keys=keys,
        far=TRANSFER_LAG,
        patience=TRANSFER_PATIENCE,
    )


def _replace(key: Path, upcoming: Path) -> None:
    """The next key takes the place of the key, whose bytes are overwritten; what the disk itself keeps is
    beyond a program. There is a whole key under the name at every moment."""
    with key.open("r+b") as file:
        size = key.stat().st_size
        upcoming.replace(key)
        sync_folder(key.parent)
        file.write(b"\0" * size)
        file.flush()
        os.fsync(file.fileno())
