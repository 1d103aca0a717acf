"""Makes the certificate that proves the end of an epoch from the EpochChangeProof that a replica keeps
(R16, R27, R35)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.machine import CommandError, Reconfigure
from dtvn.machine.commands import read
from dtvn.proof.certificate import (
    CLUSTER_TAG_SIZE,
    CONTINUED,
    Certificate,
    CheckpointProof,
    ContinuationProof,
    Leaf,
    decode_certificate,
    encode_certificate,
    version_of,
)
from dtvn.proof.chain import extend_chain
from dtvn.proof.verify import Chain, Epoch
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Checkpoint, Continuation
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.wire import ED25519, Scheme, decode_envelope

PROOF = "epoch change proof"


def epoch_change_certificate(data: bytes, cluster: bytes) -> bytes:
    """The certificate in the encoded EpochChangeProof of a ledger or a member; raises ProofError without one.

    Nothing is verified: the certificate may still be invalid.
    """
    try:
        found = canonical.decode(EpochChangeProof, data)
        opened = [decode_envelope(frame) for frame in found.checkpoint]
    except canonical.CanonicalError as error:
        raise ProofError(Code.MALFORMED, PROOF, f"these bytes are no epoch change proof ({error})") from error
    first = opened[0][1] if opened else None
    if not isinstance(first, (Checkpoint, Continuation)) or any(
        type(message) is not type(first) for _envelope, message in opened
    ):
        said = "an epoch change proof without the CHECKPOINTs that seal it"
        raise ProofError(Code.BAD_CHECKPOINT, PROOF, said)
    signed = tuple(sorted((message.sender, envelope.signature) for envelope, message in opened))
    entry = found.entry
    told = canonical.digest(b"\x00" + found.leaf), _leaf(found.leaf).timestamp
    if told != (entry.results_root, entry.timestamp):
        said = "an epoch change proof whose entry is not that of its operation"
        raise ProofError(Code.WRONG_EPOCH_CHANGE, PROOF, said)
    path = b"".join(reversed(found.peaks))
    proof: CheckpointProof | ContinuationProof
    if isinstance(first, Checkpoint):
        version = version_of(_leaf(found.leaf))
        proof = CheckpointProof(first.epoch, first.sequence, first.state_root, first.timestamp, path, signed)
    else:
        version, proof = CONTINUED, ContinuationProof(first.state_root, path, signed)
    tag = cluster[:CLUSTER_TAG_SIZE]
    place = (entry.epoch, entry.sequence, entry.batch_digest, entry.previous)
    return encode_certificate(Certificate(version, tag, found.leaf, 0, b"", *place, proof))


def _leaf(leaf: bytes) -> Leaf:
    try:
        return canonical.decode(Leaf, leaf)
    except canonical.CanonicalError as error:
        raise ProofError(Code.MALFORMED, PROOF, f"these bytes are no epoch change proof ({error})") from error


def chain_through(
    genesis: g.Genesis, cluster: bytes, epochs: tuple[Membership, ...], scheme: Scheme = ED25519
) -> Chain:
    """The chain through these epochs, genesis first, which the caller trusts already."""
    known = tuple(Epoch(each.members, each.after, b"") for each in epochs)
    return Chain(cluster, genesis.name, known, g.mode(genesis), scheme, g.continued(genesis))


class EpochChain:
    """Follows the ends of epochs, each verified by the epoch before it (R16, R35). `known`: epochs that need
    no proof, epoch 0 first; `scheme`: signature scheme of the members."""

    def __init__(self, genesis: g.Genesis, known: Sequence[Membership], scheme: Scheme = ED25519) -> None:
        self.present = known[-1]
        """The newest proved epoch."""
        self._chain = chain_through(genesis, g.cluster_id(genesis), tuple(known), scheme)

    def take(self, epoch_change_proof: bytes) -> bytes:
        """Verify an encoded EpochChangeProof that ends the present epoch, advance to the next one and
        return the certificate. Raises ProofError and then changes nothing."""
        certificate = epoch_change_certificate(epoch_change_proof, self._chain.cluster)
        self._chain, self.present = _extended(self._chain, self.present, certificate)
        return certificate


def _extended(chain: Chain, now: Membership, certificate: bytes) -> tuple[Chain, Membership]:
    """The chain extended by one epoch, and that epoch; `now` is the last epoch of `chain`."""
    longer = extend_chain(chain, certificate)
    begun = longer.epochs[-1]
    if isinstance(decode_certificate(certificate).proof, ContinuationProof):
        return longer, now.followed_by(begun.after, begun.members, now.parameters)
    leaf = canonical.decode(Leaf, decode_certificate(certificate).leaf)
    try:
        command = read(leaf.operation.kind, leaf.operation.payload)
    except (CommandError, KeyError) as error:
        said = f"the epoch change proof of epoch {now.epoch} is by no such operation: {error}"
        raise ProofError(Code.WRONG_EPOCH_CHANGE, f"epoch {now.epoch}", said) from error
    if not isinstance(command, Reconfigure):
        said = f"the epoch change proof of epoch {now.epoch} is by no such operation"
        raise ProofError(Code.WRONG_EPOCH_CHANGE, f"epoch {now.epoch}", said)
    parameters = command.change.parameters[0] if command.change.parameters else now.parameters
    return longer, now.followed_by(begun.after, begun.members, parameters)
