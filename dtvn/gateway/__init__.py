"""The client library: operations in, outcomes that f + 1 members agree on out.

`Gateway` owns a thread and the links to all members; `Collector` is its pure part, which the simulator
drives too. `GatewayFace` is the interface for callers that may be given another one. How to use it alone:
docs/api.md.
"""

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
from dtvn.gateway.words import gather_words

__all__ = [
    "DEFAULT_WAIT",
    "Actions",
    "Answered",
    "Collector",
    "Completed",
    "Gateway",
    "GatewayClosed",
    "GatewayFace",
    "Identity",
    "MemberView",
    "OperationTooLarge",
    "Overloaded",
    "Result",
    "file_mark",
    "gather_words",
    "next_path",
    "read_identity",
    "valid_until",
]
