"""The certificate of one outcome, as bytes (R27; docs/understand/protocol/certificates.md).

Everything that can be computed is left out: the results root is computed from leaf and path, the entry hash
from the entry, the log root from entry hash and path. So no byte can be changed without changing what the
members signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec

from dtvn.machine import ANSWERED_HEADS, LISTED_HEAD
from dtvn.machine.leaf import operation_leaf
from dtvn.protocol import canonical
from dtvn.protocol.consensus import subtree_paths
from dtvn.protocol.consensus.fields import Count, Hash, Word
from dtvn.protocol.consensus.messages import Operation, Outcome
from dtvn.protocol.genesis import Member
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened
from dtvn.protocol.quorum import MEMBERS_MAX

VERSION = 1
CONTINUED = 2
"""Version of an epoch change proof certificate that all members signed when nothing could be ordered any
more (R11)."""
ANSWERED = 3
"""Version of a certificate whose state is an AnsweredState, from which the ticket has its name: earlier
verifiers refuse it instead of naming no ticket."""
LISTED = 4
"""Version of a certificate whose state is a ListedState, which tells of a list besides."""
REPEATS = 5
"""Version of a certificate whose leaf says of which operation it is a repeat, or of none (R48). The versions
before it cannot tell a repeat from the first."""
CLUSTER_TAG_SIZE = 8
"""Number of first bytes of the cluster id in a certificate: enough to recognise one of another cluster;
signatures cover the whole id."""
CERTIFICATE_BYTES_MAX = 256 * 1024
"""Size of a certificate of an operation with the largest payload; an admission takes about one kilobyte."""
PATH_BYTES_MAX = 64 * canonical.HASH_SIZE

Signatures = Annotated[
    tuple[tuple[Count, Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]], ...],
    msgspec.Meta(max_length=MEMBERS_MAX),
]
"""(index of the member in its epoch, signature), ascending, exactly q."""
Hashes = Annotated[bytes, msgspec.Meta(max_length=PATH_BYTES_MAX)]
"""Concatenated hashes of a path, from the leaf upwards."""


class Leaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The proved fact: one operation with its outcome (dtvn.machine.leaf)."""

    index: Count
    """Index of the operation in its batch."""
    operation: Operation
    code: Word
    timestamp: Count
    """Effective timestamp of the entry, Unix microseconds."""
    state: bytes
    """Canonical state of the ticket right after the operation; b"" without a ticket."""
    first: Annotated[tuple[Count, ...], msgspec.Meta(max_length=2)] | None = None
    """(sequence, index) of the operation that it repeats: it changed nothing, and admits nobody. (): it
    repeats none. None: the log has no such field there (R47, R48). Later field."""

    first_form: ClassVar[int] = 5


class EpochStart(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Outcome state of an epoch change proof: the epoch that begins after it, and its members in order."""

    epoch: Count
    members: tuple[Member, ...]


class Receipts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="receipts"):
    """q members signed a Receipt for the entry."""

    signatures: Signatures


class CheckpointProof(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="checkpoint"
):
    """q members signed a Checkpoint over a log that holds the entry at its place (R26)."""

    epoch: Count
    """Epoch of the checkpoint: the entry's or a later one."""
    sequence: Count
    """Sequence of the checkpoint, which is the number of entries that its log root covers."""
    state_root: Hash
    timestamp: Count
    path: Hashes
    """Path from the entry to the log root."""
    signatures: Signatures


class ContinuationProof(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="continuation"
):
    """All n members signed a Continuation over a log that ends with the entry (R11)."""

    state_root: Hash
    path: Hashes
    """Path from the entry to the log root."""
    signatures: Signatures
    """Signatures of all members, ascending."""


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Leaf, path to the results root, the entry's other fields, and the members' signatures."""

    version: Count
    cluster: Annotated[bytes, msgspec.Meta(min_length=CLUSTER_TAG_SIZE, max_length=CLUSTER_TAG_SIZE)]
    leaf: bytes
    """Canonical bytes of a Leaf."""
    sides: Count
    """Bit i is set if the i-th hash of `path` is a left sibling."""
    path: Hashes
    """Path from the leaf to the results root."""
    epoch: Count
    sequence: Count
    batch: Hash
    """Batch digest of the entry."""
    previous: Hash
    """Entry hash of the preceding sequence."""
    proof: Receipts | CheckpointProof | ContinuationProof


def encode_certificate(certificate: Certificate) -> bytes:
    """Canonical bytes of the certificate itself, without the JSON of a file."""
    return canonical.encode(certificate)


def decode_certificate(data: bytes) -> Certificate:
    """Inverse of `encode_certificate`; raises ProofError."""
    if len(data) > CERTIFICATE_BYTES_MAX:
        said = f"a certificate has at most {CERTIFICATE_BYTES_MAX} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, "certificate", said)
    certificate = opened(Certificate, data, "the certificate")
    paths = (certificate.path, getattr(certificate.proof, "path", b""))
    if any(len(path) % canonical.HASH_SIZE for path in paths):
        raise no_form("the certificate")
    offline = isinstance(certificate.proof, ContinuationProof)
    known = (CONTINUED,) if offline else (VERSION, ANSWERED, LISTED, REPEATS)
    if certificate.version not in known:
        versions = " and ".join(map(str, known))
        said = f"a certificate of version {certificate.version}; this verifier knows {versions}"
        raise ProofError(Code.UNKNOWN_VERSION, "certificate", said)
    return certificate


def version_of(leaf: Leaf) -> int:
    """The version of a certificate with this leaf, whose proof is not a ContinuationProof."""
    if leaf.first is not None:
        return REPEATS
    if leaf.state.startswith(LISTED_HEAD):
        return LISTED
    return ANSWERED if leaf.state.startswith(ANSWERED_HEADS) else VERSION


def split_hashes(joined: bytes) -> list[bytes]:
    """The 32-byte hashes in the path of a decoded certificate."""
    size = canonical.HASH_SIZE
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def results_path(
    bundles: Sequence[tuple[int, Sequence[Operation], Sequence[Outcome]]], index: int, timestamp: int
) -> tuple[Leaf, int, bytes]:
    """(leaf, sides, path) of the operation at `index` of a batch.

    `bundles`: first index, operations and outcomes of each executed bundle, in order. Raises KeyError if no
    executed operation has this index.
    """
    subtrees: list[bytes] = []
    found: tuple[int, Leaf, list[tuple[bool, bytes]]] | None = None
    for place, (first, operations, outcomes) in enumerate(bundles):
        leaves = [
            operation_leaf(number, operation, outcome, timestamp)
            for number, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True), first)
        ]
        subtrees.append(canonical.merkle_root(leaves))
        if first <= index < first + len(leaves):
            at = index - first
            proved = outcomes[at]
            leaf = Leaf(index, operations[at], proved.code, timestamp, proved.state, proved.first)
            found = (place, leaf, list(subtree_paths(leaves)[at]))
    if found is None:
        raise KeyError(index)
    place, leaf, path = found
    path += subtree_paths(subtrees)[place]
    sides = sum(1 << bit for bit, (left, _hash) in enumerate(path) if left)
    return leaf, sides, b"".join(each for _left, each in path)
