"""From what a replica keeps of the end of an epoch to the certificate that proves it (R16, R27, R35)."""

from __future__ import annotations

from tickets.machine.commands import CommandError, Reconfigure, read
from tickets.proof.certificate import (
    CLUSTER_TAG_SIZE,
    CONTINUED,
    VERSION,
    Certificate,
    CheckpointProof,
    ContinuationProof,
    Leaf,
    decode_certificate,
    encode_certificate,
)
from tickets.proof.chain import hand_over
from tickets.proof.errors import ProofError
from tickets.proof.verify import Chain, Epoch
from validators import canonical
from validators import genesis as g
from validators.consensus.handover import HandOver
from validators.consensus.membership import Membership
from validators.consensus.messages import Checkpoint, Continuation
from validators.wire import ED25519, Scheme, decode_envelope

__all__ = ["chain_through", "crossed", "handover_certificate"]


def handover_certificate(data: bytes, cluster: bytes) -> bytes:
    """The certificate in a ledger's or a member's encoded HandOver; raise ProofError when it holds none.

    Nothing is verified: what comes out may still prove nothing.
    """
    try:
        found = canonical.decode(HandOver, data)
        opened = [decode_envelope(frame) for frame in found.checkpoint]
    except canonical.CanonicalError as error:
        raise ProofError(f"these bytes are no hand-over ({error})") from error
    first = opened[0][1] if opened else None
    if not isinstance(first, (Checkpoint, Continuation)) or any(
        type(message) is not type(first) for _envelope, message in opened
    ):
        raise ProofError("a hand-over without the CHECKPOINTs that seal it")
    signed = tuple(sorted((message.sender, envelope.signature) for envelope, message in opened))
    entry = found.entry
    told = canonical.digest(b"\x00" + found.leaf), _timestamp(found.leaf)
    if told != (entry.results_root, entry.timestamp):
        raise ProofError("a hand-over whose entry is not that of its operation")
    path = b"".join(reversed(found.peaks))
    proof: CheckpointProof | ContinuationProof
    if isinstance(first, Checkpoint):
        version = VERSION
        proof = CheckpointProof(first.epoch, first.sequence, first.state_root, first.timestamp, path, signed)
    else:
        version, proof = CONTINUED, ContinuationProof(first.state_root, path, signed)
    tag = cluster[:CLUSTER_TAG_SIZE]
    place = (entry.epoch, entry.sequence, entry.batch_digest, entry.previous)
    return encode_certificate(Certificate(version, tag, found.leaf, 0, b"", *place, proof))


def _timestamp(leaf: bytes) -> int:
    try:
        return canonical.decode(Leaf, leaf).timestamp
    except canonical.CanonicalError as error:
        raise ProofError(f"these bytes are no hand-over ({error})") from error


def chain_through(
    genesis: g.Genesis, cluster: bytes, epochs: tuple[Membership, ...], scheme: Scheme = ED25519
) -> Chain:
    """The chain of somebody who knows these epochs already, genesis first."""
    known = tuple(Epoch(each.members, each.after, b"") for each in epochs)
    return Chain(cluster, genesis.name, known, scheme, g.continued(genesis))


def crossed(chain: Chain, now: Membership, certificate: bytes) -> tuple[Chain, Membership]:
    """The chain with one epoch more, and that epoch; `now` is the chain's last. Raises ProofError."""
    longer = hand_over(chain, certificate)
    begun = longer.epochs[-1]
    if isinstance(decode_certificate(certificate).proof, ContinuationProof):
        return longer, Membership(now.epoch + 1, begun.after, begun.members, now.parameters)
    leaf = canonical.decode(Leaf, decode_certificate(certificate).leaf)
    try:
        command = read(leaf.operation.kind, leaf.operation.payload)
    except (CommandError, KeyError) as error:
        raise ProofError(f"the hand-over of epoch {now.epoch} is by no such operation: {error}") from error
    if not isinstance(command, Reconfigure):
        raise ProofError(f"the hand-over of epoch {now.epoch} is by no such operation")
    parameters = command.change.parameters[0] if command.change.parameters else now.parameters
    return longer, Membership(now.epoch + 1, begun.after, begun.members, parameters)
