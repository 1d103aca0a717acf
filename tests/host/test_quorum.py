"""Thresholds against a brute-force twin (PROTOCOL notation, P1)."""

from __future__ import annotations

import pytest

from dtvn.protocol import quorum


def slow_faults(n: int) -> int:
    """The most liars f with 3f + 1 <= n."""
    return max(f for f in range(n) if 3 * f + 1 <= n)


def slow_quorum(n: int, f: int) -> int:
    """The least q of which any two share at least f + 1 members: |A & B| >= 2q - n."""
    return min(q for q in range(1, n + 1) if 2 * q - n >= f + 1)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas hold beyond the size that a cluster may have."""
    monkeypatch.setattr(quorum, "MEMBERS_MAX", 100)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("n", range(1, 101))
def test_row_1_quorum_against_brute_force(n: int) -> None:
    f, q = quorum.faults(n), quorum.quorum(n)
    assert f == slow_faults(n)
    assert q == slow_quorum(n, f) == -(-(n + f + 1) // 2)
    assert 2 * q - n >= f + 1, "two quorums share an honest member"
    assert q <= n - f, "a quorum is reachable without the liars"
    assert quorum.weak_quorum(n) == f + 1
    assert quorum.crashes_tolerated(n) == n - q


def test_row_1_the_table_for_small_clusters() -> None:
    """R37: n = 5 survives one liar and one crash, n = 6 one liar and two crashes."""
    table = {n: (quorum.faults(n), quorum.quorum(n), quorum.crashes_tolerated(n)) for n in range(1, 8)}
    assert table == {
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
        f = quorum.faults(n)
        assert 2 * (2 * f + 1) - n < f + 1
        assert quorum.quorum(n) > 2 * f + 1


def test_r29_f_plus_1_suspects_make_others_join() -> None:
    assert [quorum.suspicion_quorum(n) for n in (1, 2, 3, 4, 6, 7, 31)] == [1, 2, 2, 2, 2, 3, 11]


def test_members_take_turns_as_primary() -> None:
    assert [quorum.primary(view, 4) for view in range(6)] == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("n", [0, -1, 32])
def test_other_sizes_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 31"):
        quorum.quorum(n)


def test_r37_the_calculator_shows_liars_and_crashes_apart() -> None:
    assert (
        quorum.fault_tolerance_sentence(5)
        == "5 members: 4 decide; safe with 1 Byzantine, available with 1 down"
    )
    assert (
        quorum.fault_tolerance_sentence(6)
        == "6 members: 4 decide; safe with 1 Byzantine, available with 2 down"
    )
    assert quorum.fault_tolerance_sentence(1).endswith("(crash-only, no liar tolerated)")
    assert quorum.fault_tolerance_sentence(2).endswith("(crash-only, no liar tolerated; one crash stops it)")


@pytest.mark.parametrize(
    ("members", "verb"), [(2, "recover"), (3, "continue"), (4, "recover"), (7, "recover")]
)
def test_r11_the_suggested_remedy_for_lost_votes_is_possible(members: int, verb: str) -> None:
    """A recovery takes n - q + 1 newest logs: of three that is q, who decide without one."""
    said = quorum.lost_votes_sentence(members, members - quorum.quorum(members) + 1)
    assert f"(manage.py genesis {verb} --help)" in said
    assert not quorum.lost_votes_sentence(members, members - quorum.quorum(members))
