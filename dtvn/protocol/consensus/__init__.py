"""The pure consensus core: PBFT after Castro & Liskov, behind one interface (docs/understand/protocol/).

    core.restore(recovery, now) -> Effects     resume from the end of the ledger
    core.wants(header) -> Reason | None        cheap refusal before any signature is checked
    core.on_refused(header, reason)            what a refused message still shows
    core.receive(verified, now) -> Effects     handle a message whose signatures the door has checked
    core.tick(now) -> Effects                  act after the deadline has passed
    core.deadline() -> int | None              time of the next tick
    core.invariants()                          raises InvariantBreach: stop this process

`Replica` votes, `Learner` follows. Other packages import from here or from the contract files (messages,
effects, verified, config, application, log_tree, recovery, signer).
"""

from dtvn.protocol.consensus.config import Config, ConfigError, build
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.learner import Learner
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.snapshot import MemberSnapshot, ReplicaSnapshot, SlotSnapshot

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
