"""Exceptions of services: a message for users and a stable code for programs.

ServiceError
├── NodeUnknown
├── NodeNotRunning
├── NodeRunning
├── NodeExternal
├── PrimaryExists
├── ClusterBusy
├── ClusterSize
├── ClusterStopped
├── ChangePending
├── TooManyChanges
├── ChangeUnknown
├── ChangeOrdered
└── ChangeFinished
"""

from dtvn.api.errors import ServiceError

__all__ = [
    "ChangeFinished",
    "ChangeOrdered",
    "ChangePending",
    "ChangeUnknown",
    "ClusterBusy",
    "ClusterSize",
    "ClusterStopped",
    "NodeExternal",
    "NodeNotRunning",
    "NodeRunning",
    "NodeUnknown",
    "PrimaryExists",
    "ServiceError",
    "TooManyChanges",
]


class NodeUnknown(ServiceError):
    code, status = "node_not_found", 404

    def __init__(self, node_id: str) -> None:
        super().__init__(f"there is no node named {node_id!r}")


class NodeNotRunning(ServiceError):
    code = "node_not_running"

    def __init__(self, node_id: str) -> None:
        super().__init__(f"{node_id} is not running")


class NodeRunning(ServiceError):
    code = "node_running"

    def __init__(self, node_id: str) -> None:
        super().__init__(f"{node_id} is already running")


class NodeExternal(ServiceError):
    code = "node_external"

    def __init__(self, node_id: str) -> None:
        super().__init__(f"{node_id} is not run by this platform")


class PrimaryExists(ServiceError):
    code = "primary_exists"

    def __init__(self) -> None:
        super().__init__("there is already a primary: the view determines which node it is")


class ClusterBusy(ServiceError):
    code = "cluster_starting"

    def __init__(self) -> None:
        super().__init__("the cluster is already starting")


class ClusterSize(ServiceError):
    code = "cluster_size"

    def __init__(self, members: int) -> None:
        super().__init__(
            f"the cluster of this platform has {members} validators: start it with node_count {members}, "
            "then add or remove members"
        )


class ClusterStopped(ServiceError):
    code = "cluster_stopped"

    def __init__(self, node_id: str) -> None:
        super().__init__(
            f"{node_id} is not a member, and a stopped cluster cannot add one: start the cluster first"
        )


class ChangePending(ServiceError):
    """Another change of the same node is in progress."""

    code = "change_pending"


class TooManyChanges(ServiceError):
    """So many changes are requested that the cluster would do nothing else. `retry_after`: seconds."""

    code, status = "too_many_changes", 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence, headers={"Retry-After": str(retry_after)})


class ChangeUnknown(ServiceError):
    code, status = "not_found", 404

    def __init__(self) -> None:
        super().__init__("There is no change with this number.")


class ChangeOrdered(ServiceError):
    code = "change_ordered"

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Change {number} was already sent to the cluster. Wait for its end, then request the reverse."
        )


class ChangeFinished(ServiceError):
    code = "change_finished"

    def __init__(self, number: int, state: str) -> None:
        super().__init__(f"Change {number} has already finished: {state}.")
