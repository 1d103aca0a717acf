"""Facts about a node, as its controller observes them."""

from __future__ import annotations

from validators.models import DesiredState
from validators.processes.node_controller import Observation


def never_started() -> Observation:
    """A node that shall run, and never did."""
    return Observation(
        desired=DesiredState.RUNNING,
        generation=1,
        running_generation=None,
        claimed=False,
        holder=None,
        heartbeat=None,
        turning=False,
        exit_reason="",
    )
