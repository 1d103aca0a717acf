"""The client library: operations in, outcomes that f + 1 members agree on out.

`collector` and `event_runs` are the pure parts, which the simulator drives too; `client.Gateway` gives them a
thread and links. How to use it alone: docs/use/python-client.md.
"""

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.gateway.agreeing import Agreeing
from dtvn.gateway.client import Gateway
from dtvn.gateway.collector import (
    Actions,
    Answered,
    Collector,
    Completed,
    OperationTooLarge,
    Overloaded,
    Result,
)
from dtvn.gateway.event_runs import EventActions, EventRuns, LiveRun
from dtvn.gateway.events_face import (
    CALL_EVENTS_MAX,
    NO_CERTIFICATE,
    STATE_DIFFERS,
    VERDICT_WAIT,
    EventFigures,
    EventRun,
    Events,
    Given,
    Judged,
    JudgedPiece,
    MemberAnswer,
    Recorded,
    RunEnd,
    RunEnded,
    RunIsLive,
    RunPlace,
    VoteEvidenceFile,
    refusal_of,
)
from dtvn.gateway.face import DEFAULT_WAIT, Balance, GatewayClosed, GatewayFace
from dtvn.gateway.identity import Identity, file_mark, next_path, read_identity
from dtvn.gateway.liveness import gather_liveness_proofs, newcomer_proof
from dtvn.gateway.locks import AsyncLockClient, Fence, Lease, LockClient, LockError
from dtvn.gateway.owed import (
    Difference,
    OwedSummary,
    SettledRun,
    differences,
    is_final,
    refused_by_members,
    refused_here,
)
from dtvn.gateway.owed_settler import OwedStore, Settler
from dtvn.gateway.releases import NO_ANSWER, releases_of, waits_sentence
from dtvn.gateway.state_peers import Peers, StateSyncError
from dtvn.gateway.state_sync import StateSynchronizer
from dtvn.gateway.state_values import (
    StateComparison,
    StateSnapshot,
    StateVersion,
    SyncStatus,
    compare_states,
)
from dtvn.gateway.validator import AsyncDistributedValidator, DistributedValidator
from dtvn.gateway.validator_answers import (
    ComponentHealth,
    ComponentState,
    ConnectionStatus,
    Health,
    Metrics,
    NodeHealth,
    NodeInfo,
    NodeState,
    Owing,
    PartitionInfo,
    ValidationResult,
)
from dtvn.gateway.validator_nodes import ValidatorError

__all__ = [
    "Actions",
    "Agreeing",
    "Answered",
    "AsyncDistributedValidator",
    "AsyncLockClient",
    "Balance",
    "CALL_EVENTS_MAX",
    "Collector",
    "compare_states",
    "Completed",
    "ComponentHealth",
    "ComponentState",
    "ConnectionStatus",
    "DEFAULT_WAIT",
    "Difference",
    "differences",
    "DistributedValidator",
    "EVENT_BYTES_MAX",
    "EventActions",
    "EventFigures",
    "EventRun",
    "EventRuns",
    "Events",
    "Fence",
    "file_mark",
    "Gateway",
    "GatewayClosed",
    "GatewayFace",
    "gather_liveness_proofs",
    "Given",
    "Health",
    "Identity",
    "is_final",
    "Judged",
    "JudgedPiece",
    "Lease",
    "LiveRun",
    "LockClient",
    "LockError",
    "MemberAnswer",
    "NO_ANSWER",
    "releases_of",
    "waits_sentence",
    "Metrics",
    "newcomer_proof",
    "next_path",
    "NO_CERTIFICATE",
    "NodeHealth",
    "NodeInfo",
    "NodeState",
    "OperationTooLarge",
    "Overloaded",
    "OwedStore",
    "OwedSummary",
    "Owing",
    "PartitionInfo",
    "Peers",
    "read_identity",
    "Recorded",
    "refusal_of",
    "refused_by_members",
    "refused_here",
    "Result",
    "RunEnd",
    "RunEnded",
    "RunIsLive",
    "RunPlace",
    "SettledRun",
    "STATE_DIFFERS",
    "StateComparison",
    "Settler",
    "StateSnapshot",
    "StateSyncError",
    "StateSynchronizer",
    "StateVersion",
    "SyncStatus",
    "ValidationResult",
    "ValidatorError",
    "VERDICT_WAIT",
    "VoteEvidenceFile",
]
