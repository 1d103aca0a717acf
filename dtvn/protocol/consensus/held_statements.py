"""The statements of other members that a replica of PBFT holds, to show them to their authors (R11)."""

from __future__ import annotations

from collections.abc import Iterator

from dtvn.protocol import quorum
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.view_change import ViewChanging


class HeldStatements:
    """Reads the open slots, the prepared certificates, and the ledger's COMMITs as of the start."""

    def __init__(self, state: State, checkpoints: Checkpoints, view_change: ViewChanging) -> None:
        self.state = state
        self.checkpoints = checkpoints
        self.view_change = view_change
        self._commits: dict[int, tuple[bytes, ...]] = {}
        """Sequence -> COMMIT frames of executed entries, read from the ledger."""

    def begin(self, tail: LedgerTail) -> None:
        """See pinging.Statements."""
        self._commits = {r.entry.sequence: r.commits for r in tail.entries if r.commits}

    def bound_to(self) -> int:
        """See pinging.Statements: the view that this replica is in."""
        return self.state.views.view

    def said_by(self, member: int, view: int) -> Iterator[bytes]:
        """Yields a member's statements that may still bind it, the most binding and newest first. `view` is
        the member's view; it cannot vote in lower ones any more, even if its ledger lost records."""
        state = self.state
        yield from self.view_change.said_by(member, view)
        yield from self.checkpoints.said_by(member)
        for sequence in range(state.log.highest, state.log.stable, -1):
            slot = state.log.slots.get(sequence)
            if slot is None or slot.view < view:
                continue
            for tally in (slot.commits, slot.prepares):
                if member in tally.votes:
                    yield tally.votes[member].frame
            if quorum.primary(slot.view, state.n) == member:
                yield from slot.proposals.values()
        for certificate in state.log.certificates.values():
            yield from self._of(member, view, (certificate.proof.pre_prepare, *certificate.proof.prepares))
        for sequence, frames in self._commits.items():
            if sequence > state.log.stable:
                yield from self._of(member, view, frames)

    def _of(self, member: int, view: int, frames: tuple[bytes, ...]) -> Iterator[bytes]:
        for frame in frames:
            message = self.state.signer.open(frame).message
            if message.sender == member and message.view >= view:
                yield frame
