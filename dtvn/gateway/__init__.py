"""The client library: operations in, outcomes that f + 1 members agree on out.

`collector` is the pure part, which the simulator drives too; `client.Gateway` gives it a thread and
links; `fake.FakeGateway` has the same interface without a network. How to use it alone:
docs/use/python-client.md.
"""

from dtvn.gateway.agreement import NO_CLUSTER, Agreement, agreement_of
from dtvn.gateway.client import Gateway, valid_until
from dtvn.gateway.collector import (
    Actions,
    Answered,
    Collector,
    Completed,
    OperationTooLarge,
    Overloaded,
    Result,
)
from dtvn.gateway.face import DEFAULT_WAIT, GatewayClosed, GatewayFace, MemberView
from dtvn.gateway.identity import Identity, file_mark, next_path, read_identity
from dtvn.gateway.liveness import gather_liveness_proofs, newcomer_proof
from dtvn.gateway.locks import Lease, LockClient, LockError

__all__ = [
    "DEFAULT_WAIT",
    "NO_CLUSTER",
    "Actions",
    "Agreement",
    "Answered",
    "Collector",
    "Completed",
    "Gateway",
    "GatewayClosed",
    "GatewayFace",
    "Identity",
    "Lease",
    "LockClient",
    "LockError",
    "MemberView",
    "OperationTooLarge",
    "Overloaded",
    "Result",
    "agreement_of",
    "file_mark",
    "gather_liveness_proofs",
    "newcomer_proof",
    "next_path",
    "read_identity",
    "valid_until",
]
