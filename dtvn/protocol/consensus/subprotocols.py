"""The subprotocols of a replica (checkpoints, view change ...): each gets those below it that it uses."""

from __future__ import annotations

from dtvn.protocol.consensus.events import Listener
from dtvn.protocol.consensus.held_statements import HeldStatements
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.rejoin_views import RejoinViews
from dtvn.protocol.consensus.retransmission import Retransmission
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.shared_parts import SharedParts
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.supplying import Supplying
from dtvn.protocol.consensus.suspicion import Suspicion
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.transfer.member import Transfer
from dtvn.protocol.consensus.view_change import ViewChanging


class Subprotocols(SharedParts):
    """All subprotocols of one replica. Each calls those below it; what those above must know, it reports to
    `emit`."""

    def __init__(self, state: State, emit: Listener) -> None:
        super().__init__(state, emit)
        self.ordering = Ordering(
            state, self.contradictions, self.epoch_change, self.execution, self.rejoin_sequences, emit
        )
        self.proposing = Proposing(
            state, self.policy, self.epoch_change, self.execution, self.rejoin_sequences, self.ordering
        )
        self.view_change = ViewChanging(state, self.checkpoints, self.ordering, emit)
        self.rejoin_views = RejoinViews(state, emit)
        self.suspicion = Suspicion(state, self.policy, self.rejoin_views, self.view_change)
        self.supplying = Supplying(state, self.ordering, emit)
        self._make_recovery()

    def _make_recovery(self) -> None:
        """The subprotocols that help a replica which lags, restarts or lost its vote."""
        state = self.state
        self.catch_up = CatchUp(
            state, self.checkpoints, self.contradictions, self.epoch_change, self.execution, self.ordering
        )
        self.transfer = Transfer(state, self.catch_up, self.checkpoints, self.contradictions)
        self.retransmission = Retransmission(
            state, self.policy, self.catch_up, self.checkpoints, self.rejoin_sequences, self.suspicion
        )
        self.rejoin = Rejoin(state, self.checkpoints, self.own_vote)
        self.self_messages = SelfMessageGuard(state, self.own_vote)
        self.pinging = Pinging(
            state,
            self.catch_up,
            self.checkpoints,
            self.rejoin,
            self.self_messages,
            HeldStatements(state, self.checkpoints, self.view_change),
            self.own_vote,
            self.suspicion.on_round_trip,
            self.rejoin_views.on_said,
        )
