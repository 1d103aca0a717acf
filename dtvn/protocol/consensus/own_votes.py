"""This replica's votes: one digest per (view, sequence, phase), while the sequence is open (R7)."""

from __future__ import annotations

from dtvn.protocol.consensus.errors import InvariantBreach


class OwnVotes:
    """Checked before every vote is signed; filled from the ledger at restart."""

    __slots__ = ("_cast",)

    def __init__(self) -> None:
        self._cast: dict[int, dict[tuple[int, str], bytes]] = {}

    def cast(self, *, view: int, sequence: int, phase: str, digest: bytes) -> None:
        """Record a vote; raise InvariantBreach if the slot already has a vote for another digest."""
        votes = self._cast.setdefault(sequence, {})
        known = votes.setdefault((view, phase), digest)
        if known != digest:
            raise InvariantBreach(
                f"own {phase} of view {view} sequence {sequence} would contradict an earlier one"
            )

    def find(self, *, view: int, sequence: int, phase: str) -> bytes | None:
        """The digest this replica voted for, or None."""
        return self._cast.get(sequence, {}).get((view, phase))

    def digests(self, phase: str) -> set[bytes]:
        """All digests that this replica voted for in a phase, in open sequences."""
        return {
            digest
            for votes in self._cast.values()
            for (_view, voted), digest in votes.items()
            if voted == phase
        }

    def prune(self, stable: int) -> None:
        """Forget the votes of sequences that the stable checkpoint covers."""
        for sequence in [sequence for sequence in self._cast if sequence <= stable]:
            del self._cast[sequence]
