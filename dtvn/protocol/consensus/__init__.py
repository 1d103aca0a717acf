"""The pure consensus core: PBFT after Castro & Liskov, behind one interface (docs/understand/protocol/).

    core.restore(tail, now) -> Effects         resume from the end of the ledger
    core.wants(header) -> Reason | None        cheap refusal before any signature is checked
    core.wants_within(header, kind)            the same for a statement inside a message of that kind
    core.awaits(digest) -> bool                whether it asked for this batch
    core.on_refused(header, reason) -> Effects use what a refused message still shows
    core.receive(verified, now) -> Effects     handle a message whose signatures the door has checked
    core.tick(now) -> Effects                  act after the deadline has passed
    core.deadline() -> int | None              time of the next tick
    core.receiving -> bool                     whether a state transfer to it is running
    core.invariants()                          raises InvariantBreach: stop this process

`core` makes the core that votes, by the mode of the cluster (`Replica` or `RaftReplica`); `Learner` follows,
`Executor` executes alone what was decided (recovery, audits).

Each mechanism has a file of its own. Normal-case operation is ordering, proposing and execution; the failure
detector is suspicion; recovery is rejoin and restore.

Other packages import from here or from the vocabulary: messages, effects, causes, verified, application,
config, membership, certificate, log_tree, fields, epoch_change_proof, ledger_tail, new_view, sessions,
sources, transfer.parts, contradiction, offences. Those hold values, with the pure functions that read or
build them, and each is the one place where its values are explained: handed out here a second time, two
hundred names would hide the dozen that act. All other files are this package's own (pyproject.toml,
import-linter).
"""

from dtvn.protocol.consensus.bodies import NULL_BATCH
from dtvn.protocol.consensus.chosen_core import VotingCore, core
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.executor import Executor, open_body, subtree_paths
from dtvn.protocol.consensus.learner import ARCHIVE_PATIENCE, Learner
from dtvn.protocol.consensus.pinging import OTHERS_ARE_GONE
from dtvn.protocol.consensus.raft import RaftReplica
from dtvn.protocol.consensus.raft.elections import TERM as RAFT_TERM
from dtvn.protocol.consensus.raft.log import ACCEPTED as RAFT_ACCEPTED
from dtvn.protocol.consensus.raft.log import accepted_entries
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.request_key import BATCH_HEADER, FRAMING
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot

__all__ = [
    "ARCHIVE_PATIENCE",
    "BATCH_HEADER",
    "EPOCH",
    "FRAMING",
    "NULL_BATCH",
    "OTHERS_ARE_GONE",
    "RAFT_ACCEPTED",
    "RAFT_TERM",
    "Executor",
    "InvariantBreach",
    "Learner",
    "RaftReplica",
    "Replica",
    "ReplicaSnapshot",
    "Signer",
    "VotingCore",
    "accepted_entries",
    "core",
    "open_body",
    "subtree_paths",
]
