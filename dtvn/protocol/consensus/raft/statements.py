"""The statements of other members that a Raft member holds, to show them to their authors (R11, R44)."""

from __future__ import annotations

from collections.abc import Iterator

from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.raft.replication import Replication
from dtvn.protocol.consensus.state import State


class HeldCommits:
    """COMMITs bind in every later term too: what a member acknowledged it must still have."""

    def __init__(self, state: State, checkpoints: Checkpoints, replication: Replication) -> None:
        self.state = state
        self.checkpoints = checkpoints
        self.replication = replication
        self._executed: dict[int, tuple[bytes, ...]] = {}
        """Sequence -> COMMIT frames of executed entries, read from the ledger."""

    def begin(self, tail: LedgerTail) -> None:
        """See pinging.Statements."""
        self._executed = {r.entry.sequence: r.commits for r in tail.entries if r.commits}

    def bound_to(self) -> int:
        """See pinging.Statements: COMMITs of every term bind."""
        return 0

    def newest_of(self, member: int) -> int:
        """See starts.Held."""
        opened = map(self.state.signer.open, self.said_by(member, 0))
        return max((each.message.sequence for each in opened), default=0)

    def said_by(self, member: int, view: int) -> Iterator[bytes]:
        """See pinging.Statements."""
        yield from self.checkpoints.said_by(member)
        for index in sorted(self.replication.commits, reverse=True):
            found = self.replication.commits[index].get(member)
            if found is not None:
                yield found[1].frame
        stable = self.state.log.stable
        for sequence, frames in self._executed.items():
            if sequence > stable:
                for frame in frames:
                    if self.state.signer.open(frame).message.sender == member:
                        yield frame
