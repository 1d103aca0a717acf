"""Formatting of log values in the admin."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from dtvn.api.times import calendar_time
from dtvn.machine.reasons import OK, REASONS
from dtvn.watch import Agreement
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
    return f"{calendar_time(microseconds):%Y-%m-%d %H:%M:%S UTC}"


def outcome_pill(code: str) -> SafeString:
    """An outcome as a coloured label."""
    tone = "ok" if code == OK else "bad" if REASONS[code].whose == "guest" else "warn"
    return format_html(
        '<span class="pill plain {}" title="{}">{}</span>',
        tone,
        REASONS[code].sentence,
        code.replace("_", " "),
    )


def node_tone(node_id: str, status: str, error: str, state: Agreement | None) -> tuple[str, str]:
    """(tone of a node's state, what it lacks): a process that runs is good news only if its node takes part
    in a quorum. `state`: the cluster's; None for a node that has no vote."""
    if status == NodeStatus.RUNNING and error:
        return "bad", ""
    if status == NodeStatus.RUNNING and state is not None:
        if state.level == "stuck":
            return "warn", "no quorum"
        if state.changing:
            return "warn", "changing"
        if node_id not in state.agreeing_members:
            return "warn", "does not agree"
    return NODE_TONES.get(NodeStatus(status), ""), ""


def node_pill(node_id: str, status: str, error: str, state: Agreement | None) -> SafeString:
    """The state of a node as a coloured label; parameters as in `node_tone`."""
    tone, lacks = node_tone(node_id, status, error, state)
    words = ", ".join(filter(None, (NodeStatus(status).label, lacks)))
    return format_html('<span class="pill {}" data-node="{}">{}</span>', tone, node_id, words)
