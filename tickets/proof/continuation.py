"""What a cluster was continued from: the old one's last certified state, checked before anybody seals (R11).

The head of a state file holds the old cluster's epoch chain from its genesis, the q CHECKPOINTs of one stable
checkpoint (or all n CONTINUATIONs that ended an epoch offline), the entry of its sequence and the log below
it, and the hashes of the state's groups. All that the new genesis says of the old cluster follows from it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tickets.proof.chain import read_chain
from tickets.proof.errors import ProofError
from tickets.proof.forms import opened
from tickets.proof.statements import decoded, read_stable
from validators import genesis as g
from validators import quorum
from validators.consensus.certificate import ends_log
from validators.consensus.fields import Hash
from validators.consensus.messages import Entry
from validators.consensus.needs import Base

__all__ = ["FORMAT", "StateHead", "certified", "continues", "read_head"]

FORMAT = "dtvn-state-1"


class StateHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a state file begins; the groups of the state follow (tickets.machine.carried)."""

    format: str
    chain: bytes
    """The old cluster's epoch chain (ChainFile)."""
    checkpoint: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """q CHECKPOINT frames, or n CONTINUATIONs."""
    entry: Entry
    """Of their sequence."""
    peaks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=62)]
    """Merkle frontier over all entries below it."""
    manifest: bytes
    """Hashes of the state's groups, from which its root follows."""

    @property
    def base(self) -> Base:
        """Where the log of the new cluster begins."""
        return Base(self.entry, self.peaks)


def read_head(data: bytes) -> StateHead:
    """Decode; raise ProofError."""
    head = opened(StateHead, data, "the state file's head")
    if head.format != FORMAT:
        raise ProofError(f"a state file of format {head.format[:32]!r}; this program knows {FORMAT}")
    return head


def certified(head: StateHead) -> g.Continued:
    """What a new genesis says of the old cluster, every link and signature checked; raise ProofError."""
    chain = read_chain(head.chain)
    found = read_stable(head.checkpoint, chain)
    if not ends_log(found, head.entry, head.peaks):
        raise ProofError(f"the log that was signed does not end with the entry of sequence {found.sequence}")
    said = [decoded(frame)[1] for frame in found.frames]
    epoch = said[0].epoch
    members = chain.epochs[epoch].members
    signers = [members[sender] for sender in sorted(each.sender for each in said)]
    return g.Continued(
        cluster=chain.cluster,
        epoch=epoch,
        sequence=found.sequence,
        state_root=found.state_root,
        log_root=found.log_root,
        timestamp=found.timestamp,
        signers=tuple(g.Signer(member.id, member.public_key) for member in signers),
    )


def continues(genesis: g.Genesis) -> str:
    """What a cluster continues, in one line for pages and status; "" where it begins with nothing."""
    continued = g.continued(genesis)
    if continued is None:
        return ""
    return f"continues {continued.cluster.hex()} at sequence {continued.sequence}, not proved by all"
