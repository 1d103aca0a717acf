"""Changes of the cluster's members and parameters: prepared, ordered and applied by the platform.

    nodes      the members and newcomers as this platform sees them: `list_members`, `list_nodes`, `find_node`
    epoch      `present_epoch`: its members by seat, and the faults it survives
    changes    requested here, kept as rows, carried out by `run_changes`: the module `changes`
    steps      of a change that the command orders at an administrator's own gateway: `check_request`,
               `incoming_keys`, `preview`, `change_of`, `refuse_standstill`, `refuse_version`, `order`

The names import models, so Django's apps are loaded before this package.
"""

from dtvn.node.process import CONTRADICTION, DISK_FULL, FOLLOWING, WAITING
from validators.membership.adding import add_node
from validators.membership.change_limits import refuse_standstill, refuse_version
from validators.membership.change_loop import run_changes
from validators.membership.change_request import (
    FIXED_PARAMETERS,
    LIVENESS_PROOF_BYTES_MAX,
    ChangeRequest,
    Kind,
    Preview,
    change_of,
    check_request,
    incoming_keys,
    order,
    preview,
    read_proof,
)
from validators.membership.epoch import PresentEpoch, ShownMember, met_newest, present_epoch
from validators.membership.node_list import find_node, list_nodes
from validators.membership.roster import (
    ALIVE,
    DISK_IS_FULL,
    MemberNode,
    error_of,
    list_members,
    view_of,
)

__all__ = [
    "ALIVE",
    "CONTRADICTION",
    "DISK_FULL",
    "DISK_IS_FULL",
    "FIXED_PARAMETERS",
    "FOLLOWING",
    "LIVENESS_PROOF_BYTES_MAX",
    "WAITING",
    "ChangeRequest",
    "Kind",
    "MemberNode",
    "PresentEpoch",
    "Preview",
    "ShownMember",
    "add_node",
    "change_of",
    "check_request",
    "error_of",
    "find_node",
    "incoming_keys",
    "list_members",
    "list_nodes",
    "met_newest",
    "order",
    "present_epoch",
    "preview",
    "read_proof",
    "refuse_standstill",
    "refuse_version",
    "run_changes",
    "view_of",
]
