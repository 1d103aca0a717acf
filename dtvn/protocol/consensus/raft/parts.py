"""The parts of a Raft member: its own (log, elections, replication), and those that PBFT has too."""

from __future__ import annotations

from dtvn.protocol.consensus.events import Listener
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.raft.elections import Elections
from dtvn.protocol.consensus.raft.hand_over import HandOver
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.raft.reads import Reads
from dtvn.protocol.consensus.raft.replication import Replication
from dtvn.protocol.consensus.raft.starts import Starts
from dtvn.protocol.consensus.raft.statements import HeldCommits
from dtvn.protocol.consensus.raft.statuses import Forwarding, Statuses
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.shared_parts import SharedParts
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.transfer.member import Transfer

WRITERS = {"views": "elections", "timeouts": "elections"}
"""Part of the state -> module of this package that writes it, in place of the one of PBFT; the other parts
are written as there (state.WRITERS)."""
SHARED = {
    "log.decisions": {"replication"},
    "log.prune": {"replica"},
    "own_votes.cast": {"replication"},
    "own_votes.prune": {"replica"},
    "bodies.add": {"log", "replica", "replication"},
    "bodies.prune": {"replica"},
    "clocks.judge": {"replication"},
    "clocks.note": {"statuses"},
    "clocks.show": {"elections", "statuses"},
    "throttle.allow": {"replication", "statuses"},
}
"""The same of tables that several change (state.SHARED): what this package's modules do. A slot is never
opened: the entries above the executed ones are in `log`, with a record of their own."""


class RaftParts(SharedParts):
    """All parts of one member. Each calls those below it; `emit` is told what those above must know."""

    def __init__(self, state: State, emit: Listener) -> None:
        super().__init__(state, emit)
        self.log = RaftLog(state)
        self.starts = Starts(state, self.own_vote)
        self.elections = Elections(state, self.log, self.starts.doubted, emit)
        self.replication = Replication(
            state, self.log, self.elections, self.epoch_change, self.contradictions, self.starts.doubted
        )
        self.starts.held = held = HeldCommits(state, self.checkpoints, self.replication)
        self.reads = Reads(state, self.elections, self.replication, self.starts.doubted)
        self.hand_over = HandOver(state, self.log, self.elections, self.replication)
        self.proposing = Proposing(
            state, self.policy, self.epoch_change, self.execution, self.rejoin_sequences, self.replication
        )
        self.catch_up = CatchUp(
            state, self.checkpoints, self.contradictions, self.epoch_change, self.execution, self.replication
        )
        self.replication.catch_up = self.catch_up
        self.transfer = Transfer(state, self.catch_up, self.checkpoints, self.contradictions)
        self.statuses = Statuses(
            state, self.policy, self.log, self.catch_up, self.checkpoints, self.rejoin_sequences
        )
        self.forwarding = Forwarding(state, self.policy)
        self.rejoin = Rejoin(state, self.checkpoints, self.own_vote, in_any_view=True)
        self.self_messages = SelfMessageGuard(state, self.own_vote, of_any_view=True)
        self.pinging = Pinging(
            state,
            self.catch_up,
            self.checkpoints,
            self.rejoin,
            self.self_messages,
            held,
            self.own_vote,
            self.elections.on_round_trip,
            lambda _member, _view: None,
            waits=False,
        )
