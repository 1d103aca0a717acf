"""The epoch of a node's ledger, and the node's place and key in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from dtvn.files.whole import put_in_place
from dtvn.ledger import NodeLedger
from dtvn.net import public_key_of, read_seed
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import NodeFolder
from dtvn.node.options import StartError
from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol import canonical, versions
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import ARCHIVE_PATIENCE, EPOCH
from dtvn.protocol.consensus.config import TRANSFER_LAG, TRANSFER_PATIENCE
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.epochs.catch_up import EpochCatchUp

FIRST_SCHEMA = 3
"""Schema of the ledgers of version 1 of a cluster (R47)."""
NEVER = 1 << 62
"""A lag, in sequences, that no log has."""


def membership_of(ledger: NodeLedger, genesis: g.Genesis) -> Membership:
    """The epoch of the ledger's next entry, according to its last epoch change proof. The ledger adopts its
    version. Raises StartError if that is above this program (R47): it must apply no entry of that epoch, and
    lose no vote."""
    kept = ledger.state_value(EPOCH)
    found = founding(genesis) if kept is None else canonical.decode(Membership, kept)
    if found.version > versions.NEWEST:
        raise StartError(
            f"needs_version: from entry {found.after + 1} on the cluster has version {found.version}, and "
            f"this program runs {versions.NEWEST} at most. Install {versions.release(found.version)} and "
            "start again: nothing is lost."
        )
    if found.version == versions.FIRST and ledger.schema > FIRST_SCHEMA:
        raise StartError(
            "The ledger was written by a program between 0.1.0 and 0.2.0, which was never released, and "
            "whose data is not continued. Found a new cluster, and import the tickets again."
        )
    ledger.adopt_version(found.version)
    return found


def as_genesis(genesis: g.Genesis, membership: Membership) -> g.Genesis:
    """Genesis with the members of an epoch, for links, addresses and display. Its hash is not the cluster
    id."""
    return msgspec.structs.replace(genesis, members=membership.members, parameters=membership.parameters)


def other_sources(path: Path, membership: Membership) -> tuple[g.Member, ...]:
    """Members of a later epoch, from a file (NodeFolder.sources), whose keys are not in `membership`: none of
    its members may be left. Raise CanonicalError if the file does not decode."""
    try:
        later = canonical.decode(Membership, path.read_bytes())
    except FileNotFoundError:
        return ()
    if later.epoch <= membership.epoch:
        return ()
    known = {member.public_key for member in membership.members}
    others = [member for member in later.members if member.public_key not in known]
    return tuple(msgspec.structs.replace(member, id=f"{member.id}@{later.epoch}") for member in others)


def own_place(
    folder: NodeFolder, membership: Membership, renew: Callable[[], object] = lambda: None
) -> tuple[int | None, bytes, bool]:
    """(index, seed, whether the key is new) of this node in an epoch. Index None: its key is no member's, so
    it follows; that includes a member under another key, since its own may be that of a later epoch.

    A node whose key is being rotated holds the next key too (`next.key`). In the epoch that names the next
    key, the old one is erased, so that it can no longer sign for a past epoch (R35). The new key has never
    voted, even if the old one did. `renew` is called before the new key takes the old one's place: if that
    is interrupted, the next start calls it again.
    """
    seed, fresh = read_seed(folder.key), False
    places = {member.public_key: index for index, member in enumerate(membership.members)}
    if public_key_of(seed) not in places and folder.next_key.exists():
        upcoming = read_seed(folder.next_key)
        if public_key_of(upcoming) in places:
            renew()
            _replace(folder.key, folder.next_key)
            VotedStamp(folder.identity).clear()
            seed, fresh = upcoming, True
    return places.get(public_key_of(seed)), seed, fresh


def make_epoch_catch_up(genesis: g.Genesis, membership: Membership, *, archive: bool = False) -> EpochCatchUp:
    """The catch-up of a process over epochs that it missed. `archive`: it keeps the log (consensus.Learner),
    so it skips none of it as long as any peer has it."""
    return EpochCatchUp(
        membership,
        partial(EpochChain, genesis),
        far=NEVER if archive else TRANSFER_LAG,
        patience=ARCHIVE_PATIENCE if archive else TRANSFER_PATIENCE,
    )


def _replace(key: Path, upcoming: Path) -> None:
    """Put the next key in the place of the key, whose bytes are overwritten; copies inside the disk are out
    of reach. The file holds a complete key at every moment."""
    with key.open("r+b") as file:
        size = key.stat().st_size
        put_in_place(upcoming, key)
        file.write(b"\0" * size)
        file.flush()
        os.fsync(file.fileno())
