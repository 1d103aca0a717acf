"""What a service raises: a sentence for people and a stable code for programs.

ServiceError
├── NodeUnknown
└── NodeNotRunning
"""


class ServiceError(Exception):
    """A request that cannot be done; `code` never changes, the sentence may."""

    code = "refused"


class NodeUnknown(ServiceError):
    code = "node_not_found"

    def __init__(self, node_id: str) -> None:
        super().__init__(f"no node is named {node_id!r}")


class NodeNotRunning(ServiceError):
    code = "node_not_running"

    def __init__(self, node_id: str) -> None:
        super().__init__(f"{node_id} is not running")
