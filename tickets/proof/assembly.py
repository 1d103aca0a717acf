"""From what a copy of the log holds to a certificate of one of its outcomes (R26, R27).

The platform brings rows of the learner's ledger and answers of members, the simulator brings virtual disks.
Only receipts are checked here, one by one: whoever hands a certificate out verifies the whole of it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from tickets.proof.certificate import (
    CLUSTER_TAG_SIZE,
    VERSION,
    Certificate,
    CheckpointProof,
    Leaf,
    Receipts,
    results_path,
)
from tickets.proof.verify import Chain
from validators import canonical, quorum
from validators.consensus.messages import KIND_OF, Entry, Operation, Outcome, Receipt
from validators.wire import decode_envelope
from validators.wire.envelope import signed_bytes

__all__ = ["Stable", "log_proof", "receipts", "unproved"]

RECEIPT_KIND = KIND_OF[Receipt]


class Stable(Protocol):
    """A stable checkpoint as ledgers keep it."""

    @property
    def epoch(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def state_root(self) -> bytes: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def frames(self) -> tuple[bytes, ...]:
        """CHECKPOINTs of q members."""


def unproved(
    entry: Entry,
    bundles: Sequence[tuple[int, Sequence[Operation], Sequence[Outcome]]],
    index: int,
    cluster: bytes,
) -> tuple[Leaf, Certificate]:
    """What stands at `index` of an entry, and its certificate without a signature yet.

    `bundles`: see results_path. Raises KeyError when no executed operation stands there.
    """
    leaf, sides, path = results_path(bundles, index, entry.timestamp)
    certificate = Certificate(
        version=VERSION,
        cluster=cluster[:CLUSTER_TAG_SIZE],
        leaf=canonical.encode(leaf),
        sides=sides,
        path=path,
        epoch=entry.epoch,
        sequence=entry.sequence,
        batch=entry.batch_digest,
        previous=entry.previous,
        proof=Receipts(()),
    )
    return leaf, certificate


def log_proof(checkpoint: Stable, path: Sequence[bytes]) -> CheckpointProof:
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
    """The first q good ones of `offered`, (member, signature) each, ascending; fewer where fewer are good.

    No more of `offered` is taken than it needs. `epoch` is in the chain.
    """
    members = chain.epochs[epoch].members
    good: dict[int, bytes] = {}
    for member, signature in offered:
        body = canonical.encode(Receipt(epoch, member, sequence, entry_hash))
        data = signed_bytes(chain.cluster, RECEIPT_KIND, body)
        if chain.scheme.verify(members[member].public_key, data, signature):
            good[member] = signature
        if len(good) == quorum.quorum(len(members)):
            break
    return Receipts(tuple(sorted(good.items())))
