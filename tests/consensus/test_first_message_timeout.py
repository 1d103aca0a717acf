"""Members that start together are not ready at once: they wait longer for the first message (R31)."""

from __future__ import annotations

from tests.consensus.helpers import Cluster


def test_r31_members_that_start_together_wait_longer_for_the_primary() -> None:
    """A primary that is ready last is not deposed; waiting work has its own timer."""
    cluster = Cluster(4, first_message_timeout=5 * 10**9)
    cluster[0].crash()
    cluster.advance(4_000)
    assert not any(node.told("suspected") for node in cluster.up())
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(2_500)
    assert {node.core.snapshot().view for node in cluster.up()} == {1}
    assert all("T-1" in node.application.values for node in cluster.up())


def test_r31_the_longer_wait_at_the_start_is_bounded() -> None:
    cluster = Cluster(4, first_message_timeout=5 * 10**9)
    cluster[0].crash()
    cluster.advance(7_500)
    assert {node.core.snapshot().view for node in cluster.up()} == {1}
