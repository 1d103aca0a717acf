"""The way into a cluster: operations in, outcomes that f + 1 members agree on out.

`collector` is the pure part, which the simulator drives too; `client.Gateway` gives it a thread and
links; `fake.FakeGateway` has the same interface without a network. How to use it alone:
docs/use/python-client.md.
"""

from dtvn.gateway.collector import (
    Actions,
    Answered,
    Collector,
    Completed,
    OperationTooLarge,
    Overloaded,
    Result,
)

__all__ = [
    "Actions",
    "Answered",
    "Collector",
    "Completed",
    "OperationTooLarge",
    "Overloaded",
    "Result",
]
