"""Hashes over a batch's results, as receipts, certificates and verifiers compute them (R1).

    leaf    = H(0x00, canonical bytes of (index, operation, code, timestamp, state))
    subtree = Merkle root over the leaves of one bundle
    results = Merkle root over the subtrees of the bundles that were executed

`index` counts all operations of the batch body, those of skipped bundles included, so that it follows
from the batch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation, Outcome


def operation_leaf(index: int, operation: Operation, code: str, timestamp: int, state: bytes) -> bytes:
    """The leaf of one operation; `state` is the canonical state of its ticket afterwards."""
    body = canonical.encode((index, operation, code, timestamp, state))
    return sha256(b"\x00" + body).digest()


def subtree(
    first_index: int,
    operations: Sequence[Operation],
    outcomes: Sequence[Outcome],
    timestamp: int,
) -> bytes:
    """Root over the leaves of one bundle, `first_index` being the index of its first operation."""
    encode = canonical.encode
    return canonical.merkle_root(
        [
            sha256(b"\x00" + encode((index, operation, outcome.code, timestamp, outcome.state))).digest()
            for index, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True), first_index)
        ]
    )
