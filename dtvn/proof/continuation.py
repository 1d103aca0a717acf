"""The certified state from which a cluster continues an old one, checked before any party seals it (R11).

The head of a state file holds the old cluster's epoch chain from its genesis, the q CHECKPOINTs of one stable
checkpoint (or all n CONTINUATIONs that ended an epoch offline), the entry of its sequence, the Merkle peaks
of the log below it, and the hashes of the state's groups. Everything that the new genesis says of the old
cluster is computed from the head.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.proof.chain import read_chain
from dtvn.proof.statements import decoded, read_stable
from dtvn.protocol import genesis as g
from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import ends_log
from dtvn.protocol.consensus.fields import Hash
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.messages import Entry
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import opened

FORMAT = "dtvn-state-1"


class StateHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first part of a state file; the groups of the state follow it (dtvn.machine.continued_state)."""

    format: str
    chain: bytes
    """The old cluster's epoch chain (ChainFile)."""
    checkpoint: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """q CHECKPOINT frames, or n CONTINUATIONs."""
    entry: Entry
    """The entry at the sequence of `checkpoint`."""
    peaks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=62)]
    """Merkle peaks over all entries below `entry`."""
    manifest: bytes
    """Hashes of the state's groups, from which its root follows."""

    @property
    def base(self) -> Base:
        """The base on which the log of the new cluster begins."""
        return Base(self.entry, self.peaks)


def read_head(data: bytes) -> StateHead:
    """Decodes the head of a state file; raises ProofError."""
    head = opened(StateHead, data, "the state file's head")
    if head.format != FORMAT:
        said = f"a state file of format {head.format[:32]!r}; this program knows {FORMAT}"
        raise ProofError(Code.UNKNOWN_VERSION, "state file", said)
    return head


def certified(head: StateHead) -> g.Continued:
    """The statement of a new genesis about the old cluster, after a check of every link and signature; raises
    ProofError."""
    chain = read_chain(head.chain)
    found = read_stable(head.checkpoint, chain)
    if not ends_log(found, head.entry, head.peaks):
        why = f"the log that was signed does not end with the entry of sequence {found.sequence}"
        raise ProofError(Code.BAD_CHECKPOINT, f"sequence {found.sequence}", why)
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
    """One line for pages and status about the cluster that this one continues; "" if it continues none."""
    continued = g.continued(genesis)
    if continued is None:
        return ""
    return f"continues {continued.cluster.hex()} at sequence {continued.sequence}, not proved by all"
