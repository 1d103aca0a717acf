"""A node tells its API of a changed view or vote in the same turn (C29, X6b)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dtvn.node.node import Node


def test_only_a_changed_role_is_shown_at_once_and_only_once() -> None:
    told: list[tuple[int, bool]] = []
    node: Any = SimpleNamespace(view=0, voting=True, sequence=0)
    node.exporter = SimpleNamespace(wanted=lambda: False)
    node.inspector = SimpleNamespace(shown=lambda: (node.view, node.voting))
    node._api = SimpleNamespace(publish=told.append)
    node._show = lambda: Node._show(node)
    node._shown_role = (-1, False)
    Node.refresh(node)
    assert told == [(0, True)]
    node.sequence = 7
    Node.refresh(node)
    assert told == [(0, True)]
    node.view = 1
    for _ in range(3):
        Node.refresh(node)
    assert told == [(0, True), (1, True)]
    node.voting = False
    Node.refresh(node)
    assert told == [(0, True), (1, True), (1, False)]
