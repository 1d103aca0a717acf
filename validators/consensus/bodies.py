"""Batch bodies by digest, as long as their sequence is open."""

from __future__ import annotations

from validators.consensus.messages import NULL_BATCH_DIGEST, Batch
from validators.consensus.verified import VerifiedBatch

__all__ = ["NULL_BATCH", "Bodies", "memory"]

DECODED = 512
"""Bytes that a decoded request, and each of its operations, take at least besides their text: a body of
half a megabyte can hold fifty thousand empty operations."""

NULL_BATCH = VerifiedBatch(
    batch=Batch(origin_view=0, proposed=0, requests=()),
    digest=NULL_BATCH_DIGEST,
    body=b"",
    bundles=(),
)
"""The null request: executes nothing, counts for checkpoints (PITFALLS row 5)."""


def memory(batch: VerifiedBatch) -> int:
    """Bytes that a batch takes here, decoded."""
    operations = sum(len(bundle.bundle.operations) for bundle in batch.bundles)
    return len(batch.body) + DECODED * (len(batch.bundles) + operations)


class Bodies:
    """Bounded by bytes as decoded. When full, bodies of executed sequences go first (the ledger has
    them), then those of views that were left, oldest first; then a new one is not kept: its sender will
    be asked again once there is room."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: dict[bytes, VerifiedBatch] = {}
        self._sequence: dict[bytes, int] = {}
        self._spare: dict[bytes, None] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._kept or digest == NULL_BATCH_DIGEST

    def get(self, digest: bytes) -> VerifiedBatch | None:
        """The body, or None; the null request is always at hand."""
        found = self._kept.get(digest)
        if found is None and digest == NULL_BATCH_DIGEST:
            return NULL_BATCH
        return found

    def add(self, batch: VerifiedBatch, sequence: int, executed: int) -> bool:
        """Keep a body for `sequence`; False when there is no room."""
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
        """A view is left: keep what the next one needs; keep as long as there is room what this replica
        gave its PREPARE for, as a certificate that only another holds may yet demand it; forget what
        its primary alone named."""
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
