"""Hashes over a batch's results, as receipts, certificates and verifiers compute them (R1).

    leaf    = H(0x00, canonical bytes of (index, operation, code, timestamp, state, first))
    subtree = Merkle root over the leaves of one bundle
    results = Merkle root over the subtrees of the bundles that were executed

`index` counts all operations of the batch body, those of skipped bundles included, so that it follows
from the batch alone. `first` is the place of the first operation, which this one repeats, () for none; the
first version of the cluster has no such field (R47, R48).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation, Outcome


def leaf_body(index: int, operation: Operation, outcome: Outcome, timestamp: int) -> bytes:
    """What the leaf of one operation covers; its outcome says whether the log has the field `first`."""
    leaf = (index, operation, outcome.code, timestamp, outcome.state)
    return canonical.encode(leaf if outcome.first is None else (*leaf, outcome.first))


def operation_leaf(index: int, operation: Operation, outcome: Outcome, timestamp: int) -> bytes:
    """The leaf of one operation."""
    return sha256(b"\x00" + leaf_body(index, operation, outcome, timestamp)).digest()


def subtree(
    first_index: int,
    operations: Sequence[Operation],
    outcomes: Sequence[Outcome],
    timestamp: int,
) -> bytes:
    """Root over the leaves of one bundle, `first_index` being the index of its first operation."""
    return canonical.merkle_root(
        [
            operation_leaf(index, operation, outcome, timestamp)
            for index, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True), first_index)
        ]
    )
