"""Exceptions of services: a message for users and a stable code for programs.

ServiceError
├── ChangePending
├── TooManyChanges
└── StatedError
    ├── NodeUnknown, NodeNotRunning, NodeRunning, NodeExternal, PrimaryExists
    ├── ClusterBusy, ClusterSize, ClusterStopped
    └── ChangeUnknown, ChangeOrdered, ChangeFinished
"""

from typing import ClassVar

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


class StatedError(ServiceError):
    """A refusal whose message is always `sentence`, filled in with one argument for each of its braces."""

    sentence: ClassVar[str]

    def __init__(self, *named: object) -> None:
        super().__init__(self.sentence.format(*named))


class NodeUnknown(StatedError):
    code, status = "node_not_found", 404
    sentence = "there is no node named {!r}"


class NodeNotRunning(StatedError):
    code = "node_not_running"
    sentence = "{} is not running"


class NodeRunning(StatedError):
    code = "node_running"
    sentence = "{} is already running"


class NodeExternal(StatedError):
    code = "node_external"
    sentence = "{} is not run by this platform"


class PrimaryExists(StatedError):
    code = "primary_exists"
    sentence = "there is already a primary: the view determines which node it is"


class ClusterBusy(StatedError):
    code = "cluster_starting"
    sentence = "the cluster is already starting: {}"


class ClusterSize(StatedError):
    code = "cluster_size"
    sentence = "the cluster of this platform starts with node_count {}; then add or remove members"


class ClusterStopped(StatedError):
    code = "cluster_stopped"
    sentence = "{} is not a member, and a stopped cluster cannot add one: start the cluster first"


class ChangePending(ServiceError):
    """Another change of the same node is in progress."""

    code = "change_pending"


class TooManyChanges(ServiceError):
    """Too many changes are requested: the cluster would do nothing else. `retry_after`: seconds."""

    code, status = "too_many_changes", 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence, headers={"Retry-After": str(retry_after)})


class ChangeUnknown(StatedError):
    code, status = "not_found", 404
    sentence = "There is no change with this number."


class ChangeOrdered(StatedError):
    code = "change_ordered"
    sentence = "Change {} was already sent to the cluster. Wait for its end, then request the reverse."


class ChangeFinished(StatedError):
    code = "change_finished"
    sentence = "Change {} has already finished: {}."
