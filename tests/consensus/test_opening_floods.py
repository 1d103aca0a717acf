"""Openings of sessions: no flood of them deposes a primary, and a primary that orders none is deposed (R30,
P14, P15; decision 0187)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import UNFAIR
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.requests.pool import OPENINGS_MAX
from tests.consensus.helpers import Cluster

STEP_MS = 100
FORWARDS = range(1, 4)


def opened(cluster: Cluster, label: str, to: list[int]) -> bytes:
    return cluster.request(label, session=m.UNOPENED, to=to)


def is_forwarded_opening(_source: int, _target: int, message: Any) -> bool:
    return isinstance(message, m.Bundle) and message.session == m.UNOPENED


def views(cluster: Cluster) -> set[int]:
    return {node.core.snapshot().view for node in cluster.nodes}


def test_r30_waiting_openings_of_a_flooding_principal_depose_nobody() -> None:
    """Each backup holds others, which the primary refuses; it orders those that it has room for."""
    cluster = Cluster(4)
    cluster.drop(is_forwarded_opening)
    for number in range(80):
        for backup in FORWARDS:
            opened(cluster, f"open-{backup}-{number}", [backup])
        opened(cluster, f"open-0-{number}", [0])
        cluster.request(f"T-{number}")
        cluster.advance(STEP_MS)
    assert views(cluster) == {0}
    assert not any(node.told("suspected") for node in cluster.nodes)
    assert max(node.core.snapshot().pending for node in cluster.nodes) <= OPENINGS_MAX


def test_r30_a_primary_that_orders_no_openings_is_deposed() -> None:
    cluster = Cluster(4)
    cluster.drop(
        lambda source, target, message: target == 0 and is_forwarded_opening(source, target, message)
    )
    opened(cluster, "open", [1, 2, 3])
    for number in range(60):
        cluster.request(f"T-{number}", to=[0, 1])
        cluster.advance(STEP_MS)
    assert UNFAIR in {note["reason"] for node in cluster.nodes for note in node.told("suspected")}
    assert views(cluster) == {1}
    assert "open" in cluster[1].application.values


def test_row_15_a_principal_has_few_openings_in_the_pool() -> None:
    cluster = Cluster(4)
    cluster.drop(lambda _source, _target, _message: True)
    for number in range(OPENINGS_MAX + 5):
        opened(cluster, f"open-{number}", [1])
    assert cluster[1].core.snapshot().pending == OPENINGS_MAX
    assert {busy.code for busy in cluster.answers(m.Busy)} == {Reason.BUSY.value}


def test_r5_a_waiting_opening_is_refused_before_its_signature_is_checked() -> None:
    cluster = Cluster(4)
    cluster.drop(lambda _source, _target, _message: True)
    frame = opened(cluster, "open", [1])
    assert cluster[1].hear(None, frame) is Reason.SECOND_MESSAGE


def test_r5_an_executed_request_is_answered_on_its_clients_link_alone() -> None:
    cluster = Cluster(4)
    frame = cluster.request("T-1")
    cluster.stabilize()
    cluster.replies.clear()
    checked = cluster[2].door.verifications
    assert cluster[2].hear(None, frame) is Reason.DECIDED
    assert cluster[2].door.verifications == checked
    assert len(cluster.replies) == 1
    assert cluster[2].hear(cluster[1], frame) is Reason.DECIDED
    assert len(cluster.replies) == 1, "a member answers its own clients"
