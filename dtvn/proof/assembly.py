"""Assembles the certificate of an outcome from a copy of the log (R26, R27).

The platform passes rows of the learner's ledger and answers of members, the simulator passes virtual disks.
Only receipts are checked here, one by one: the caller verifies the whole certificate before it gives it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dtvn.proof.certificate import (
    CLUSTER_TAG_SIZE,
    Certificate,
    CheckpointProof,
    Leaf,
    Receipts,
    results_path,
    version_of,
)
from dtvn.proof.verify import Chain
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.effects import CheckpointRecord
from dtvn.protocol.consensus.messages import KIND_OF, Entry, Operation, Outcome, Receipt
from dtvn.protocol.wire import decode_envelope, signed_bytes

RECEIPT_KIND = KIND_OF[Receipt]


def unproved(
    entry: Entry,
    bundles: Sequence[tuple[int, Sequence[Operation], Sequence[Outcome]]],
    index: int,
    cluster: bytes,
) -> tuple[Leaf, Certificate]:
    """The leaf of the operation at `index` of an entry, and its certificate, still without signatures.

    `bundles`: see results_path. Raises KeyError if no executed operation has this index.
    """
    leaf, sides, path = results_path(bundles, index, entry.timestamp)
    certificate = Certificate(
        version=version_of(leaf),
        cluster=cluster[:CLUSTER_TAG_SIZE],
        leaf=canonical.encode_trimmed(leaf),
        sides=sides,
        path=path,
        epoch=entry.epoch,
        sequence=entry.sequence,
        batch=entry.batch_digest,
        previous=entry.previous,
        proof=Receipts(()),
    )
    return leaf, certificate


def log_proof(checkpoint: CheckpointRecord, path: Sequence[bytes]) -> CheckpointProof:
    """The proof by a stable checkpoint. `path`: log_tree.inclusion_path of the entry in the log below it."""
    signatures = []
    for frame in checkpoint.frames:
        envelope, message = decode_envelope(frame)
        signatures.append((message.sender, envelope.signature))
    return CheckpointProof(
        epoch=checkpoint.epoch,
        sequence=checkpoint.sequence,
        state_root=checkpoint.state_root,
        timestamp=checkpoint.timestamp,
        path=b"".join(path),
        signatures=tuple(sorted(signatures)),
    )


def receipts(
    epoch: int, sequence: int, entry_hash: bytes, chain: Chain, offered: Iterable[tuple[int, bytes]]
) -> Receipts:
    """The first q valid signatures of `offered`, pairs of (member, signature), ascending; fewer if fewer are
    valid.

    Stops reading `offered` as soon as it has q. `epoch` must be in the chain.
    """
    members = chain.epochs[epoch].members
    good: dict[int, bytes] = {}
    for member, signature in offered:
        body = canonical.encode(Receipt(epoch, member, sequence, entry_hash))
        data = signed_bytes(chain.cluster, RECEIPT_KIND, body)
        if chain.scheme.verify(members[member].public_key, data, signature):
            good[member] = signature
        if len(good) == quorum.quorum(len(members), chain.mode):
            break
    return Receipts(tuple(sorted(good.items())))
