"""The subprotocols that a core has in every mode, and on which those of the mode rest."""

from __future__ import annotations

from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.events import Listener
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.requests.fair_policy import FairPolicy
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.serving import Serving
from dtvn.protocol.consensus.voting import Voting


class SharedParts:
    """The vote, requests, execution, checkpoints and the end of an epoch. Each calls those below it, and
    reports to `emit` what those above must know."""

    def __init__(self, state: State, emit: Listener) -> None:
        self.state = state
        self.own_vote = Voting(state, emit)
        self.contradictions = Contradictions(state)
        self.policy: Policy = FairPolicy(state)
        self.epoch_change = EpochChange(state, self.policy, emit)
        self.checkpoints = Checkpoints(state, self.contradictions, self.epoch_change, emit)
        self.execution = Execution(
            state, self.checkpoints, self.policy, self.contradictions, self.epoch_change, emit
        )
        self.rejoin_sequences = RejoinSequences(state)
        self.serving = Serving(state)
