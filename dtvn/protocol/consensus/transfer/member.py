"""When a member takes a state in place of the log, and what that means for its other parts (R23)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.transfer.receiving import Receiving


class Transfer(Receiving):
    """The transfer of a state to a member, from the other members."""

    def __init__(
        self,
        state: State,
        catch_up: CatchUp,
        checkpoints: Checkpoints,
        contradictions: Contradictions,
    ) -> None:
        super().__init__(state)
        self.state = state
        self.catch_up = catch_up
        self.checkpoints = checkpoints
        self.contradictions = contradictions

    def wanted(self) -> bool:
        """Whether a state helps this replica more than the log."""
        state = self.state
        if not state.has_reached_epoch:
            return True
        lag = state.lag.target() - state.executed
        return lag > self._far() or (lag > 0 and self.catch_up.is_stuck())

    def _far(self) -> int:
        """The lag, in sequences, above which a state arrives sooner than the log. While a large state is
        installed the other members execute thousands of sequences, and that lag must not start another
        transfer."""
        state = self.state
        return max(state.config.transfer_lag, state.application.size() // state.config.transfer_tickets)

    def _ended(self) -> bool:
        return self.state.views.ended or self.state.n == 1

    def _peers(self) -> Sequence[int]:
        return self.state.others

    def _least(self) -> int:
        state = self.state
        if not state.has_reached_epoch:
            return state.config.base - 1
        return state.executed if self.catch_up.is_stuck() else state.executed + self._far() // 2

    def _send_to_all(self, frame: bytes) -> None:
        self.state.outbox.broadcast(frame)

    def _on_sought(self) -> None:
        for member in self.state.others:
            self.contradictions.ask(member)  # taking a state would hide a fork of the logs

    def _on_useless(self, certificate: CheckpointCertificate) -> None:
        self.checkpoints.adopt(certificate)  # it may contradict the own log

    def _on_chosen(self, sequence: int) -> None:
        self.catch_up.on_certified(sequence)

    def _on_useful(self) -> None:
        self.catch_up.hold()

    def _on_lie(self, peer: int) -> None:
        """The log is fetched from another member then, as always."""

    def _on_complete(self) -> None:
        self.state.views.become_ended()
