"""The pure consensus core: PBFT after Castro & Liskov, behind one face (docs/protocol/).

    core.restore(recovery, now) -> Effects     take up where the ledger ends
    core.wants(header) -> Reason | None        cheap refusal before any signature is checked
    core.receive(verified, now) -> Effects     a message whose signatures the door has checked
    core.tick(now) -> Effects                  the deadline passed
    core.deadline() -> int | None              when tick is wanted next
    core.invariants()                          raises InvariantBreach: stop this process

`Replica` votes, `Learner` follows. Others import from here or from the contract files (messages,
effects, verified, config, application, log_tree, needs).
"""

from validators.consensus.config import Config, ConfigError, build
from validators.consensus.errors import InvariantBreach
from validators.consensus.learner import Learner
from validators.consensus.replica import Replica
from validators.consensus.snapshot import MemberSnapshot, ReplicaSnapshot, SlotSnapshot

__all__ = [
    "Config",
    "ConfigError",
    "InvariantBreach",
    "Learner",
    "MemberSnapshot",
    "Replica",
    "ReplicaSnapshot",
    "SlotSnapshot",
    "build",
]
