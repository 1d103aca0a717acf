"""COMMITs that come when their view is over decide, but those of different views never together (R21)."""

from __future__ import annotations

import pytest

from simulator.campaign import Task, run
from simulator.checkers.certificates import Certificates

pytestmark = pytest.mark.exhaustive

SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_r21_late_commits_of_an_earlier_view_decide(seed: int) -> None:
    """By design, in each seed: members are two views further, and have heard no COMMITs since."""
    report = run(Task(seed, "late-committer"))
    assert report.violation is None
    assert report.probes["ordering.decided_by_another_view"] >= 10


@pytest.mark.parametrize("seed", SEEDS)
def test_row_3_adding_commits_of_different_views_leads_to_a_fork(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the checker of certificates, which would notice earlier, this is a fork."""
    monkeypatch.setattr(Certificates, "_entry", lambda *_: None)
    assert run(Task(seed, "alternating-batches", "late-commits-across-views")).checker == "agreement"
