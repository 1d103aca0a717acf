"""The subprotocols of a replica (checkpoints, view change ...): each gets those below it that it uses."""

from __future__ import annotations

from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.events import Listener
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.rejoin_views import RejoinViews
from dtvn.protocol.consensus.requests.fair_policy import FairPolicy
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.retransmission import Retransmission
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.supplying import Supplying
from dtvn.protocol.consensus.suspicion import Suspicion
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.transfer.receiving import Transfer
from dtvn.protocol.consensus.transfer.serving import Serving
from dtvn.protocol.consensus.view_change import ViewChanging
from dtvn.protocol.consensus.voting import Voting


class Subprotocols:
    """All subprotocols of one replica. Each calls those below it; what those above must know, it reports to
    `emit`."""

    def __init__(self, state: State, emit: Listener) -> None:
        self.state = state
        self.own_vote = Voting(state, emit)
        self.contradictions = Contradictions(state)
        self.policy: Policy = FairPolicy(state)
        self.epoch_change = EpochChange(state, self.policy, emit)
        self.checkpoints = Checkpoints(state, self.contradictions, self.epoch_change, emit)
        self.execution = Execution(
            state,
            self.checkpoints,
            self.policy,
            self.contradictions,
            self.epoch_change,
            emit,
        )
        self.rejoin_sequences = RejoinSequences(state)
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
        self.serving = Serving(state)
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
            self.rejoin_views,
            self.self_messages,
            self.suspicion,
            self.view_change,
            self.own_vote,
        )
