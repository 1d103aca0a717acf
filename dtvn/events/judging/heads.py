"""The chain over a run's certified chunks: one hash commits to everything decided about the run so far."""

from __future__ import annotations

from dtvn.protocol import canonical


def first_head(thread: str, run: str) -> bytes:
    """Head of a run before its first chunk, 32 bytes."""
    return canonical.tagged_digest("dtvn/events/v1/run", canonical.encode((thread, run)))


def next_head(previous: bytes, vote: bytes) -> bytes:
    """Head after the chunk of the certified vote with these canonical bytes."""
    return canonical.tagged_digest("dtvn/events/v1/head", previous, vote)
