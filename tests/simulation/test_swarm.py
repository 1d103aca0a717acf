"""Random worlds: how often each feature is on, and which never stand together."""

from __future__ import annotations

from simulator.campaign import Task, run
from simulator.dice import Dice
from simulator.swarm import APART, FEATURES, draw_features, draw_raft_run, draw_run

DRAWN = [draw_features(Dice(f"features {seed}")) for seed in range(1_000)]


def test_each_feature_is_on_in_a_quarter_to_half_of_the_worlds() -> None:
    for feature in FEATURES:
        share = sum(feature in each for each in DRAWN) / len(DRAWN)
        assert 0.22 < share < 0.55, feature


def test_features_that_cannot_stand_together_never_do() -> None:
    for one, others, _why in APART:
        assert not any(one in each and each & {*others} for each in DRAWN)


def test_r44_a_world_of_raft_has_no_liar_and_even_sizes_too() -> None:
    drawn = [draw_raft_run(seed) for seed in range(200)]
    assert not any(each.adversaries or each.recovers_at or each.old_speaker for each in drawn)
    assert {each.settings.members for each in drawn} == {1, 2, 3, 4, 5, 6, 7}


def test_fields_that_rules_read_are_drawn_with_the_absent_value() -> None:
    assert sum(draw_run(seed).traffic.odd > 0.05 for seed in range(100)) > 50


def test_r39_the_same_seed_gives_the_same_run() -> None:
    assert run(Task(2)).fingerprint == run(Task(2)).fingerprint
