"""Offline recovery: all members continue a cluster in which nothing can be ordered any more (R11). Pure.

    telling, reading   each member, offline, signs a statement of what its ledger holds
    planning           the log is computed from all n statements, as the primary of a new view would do it
    ending             each member executes the plan, then the operation `recover`, and signs the epoch's end
    sealing            all n signatures are the epoch change proof; each ledger stores it in one transaction

Nothing here writes or opens a ledger: `dtvn.ceremony.recovery_steps` does.
"""

from dtvn.recovery.ending import Ending, reach
from dtvn.recovery.forms import (
    CONTINUE,
    FILE_BYTES_MAX,
    LogsBehind,
    PlanFile,
    RecoveryError,
    SealedFile,
    SignedFile,
    StateFile,
    opened,
    plan_digest,
)
from dtvn.recovery.kinds import HEAD_BYTES, PLAN, not_wanted
from dtvn.recovery.planning import Plan, make_plan
from dtvn.recovery.reading import MemberKeys, epoch_of, read_states
from dtvn.recovery.telling import tell, why_lost

__all__ = [
    "CONTINUE",
    "FILE_BYTES_MAX",
    "HEAD_BYTES",
    "PLAN",
    "Ending",
    "LogsBehind",
    "MemberKeys",
    "Plan",
    "PlanFile",
    "RecoveryError",
    "SealedFile",
    "SignedFile",
    "StateFile",
    "epoch_of",
    "make_plan",
    "not_wanted",
    "opened",
    "plan_digest",
    "reach",
    "read_states",
    "tell",
    "why_lost",
]
