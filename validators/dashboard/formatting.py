"""Formatting of log values in the admin."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from dtvn.gateway import Agreement
from dtvn.machine.contract import MICROSECONDS
from validators.models import NodeStatus

NODE_TONES = {
    NodeStatus.RUNNING: "ok",
    NodeStatus.STARTING: "accent",
    NodeStatus.STOPPING: "accent",
    NodeStatus.UNRESPONSIVE: "bad",
    NodeStatus.ERROR: "bad",
}


def moment(microseconds: int) -> str:
    """A timestamp of the log as text; "" for none."""
    if not microseconds:
        return ""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def outcome_pill(code: str) -> SafeString:
    """An outcome as a coloured label."""
    return format_html('<span class="pill plain {}">{}</span>', "ok" if code == "ok" else "bad", code)


def node_pill(node_id: str, status: str, error: str, state: Agreement | None) -> SafeString:
    """The state of a node as a coloured label, like page.js: a process that runs is good news only if its
    node takes part in a quorum. `state`: the cluster's; None for a node that has no vote."""
    tone, words = NODE_TONES.get(NodeStatus(status), ""), str(NodeStatus(status).label)
    if status == NodeStatus.RUNNING and error:
        tone = "bad"
    elif status == NodeStatus.RUNNING and state is not None:
        lacks = "no quorum" if state.level == "stuck" else "does not agree"
        if state.level == "stuck" or node_id not in state.agreeing_members:
            tone, words = "warn", f"{words}, {lacks}"
    return format_html('<span class="pill {}" data-node="{}">{}</span>', tone, node_id, words)
