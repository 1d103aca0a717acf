"""Which epoch a node's ledger lives in, and under which key the node stands in it."""

from __future__ import annotations

import os
import time
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

__all__ = ["KeyTrial", "as_genesis", "make_crossing", "membership_of", "other_sources", "own_place"]

TRIAL_NS = 5_000_000_000
"""How long a node that has a next key tries one of its two before it tries the other: links of an epoch take
a moment, and `Crossing` asks every two seconds."""


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


class KeyTrial:
    """Whether the key that a node stands under fails it, so that it should try its other one.

    While it was away, the epoch that names its next key may have begun (R35). The others take only that one
    then, and what would tell it so comes by links that it does not get (decision 0061).
    """

    def __init__(self) -> None:
        self._works_until = time.monotonic_ns() + TRIAL_NS

    def fails(self, *, works: bool) -> bool:
        """Whether it did not work for `TRIAL_NS`; asked about once a second."""
        now = time.monotonic_ns()
        if works:
            self._works_until = now + TRIAL_NS
        return now >= self._works_until


def own_place(
    folder: NodeFolder, membership: Membership, *, try_next: bool = False
) -> tuple[int | None, bytes, bool]:
    """(index, seed, whether the key is new) of this node in an epoch. None: it is no member, and follows; so
    does one that is a member under another key: its own may be that of a later epoch. `try_next`: it follows
    under its next key, if it has one, to see whether that epoch has begun.

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
    elif upcoming is not None and try_next:
        return None, upcoming, False
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
