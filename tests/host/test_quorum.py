"""Thresholds against a brute-force twin (PROTOCOL notation, P1)."""

from __future__ import annotations

import pytest

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from tests.support.table import table


def slow_faults(n: int, mode: Mode) -> int:
    """The most liars f with 3f + 1 <= n; none in a cluster of machines that trust each other."""
    return max(f for f in range(n) if 3 * f + 1 <= n) if mode is Mode.PBFT else 0


def slow_quorum(n: int, f: int) -> int:
    """The least q of which any two share at least f + 1 members: |A & B| >= 2q - n."""
    return min(q for q in range(1, n + 1) if 2 * q - n >= f + 1)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas hold beyond the size that a cluster may have."""
    monkeypatch.setattr(quorum, "MEMBERS_MAX", 100)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("n", range(1, 101))
def test_row_1_quorum_against_brute_force(n: int, mode: Mode) -> None:
    f, q = quorum.faults(n, mode), quorum.quorum(n, mode)
    assert f == slow_faults(n, mode)
    assert q == slow_quorum(n, f) == -(-(n + f + 1) // 2)
    assert 2 * q - n >= f + 1, "two quorums share an honest member"
    assert q <= n - f, "a quorum is reachable without the liars"
    assert quorum.weak_quorum(n, mode) == f + 1
    assert quorum.crashes_tolerated(n, mode) == n - q


def table_of(mode: Mode) -> dict[int, tuple[int, int, int]]:
    """Members -> (liars, quorum, crashes)."""
    return {
        n: (quorum.faults(n, mode), quorum.quorum(n, mode), quorum.crashes_tolerated(n, mode))
        for n in range(1, 8)
    }


def test_r44_with_raft_any_majority_decides_and_nobody_may_lie() -> None:
    """Five members survive two crashes, where with PBFT they survive one."""
    assert table_of(Mode.RAFT) == {
        1: (0, 1, 0),
        2: (0, 2, 0),
        3: (0, 2, 1),
        4: (0, 3, 1),
        5: (0, 3, 2),
        6: (0, 4, 2),
        7: (0, 4, 3),
    }
    for n in range(1, 32):
        assert (quorum.quorum(n, Mode.RAFT), quorum.weak_quorum(n, Mode.RAFT)) == (n // 2 + 1, 1)


def test_row_1_the_table_for_small_clusters() -> None:
    """R37: n = 5 survives one liar and one crash, n = 6 one liar and two crashes."""
    assert table_of(Mode.PBFT) == {
        1: (0, 1, 0),
        2: (0, 2, 0),
        3: (0, 2, 1),
        4: (1, 3, 1),
        5: (1, 4, 1),
        6: (1, 4, 2),
        7: (2, 5, 2),
    }


def test_row_1_two_f_plus_one_would_be_wrong() -> None:
    """What the mutant would do: at n = 5 and 6 two sets of 2f + 1 need not share an honest member."""
    for n in (5, 6):
        f = quorum.faults(n, Mode.PBFT)
        assert 2 * (2 * f + 1) - n < f + 1
        assert quorum.quorum(n, Mode.PBFT) > 2 * f + 1


def test_r29_f_plus_1_suspects_make_others_join() -> None:
    assert [quorum.suspicion_quorum(n, Mode.PBFT) for n in (1, 2, 3, 4, 6, 7, 31)] == [1, 2, 2, 2, 2, 3, 11]


@table("mode", Mode, count=2)
@table("n", [0, -1, 32], count=3)
def test_other_sizes_are_refused(n: int, mode: Mode) -> None:
    with pytest.raises(ValueError, match="1 to 31"):
        quorum.quorum(n, mode)


def test_r37_the_calculator_shows_liars_and_crashes_apart() -> None:
    assert (
        quorum.fault_tolerance_sentence(5, Mode.PBFT)
        == "5 members: 4 decide; safe with 1 Byzantine, available with 1 down"
    )
    assert (
        quorum.fault_tolerance_sentence(6, Mode.PBFT)
        == "6 members: 4 decide; safe with 1 Byzantine, available with 2 down"
    )
    assert quorum.fault_tolerance_sentence(1, Mode.PBFT).endswith("(crash-only, no liar tolerated)")
    assert quorum.fault_tolerance_sentence(2, Mode.PBFT).endswith(
        "(crash-only, no liar tolerated; one crash stops it)"
    )


def test_r44_raft_is_labelled_at_every_size() -> None:
    label = "crash-only: a lying member is not tolerated"
    assert (
        quorum.fault_tolerance_sentence(5, Mode.RAFT)
        == f"5 members: 3 decide; safe with 0 Byzantine, available with 2 down ({label})"
    )
    notes = {n: quorum.fault_tolerance_note(n, Mode.RAFT) for n in range(1, 32)}
    assert notes.pop(2) == f"{label}; one crash stops it"
    assert set(notes.values()) == {label}
    assert [quorum.liars_words(n, Mode.RAFT) for n in (1, 4, 31)] == [label] * 3
    assert [quorum.liars_words(n, Mode.PBFT) for n in (3, 4)] == [
        "crash-only, no liar tolerated",
        "of whom 1 may lie",
    ]


def test_r11_r44_a_start_waits_for_all_where_no_liar_is_tolerated_and_no_witness_decides() -> None:
    waits = "available with 1 down, but a member that is started meanwhile waits for all others ("
    assert waits in quorum.fault_tolerance_sentence(3, Mode.PBFT)
    assert all("meanwhile" not in quorum.fault_tolerance_sentence(n, Mode.PBFT) for n in (1, 2, 4, 31))
    assert all("meanwhile" not in quorum.fault_tolerance_sentence(n, Mode.RAFT) for n in (2, 3, 5))
    assert quorum.start_waits_sentence(["r4"], 5, Mode.RAFT) == ""
    said = "in this cluster a restarted member does not vote before r2 is back"
    assert quorum.start_waits_sentence(["r2"], 3, Mode.PBFT) == said
    assert quorum.start_waits_sentence(["r1", "r2"], 3, Mode.PBFT).endswith("before r1, r2 are back")
    assert quorum.start_waits_sentence([], 3, Mode.PBFT) == ""
    assert quorum.start_waits_sentence(["r4"], 5, Mode.PBFT) == ""


def test_no_function_has_a_mode_by_default() -> None:
    """A place that forgot it would count a Raft cluster as if a member might lie."""
    for one in (quorum.faults, quorum.quorum, quorum.weak_quorum, quorum.crashes_tolerated):
        with pytest.raises(TypeError, match="mode"):
            one(4)  # type: ignore[call-arg]


@table(
    ("members", "mode", "verb"),
    [
        (2, Mode.PBFT, "recover"),
        (3, Mode.PBFT, "continue"),
        (4, Mode.PBFT, "recover"),
        (7, Mode.PBFT, "recover"),
        (4, Mode.RAFT, "recover"),
        (5, Mode.RAFT, "continue"),
    ],
    count=6,
)
def test_r11_the_suggested_remedy_for_lost_votes_is_possible(members: int, mode: Mode, verb: str) -> None:
    """A recovery takes n - q + 1 newest logs: of three, and by Raft of any odd number, that is q, who decide
    without one."""
    said = quorum.lost_votes_sentence(members, members - quorum.quorum(members, mode) + 1, mode)
    assert f"(manage.py genesis {verb} --help)" in said
    assert not quorum.lost_votes_sentence(members, members - quorum.quorum(members, mode), mode)
