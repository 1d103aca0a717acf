"""The events of a run as a Merkle log over their digests: one root names all of them in their order, and one
event is shown under it without the others."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.judging import Event, event_digest
from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree


def run_root(digests: Sequence[bytes]) -> bytes:
    """Root over the digests of a run's events, from its first event on; 32 bytes. A run that goes on
    computes the same from a `log_tree.Frontier`."""
    return canonical.merkle_root(digests)


def event_path(digests: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Siblings from event `index` to the run's root, from the bottom up. Raises ValueError if there is no
    such event."""

    def subtree(level: int, number: int) -> bytes:
        return canonical.merkle_root(digests[number << level : (number + 1) << level])

    return log_tree.inclusion_path(index, len(digests), subtree)


def is_included(event: Event, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `event` is the one at `index` of the `count` events under `root`. Raises ValueError for a salt
    that does not have 16 bytes."""
    return log_tree.climb(index, count, event_digest(event), path) == root
