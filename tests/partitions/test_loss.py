"""A month over links that lose messages: the watch is quiet without a cut, and sees one (seeded, virtual
time)."""

from __future__ import annotations

import pytest
from msgspec import structs

from benchmarks.partition_watch import GATEWAY, NODE, WAIT, Alarms, Lossy, alarms, seconds_to_detection
from dtvn.protocol.durations import SECOND

pytestmark = pytest.mark.exhaustive

STRICT = structs.replace(WAIT, acceptable_pause=0, phi_threshold=3.0)
CHECK_EVERY = WAIT.heartbeat_timeout / 3 / SECOND
LONGEST = WAIT.heartbeat_timeout / SECOND + CHECK_EVERY
"""Seconds within which a cut is found: the longest silence that is borne, and the pause between two looks."""


@pytest.mark.parametrize(
    "days", [2, pytest.param(30, marks=[pytest.mark.exhaustive, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("host", [NODE, GATEWAY])
def test_at_five_percent_loss_there_is_less_than_one_false_alarm_a_day(host: str, days: int) -> None:
    told = alarms(host, 4, 0.05, days=days, seed=46)
    assert told.days == days
    assert told.false_alarms < 1, told


def test_the_month_counts_what_gets_lost() -> None:
    """The world is not quiet because nothing happens in it: without the pause that is borne, three messages
    in a row that are lost make a peer unreachable many times a day."""
    strict = alarms(NODE, 4, 0.05, days=0.5, seed=46, config=STRICT)
    assert strict.lost > 20, strict
    assert alarms(NODE, 4, 0.0, days=0.25, seed=46) == Alarms(0.25, 0.0, 0.0)


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("host", [NODE, GATEWAY])
def test_a_real_cut_is_found_within_the_longest_silence_and_a_look(host: str, loss: float) -> None:
    took = seconds_to_detection(host, 4, loss, seed=46, cuts=5)
    assert max(took) <= LONGEST
    assert min(took) > 1, "a second of silence is no cut"


def test_a_cut_that_heals_is_over_and_told_once() -> None:
    world = Lossy(NODE, 4, 0.05, seed=46)
    for second in range(900):
        world.second(second, world.peers if 300 <= second < 420 else ())
    (known,) = world.watch.get_partition_history()
    assert known.recovered_at is not None
    assert 420 <= known.recovered_at / SECOND <= 440
    assert len(world.splits) == 1
