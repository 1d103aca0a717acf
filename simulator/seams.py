"""Location of the code that mutants and liars replace or build upon, and checkers look into: name -> module.

Mutants import the product only from here, so a move of product code touches one file. A mutant names the
attribute that it replaces; `replaces` and `Plant.put` refuse one that does not exist.
"""
# ruff: noqa: F401
# mypy: implicit-reexport

from __future__ import annotations

from importlib import import_module
from typing import Any

from dtvn.events.asking.known_states import KnownStates
from dtvn.events.judging import (
    DecisionRule,
    Inquiry,
    RunPoint,
    Verdict,
    chunk_digest,
    event_digest,
    first_head,
    turns,
)
from dtvn.events.judging import Tally as VoteTally
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.gateway import Collector, answers
from dtvn.gateway.calls import Queue
from dtvn.gateway.epochs import Epochs
from dtvn.gateway.event_chunks import Chunk
from dtvn.gateway.event_questions import OpenQuestions
from dtvn.gateway.event_records import Recorder
from dtvn.gateway.log_clock import LogClock
from dtvn.machine import (
    TRANSITIONS,
    Principals,
    State,
    TicketApplication,
    commands,
    locks,
    movements,
    operations,
    order_of_reasons,
    read_terms,
    reasons,
    registry,
    runs,
    snapshot,
)
from dtvn.machine.events import Events
from dtvn.machine.inside import Inside
from dtvn.machine.kinds import lifecycle
from dtvn.machine.kinds.terms_changes import told
from dtvn.machine.lists import DAY, EventList
from dtvn.machine.locks import Locks
from dtvn.machine.movements import FORCE, MOVEMENTS_KEPT, Visits
from dtvn.machine.nonces import KEPT_AFTER, NonceTable
from dtvn.machine.operations import Operations
from dtvn.machine.order_of_reasons import find
from dtvn.machine.registry import TicketRegistry
from dtvn.machine.snapshot import Freezer, Staging
from dtvn.machine.ticket import ticket_leaf
from dtvn.machine.tree import StateTree
from dtvn.machine.waiters import Waiters
from dtvn.proof import Code, ProofError, barriers, reads
from dtvn.proof.barriers import SharedBarriers
from dtvn.proof.verify import Chain
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import (
    certificate,
    executor,
    learner,
    membership,
    new_view,
    proposing,
    restore,
    view_change,
)
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.bodies import Bodies, memory
from dtvn.protocol.consensus.certificate import CheckpointCertificate, CommitCertificate
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.clocks import Clocks
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.core_face import CoreFace
from dtvn.protocol.consensus.dispatch import Dispatcher
from dtvn.protocol.consensus.effects import (
    ALL,
    Effects,
    EntryRecord,
    Now,
    Prune,
    Reason,
    Send,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.evidence import Evidence
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.future import Future
from dtvn.protocol.consensus.learner import Learner
from dtvn.protocol.consensus.log import LateCommits, Log, Slot, Tally, Vote
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, entry_hash
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.raft import elections as raft_elections
from dtvn.protocol.consensus.raft.elections import Elections
from dtvn.protocol.consensus.raft.hand_over import HandOver
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.raft.reads import Reads
from dtvn.protocol.consensus.raft.replica import RaftReplica
from dtvn.protocol.consensus.raft.replication import Replication
from dtvn.protocol.consensus.raft.starts import Starts
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.requests.clients import Clients
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.requests.primary_monitor import PrimaryMonitor
from dtvn.protocol.consensus.retransmission import Retransmission
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.sessions import SessionTable
from dtvn.protocol.consensus.state import State as ReplicaState
from dtvn.protocol.consensus.suspicion import Suspicion
from dtvn.protocol.consensus.timers import Timers
from dtvn.protocol.consensus.transfer import entries, receiving
from dtvn.protocol.consensus.transfer.catch_up import CatchUp
from dtvn.protocol.consensus.transfer.entries import ProvedEntry, Range
from dtvn.protocol.consensus.view_change import ViewChanging
from dtvn.protocol.consensus.voting import Voting
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from dtvn.protocol.host import Host, TurnLost, archive, peer_limits, pump
from dtvn.protocol.host.archive import ArchiveRepair
from dtvn.protocol.host.greetings import Greetings
from dtvn.protocol.host.heads import Heads
from dtvn.protocol.host.log_server import LogServer
from dtvn.protocol.host.own_clock import OwnClock
from dtvn.protocol.host.peer_limits import PeerLimits
from dtvn.protocol.host.ports import JournalError, JournalFenced
from dtvn.protocol.wire import Door, PeerError, door, signer
from dtvn.recovery import planning

asked_member: Any = import_module("dtvn.events.asking.member")
verifier: Any = import_module("dtvn.proof.verify")
"""The module, since the package has a function of that name."""
proof_certificate: Any = import_module("dtvn.proof.certificate")
statements: Any = import_module("dtvn.proof.statements")
