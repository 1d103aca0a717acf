"""Batch bodies by digest, kept while their sequence is open."""

from __future__ import annotations

from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, Batch
from dtvn.protocol.consensus.verified import VerifiedBatch

DECODED = 512
"""Minimum memory in bytes of a decoded request, and of each of its operations, beyond their text: a body
of half a megabyte can hold fifty thousand empty operations."""

NULL_BATCH = VerifiedBatch(
    batch=Batch(origin_view=0, proposed=0, requests=()),
    digest=NULL_BATCH_DIGEST,
    body=b"",
    bundles=(),
)
"""The null request: executes nothing, counts for checkpoints (P5)."""


def memory(batch: VerifiedBatch) -> int:
    """Bytes of memory that a decoded batch takes."""
    operations = sum(len(bundle.bundle.operations) for bundle in batch.bundles)
    return len(batch.body) + DECODED * (len(batch.bundles) + operations)


class Bodies:
    """A table bounded by the decoded size in bytes. When it is full, bodies of executed sequences are dropped
    first (the ledger has them), then bodies of views that were left, oldest first. If that is not enough,
    a new body is not kept: it is fetched again once there is room."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: dict[bytes, VerifiedBatch] = {}
        self._sequence: dict[bytes, int] = {}
        self._spare: dict[bytes, None] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._kept or digest == NULL_BATCH_DIGEST

    def get(self, digest: bytes) -> VerifiedBatch | None:
        """The body, or None; the null request is always present."""
        found = self._kept.get(digest)
        if found is None and digest == NULL_BATCH_DIGEST:
            return NULL_BATCH
        return found

    def add(self, batch: VerifiedBatch, sequence: int, executed: int) -> bool:
        """Keep a body for `sequence`; False if there is no room."""
        digest = batch.digest
        if digest in self._kept:
            self._sequence[digest] = max(self._sequence[digest], sequence)
            return True
        size = memory(batch)
        if self._bytes + size > self._bytes_max:
            self._make_room(size, executed)
            if self._bytes + size > self._bytes_max:
                return False
        self._kept[digest] = batch
        self._sequence[digest] = sequence
        self._bytes += size
        return True

    def prune(self, stable: int) -> None:
        """Forget bodies of sequences up to `stable`."""
        for digest in [d for d, sequence in self._sequence.items() if sequence <= stable]:
            self._forget(digest)

    def leave_view(self, needed: set[bytes], promised: set[bytes]) -> None:
        """Clean up when a view is left. Keeps the bodies in `needed` for the next view. Keeps those in
        `promised` (PREPAREd by this replica) while there is room, since a certificate that only another
        member holds may still demand them. Forgets bodies that only the primary proposed."""
        for digest in [digest for digest in self._kept if digest not in needed | promised]:
            self._forget(digest)
        self._spare = {digest: None for digest in self._kept if digest not in needed}

    def _make_room(self, size: int, executed: int) -> None:
        self.prune(executed)
        for digest in list(self._spare):
            if self._bytes + size <= self._bytes_max:
                return
            self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        self._spare.pop(digest, None)
        del self._sequence[digest]
        self._bytes -= memory(self._kept.pop(digest))
