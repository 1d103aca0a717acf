"""What `benchmarks.event_runs` measures is what it says: runs of their own, judged valid, event by event."""

from __future__ import annotations

import pytest

from benchmarks.event_runs import Seen, many
from dtvn.events.config import Algorithm
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis

RUNS, STEPS = 5, 6


@pytest.mark.parametrize("algorithm", [Algorithm.MAJORITY, Algorithm.PBFT])
def test_each_run_of_the_bench_has_a_rule_state_of_its_own(algorithm: Algorithm) -> None:
    gateway, seen = FakeGateway(make_genesis(4), principal="gateway"), Seen()
    steps = many(gateway, algorithm, RUNS, seen)  # type: ignore[arg-type]
    for _ in range(STEPS):
        next(steps)
    live = list(gateway.events._open.values())
    assert {run.position for run in live} == {STEPS}
    assert len({run.live.track.rules.state for run in live}) == RUNS
    steps.close()  # type: ignore[attr-defined]
    assert (seen.events, len(seen.seconds)) == (RUNS * STEPS, RUNS * STEPS)
    assert gateway.events.live() == 0
