"""A replica's memory does not grow with the operations it executed (R24, R25): every container is measured.
`python -m benchmarks.memory` runs the whole million.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.memory import Four, containers

pytestmark = pytest.mark.ci

ROUNDS = 110
"""Eleven checkpoints of ten sequences, three times: everything that is pruned by them was pruned."""
SLACK = 8


def highest(four: Four, watched: Any) -> dict[str, int]:
    """The largest that each container was during some rounds."""
    found: dict[str, int] = {}
    for number in range(ROUNDS):
        four.round(5)
        if number % 7 == 0:
            for path, size in containers(watched).items():
                found[path] = max(found.get(path, 0), size)
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {
        path: (before.get(path, 0), size)
        for path, size in after.items()
        if size > before.get(path, 0) * 1.05 + SLACK
    }


def test_r24_no_container_of_a_replica_grows_with_the_operations() -> None:
    four = Four()
    for replica in four.replicas:
        replica.state.config = replace(replica.state.config, answers_kept=ROUNDS // 2)
    four.round(500)
    highest(four, four.replicas[1])
    before = highest(four, four.replicas[1])
    after = highest(four, four.replicas[1])
    assert grown(before, after) == {}
    assert {".checkpoints._votes", ".state.own_votes._cast", ".state.log.slots"} <= set(after), (
        "it looked where things are"
    )
    stable = {replica.state.log.stable for replica in four.replicas}
    assert min(stable) >= 3 * ROUNDS


def test_a_growing_container_is_found() -> None:
    """The walk itself: a container that grows by one entry a round, three levels down."""
    four = Four()
    replica = four.replicas[1]
    leak: list[bytes] = []
    replica.state.batch_fetches.leak = {"kept": (leak,)}  # type: ignore[attr-defined]
    before = highest(four, replica)
    leak += [bytes(2)] * ROUNDS
    assert any("leak" in path for path in grown(before, highest(four, replica)))
