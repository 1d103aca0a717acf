"""Frames about nodes: what the contract's Node object says, also of one that is gone."""

from __future__ import annotations

from typing import Any

from validators.dashboard.nodes import node_changes
from validators.models import Announcement, NodeRole

NODE: dict[str, Any] = {
    "id": "node2",
    "role": NodeRole.VALIDATOR,
    "status": "stopping",
    "api_port": 9003,
    "is_primary": False,
    "external": False,
}


def test_a_node_frame_has_an_error_only_if_the_node_has_one() -> None:
    failed, running = (
        Announcement(node_id="node2", status="error", error="no room"),
        Announcement(node_id="node2", status="running"),
    )
    first, second = node_changes([NODE], [{**NODE, "error": "no room"}], [failed, running])
    assert (first["node"]["error"], first["node"]["status"]) == ("no room", "error")
    assert second["node"] == {**NODE, "status": "running"}


def test_the_last_frame_of_a_removed_node_is_complete() -> None:
    [frame] = node_changes([NODE], [], [Announcement(node_id="node2", status="stopped")])
    assert (frame["status"], frame["node"]) == ("stopped", {**NODE, "status": "stopped"})


def test_a_transition_is_told_with_what_the_newest_look_found() -> None:
    before, now = {**NODE, "pid": 7, "sequence": 40}, {**NODE, "pid": 8, "sequence": 41}
    [frame] = node_changes([before], [now], [Announcement(node_id="node2", status="running")])
    assert frame["node"] == {**now, "status": "running"}


def test_a_node_that_was_started_is_not_shown_as_joining() -> None:
    joining = {**NODE, "joining": "ordering"}
    [frame] = node_changes([joining], [joining], [Announcement(node_id="node2", status="running")])
    assert "joining" not in frame["node"], "no later frame would take it back"
