"""Probes: the table names every mark in the code, and a small campaign reaches most of them (row 11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dtvn.protocol import probes
from simulator.campaign import Task, run

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 12
"""Within so many a directed world comes to its moment."""
MARK = re.compile(r'probe\(\s*(f?)"([^"]+)"')


def marks() -> dict[str, bool]:
    """Name (up to its first placeholder) of each mark -> whether it has a placeholder."""
    found: dict[str, bool] = {}
    for path in (*sorted((ROOT / "dtvn").rglob("*.py")), *sorted((ROOT / "simulator").glob("*.py"))):
        if path.name != "probes.py":
            for placeholder, name in MARK.findall(path.read_text(encoding="utf-8")):
                found[name.split("{")[0]] = bool(placeholder)
    return found


def test_the_table_of_probes_has_exactly_the_marks_in_the_code() -> None:
    found = marks()
    assert found, "no marks"
    for name, open_ended in found.items():
        named = [probe for probe in probes.PROBES if probe == name or (open_ended and probe.startswith(name))]
        assert named, f"{name} is not in the table"
    for probe in probes.PROBES:
        if probe.startswith("note."):
            continue
        assert any(
            probe == name or (open_ended and probe.startswith(name)) for name, open_ended in found.items()
        )
    assert all(sentence for sentence in probes.PROBES.values())


@pytest.mark.ci
def test_probes_count_only_in_a_run_and_every_hit_is_in_the_table() -> None:
    reached: set[str] = set()
    for world in ("leaderless", "crashes", "lone-commit", "lost-disks"):
        report = run(Task(0, world))
        assert report.violation is None
        assert set(report.probes) <= set(probes.PROBES), set(report.probes) - set(probes.PROBES)
        reached |= set(report.probes)
    assert "views.reproposed_batch" in reached
    assert "restore.without_a_vote" in reached
    assert not probes._listeners


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("probe", "world"),
    [
        ("ordering.another_proposal_is_durable", "early-equivocator"),
        ("ordering.abstained_equivocation", "early-equivocator"),
        ("ordering.abstained_state_behind", "early-ticks"),
        ("ordering.prepared_but_executed_otherwise", "late-votes"),
        ("ordering.decided_by_another_view", "late-committer"),
        ("proposing.window_full", "lost-checkpoints"),
        ("catch_up.refused_a_page", "bad-log-server"),
        ("catch_up.entry_differs", "bad-log-results"),
        ("epoch_catch_up.bad_proof", "false-epoch-catch-up"),
        pytest.param("epoch_catch_up.no_state_to_be_had", "stranded-member", marks=pytest.mark.exhaustive),
        ("pinging.awaits_all", "older-disk"),
        ("contradiction.restored", "forked"),
        ("door.codes_of_a_snapshot", "doors-among-transfers"),
        ("door.replace_in_flight_before", "doors"),
        ("door.replace_in_flight_after", "doors"),
        ("door.blocked_between_admission_and_retry", "doors"),
        ("list.changed_after_entries", "lists"),
        ("list.entered_on_two_days", "lists"),
        ("list.refused_too_late_to_annul", "lists-and-clocks"),
        ("list.movements_read_at_start", "lists-among-crashes"),
        ("list.movements_of_a_snapshot", "lists-among-transfers"),
        ("power_cut.in_a_transfer", "power-cut-in-transfers"),
        ("old_speaker.refused_a_field", "version-before"),
        ("raft.void_record", "raft-void-records"),
        ("raft.conflict_replaced", "raft-three-two"),
        ("raft.leader_without_quorum", "raft-three-two"),
        ("raft.follower_in_later_term", "raft-brief-cut"),
        ("raft.outside_window", "raft-no-room"),
        ("raft.fetched_entry_replaced", "raft-lost-disks"),
    ],
)
def test_rarely_hit_probes_have_a_directed_world_that_hits_them(probe: str, world: str) -> None:
    assert any(probe in run(Task(seed, world)).probes for seed in range(SEEDS))
