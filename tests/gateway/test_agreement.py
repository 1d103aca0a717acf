"""The sentence of a cluster's state: examples, and what holds for any reports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.gateway import Agreement, MemberView, seconds_told
from dtvn.gateway.agreement import (
    CHANGE_USUAL,
    HEARD_WITHIN,
    NO_CLUSTER,
    SECONDS_TOLD_MAX,
    Clock,
    Report,
    agreement,
    agreement_of,
    report_of,
)
from dtvn.protocol import quorum
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.quorum import Mode
from tests.host.support import make_genesis
from tests.support.table import table

WINDOW = 32
DOWN: dict[str, Any] = {"reachable": False}
FOLLOWS: dict[str, Any] = {"voting": False}
LEAVES: dict[str, Any] = {"changing": True}
ENTERS: dict[str, Any] = {"reachable": False, "voting": False, "entering": 7}
LAGS: dict[str, Any] = {"sequence": 67}
"""One sequence too far behind the checkpoint at 100."""


def cluster(members: int, *changes: dict[str, Any]) -> list[Report]:
    """Healthy members at sequence 105, the first of them changed so."""
    told: list[dict[str, Any]] = [{"sequence": 105, "stable": 100} for _ in range(members)]
    told = [each | change for each, change in zip(told, [*changes, *([{}] * members)], strict=False)]
    return [Report(id=f"r{i}", **{"reachable": True, "voting": True} | each) for i, each in enumerate(told)]


NOTHING = "nothing can be decided"
WAIT = "scans wait a moment"
CHOOSING = f"Choosing a new primary; {WAIT}"
TABLE = [
    (4, [], "ok", "4 of 4 agree, can lose 1 more"),
    (4, [DOWN], "tight", "3 of 4 agree, can lose none"),
    (4, [FOLLOWS], "tight", "3 of 4 agree, can lose none"),
    (4, [LAGS], "tight", "3 of 4 agree, can lose none"),
    (4, [{"sequence": 68}], "ok", "4 of 4 agree, can lose 1 more"),
    (4, [{"view": 1}], "tight", "3 of 4 agree, can lose none"),
    (4, [{"epoch": 1}], "tight", "3 of 4 agree, can lose none"),
    (4, [{"changing": True, "view": 1}], "tight", "3 of 4 agree, can lose none"),
    (4, [{"stable": 10**9, "sequence": 10**9}], "ok", "4 of 4 agree, can lose 1 more"),
    (4, [DOWN, DOWN], "stuck", f"No quorum: 2 of 4 reachable, 3 needed; {NOTHING}"),
    (4, [DOWN] * 4, "stuck", f"No quorum: 0 of 4 reachable, 3 needed; {NOTHING}"),
    (4, [DOWN, FOLLOWS], "stuck", f"No quorum: 3 of 4 reachable, 2 voting, 3 needed; {NOTHING}"),
    (4, [DOWN, LAGS], "stuck", f"No quorum: 3 of 4 reachable, 2 up to date, 3 needed; {NOTHING}"),
    (4, [{"view": 1}] * 2, "tight", CHOOSING),
    (4, [{"changing": True}] * 4, "tight", CHOOSING),
    (4, [DOWN, LEAVES], "tight", CHOOSING),
    (4, [DOWN, DOWN, LEAVES], "stuck", f"No quorum: 2 of 4 reachable, 3 needed; {NOTHING}"),
    (4, [{"epoch": 7}] * 2, "tight", f"Changing members: 2 of 4 are in epoch 7, 3 needed; {WAIT}"),
    (
        4,
        [ENTERS] * 3 + [{"epoch": 7}],
        "tight",
        f"Changing members: 1 of 4 is in epoch 7, 3 needed; {WAIT}",
    ),
    (4, [ENTERS] * 4, "tight", f"Changing members: 0 of 4 are in epoch 7, 3 needed; {WAIT}"),
    (
        4,
        [ENTERS, DOWN] + [{"epoch": 7}] * 2,
        "tight",
        f"Changing members: 2 of 4 are in epoch 7, 3 needed; {WAIT}",
    ),
    (4, [ENTERS] + [{"epoch": 7}] * 3, "tight", "3 of 4 agree, can lose none"),
    (4, [ENTERS, DOWN, DOWN, {"epoch": 7}], "stuck", f"No quorum: 1 of 4 reachable, 3 needed; {NOTHING}"),
    (4, [{"epoch": 9**9}, DOWN], "tight", CHOOSING),
    (5, [], "ok", "5 of 5 agree, can lose 1 more"),
    (6, [], "ok", "6 of 6 agree, can lose 2 more"),
    (7, [DOWN, FOLLOWS], "tight", "5 of 7 agree, can lose none"),
    (3, [], "ok", "3 of 3 agree, can lose 1 more; no liar is tolerated"),
    (2, [], "tight", "2 of 2 agree, can lose none; no liar is tolerated"),
    (1, [], "tight", "1 of 1 agrees, can lose none; no liar is tolerated"),
    (3, [DOWN, DOWN], "stuck", f"No quorum: 1 of 3 reachable, 2 needed; {NOTHING}; no liar is tolerated"),
]


@table(("members", "changes", "level", "sentence"), TABLE, count=31)
def test_the_sentence_says_how_many_agree_and_may_fail(
    members: int, changes: list[dict[str, Any]], level: str, sentence: str
) -> None:
    found = agreement(cluster(members, *changes), window=WINDOW, mode=Mode.PBFT)
    assert (found.sentence, found.level) == (sentence, level)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"changing": True}, f"No quorum: 4 of 4 reachable, 0 in one view, 3 needed; {NOTHING}"),
        (ENTERS, "Changing members: 0 of 4 are in epoch 7, 3 needed"),
    ],
)
def test_a_change_that_does_not_end_is_trouble(change: dict[str, Any], sentence: str) -> None:
    """A red band beside a cluster that goes on within a second frightened people; one that stays is red."""
    reports = cluster(4, *[change] * 4)
    before = agreement(reports, window=WINDOW, changing_for=CHANGE_USUAL - 0.1, mode=Mode.PBFT)
    assert (before.level, before.changing, before.sentence.endswith(WAIT)) == ("tight", True, True)
    for seconds in (CHANGE_USUAL, 2 * CHANGE_USUAL):
        after = agreement(reports, window=WINDOW, changing_for=seconds, mode=Mode.PBFT)
        assert (after.sentence, after.level, after.changing) == (sentence, "stuck", False)


def test_the_counts_and_names_are_those_of_the_sentence() -> None:
    found = agreement(cluster(7, DOWN, FOLLOWS, LAGS, {"view": 4}), window=WINDOW, mode=Mode.PBFT)
    assert (found.reachable, found.voting, found.current, found.agreeing) == (6, 5, 4, 3)
    assert (found.needed, found.can_lose, found.liars_tolerated, found.certified) == (5, 0, 2, 100)
    assert found.agreeing_members == ("r4", "r5", "r6")


def test_without_members_there_is_no_cluster() -> None:
    assert agreement([], window=WINDOW, mode=Mode.PBFT) == NO_CLUSTER


reports = st.lists(
    st.builds(
        Report,
        id=st.just(""),
        reachable=st.booleans(),
        voting=st.booleans(),
        changing=st.booleans(),
        epoch=st.integers(0, 1),
        entering=st.sampled_from((0, 1)),
        view=st.integers(0, 2),
        sequence=st.integers(0, 200),
        stable=st.integers(0, 200),
    ),
    min_size=1,
    max_size=quorum.MEMBERS_MAX,
).map(lambda told: [msgspec.structs.replace(each, id=f"r{i}") for i, each in enumerate(told)])


@given(reports)
def test_a_quorum_is_claimed_if_and_only_if_one_agrees(told: list[Report]) -> None:
    found = agreement(told, window=WINDOW, mode=Mode.PBFT)
    named = [each for each in told if each.id in found.agreeing_members]
    assert len(named) == found.agreeing <= found.current <= found.voting <= found.reachable <= len(told)
    assert all(each.reachable and each.voting and not each.changing for each in named)
    assert all(each.sequence >= found.certified - WINDOW for each in named)
    assert len({(each.epoch, each.view) for each in named}) <= 1
    assert found.sentence.startswith("No quorum") == (found.level == "stuck")
    assert (WAIT in found.sentence) == found.changing
    assert (found.level == "stuck" or found.changing) == (
        found.agreeing < quorum.quorum(len(told), Mode.PBFT)
    )


@given(reports, st.data())
def test_a_cluster_survives_the_losses_that_it_reports(told: list[Report], data: st.DataObject) -> None:
    found = agreement(told, window=WINDOW, mode=Mode.PBFT)
    lost = data.draw(st.sets(st.sampled_from([each.id for each in told]), max_size=found.can_lose))
    after = agreement(told, window=WINDOW, without=lost, mode=Mode.PBFT)
    if found.agreeing >= found.needed:
        assert (after.level != "stuck", after.changing) == (True, False)
        assert after.agreeing >= found.agreeing - len(lost)


@given(st.integers(1, quorum.MEMBERS_MAX), reports)
def test_no_claim_of_f_liars_makes_honest_members_lag(members: int, lies: list[Report]) -> None:
    honest = cluster(members)[min(quorum.faults(members, Mode.PBFT), len(lies)) :]
    liars = [msgspec.structs.replace(lie, id=f"l{i}") for i, lie in enumerate(lies)]
    found = agreement([*liars[: members - len(honest)], *honest], window=WINDOW, mode=Mode.PBFT)
    assert found.agreeing >= len(honest) >= found.needed


def view(**changed: Any) -> MemberView:
    told = MemberView(
        id="r0",
        index=0,
        connected=True,
        primary=False,
        view=2,
        sequence=7,
        heard=0.5,
        status={"voting": True, "epoch": 1, "stable": 5},
    )
    return msgspec.structs.replace(told, **changed)


def test_a_member_is_taken_at_what_it_reports() -> None:
    expected = Report(id="r0", reachable=True, voting=True, epoch=1, view=2, sequence=7, stable=5)
    assert report_of(view()) == expected
    assert report_of(view(entering=3)).entering == 3


@pytest.mark.parametrize(
    ("changed", "reachable"),
    [
        ({"connected": False}, False),
        ({"heard": HEARD_WITHIN + 1}, False),
        ({"heard": None, "status": {}}, True),
    ],
)
def test_a_member_without_link_or_answer_is_unreachable(changed: dict[str, Any], reachable: bool) -> None:
    assert report_of(view(**changed)).reachable is reachable


@table("odd", [None, "yes", -1, 1.5, [], {}, True], count=7)
def test_a_report_of_odd_types_counts_as_no_report(odd: Any) -> None:
    told = report_of(view(status={"voting": odd if odd is not True else 1, "epoch": odd, "stable": odd}))
    assert (told.voting, told.epoch, told.stable) == (False, 0, 0)


HOUR = 3_600_000_000
NOW = 1_800_000_000_000_000
AHEAD = {"log_time": NOW + HOUR - 120_000_000}
"""Log time is 58 minutes ahead."""
SAID = "log time is 58 min ahead of this clock; windows of validity are judged by it"


def at_noon(*reports: Report, bound: int = 2_000_000) -> Agreement:
    return agreement(reports, window=WINDOW, clock=Clock(NOW, bound), mode=Mode.PBFT)


def test_log_time_ahead_of_the_clock_is_amber_and_said() -> None:
    found = at_noon(*cluster(4, *[AHEAD] * 4))
    assert (found.level, found.log_time_ahead) == ("tight", 3_480.0)
    assert found.sentence == f"4 of 4 agree, can lose 1 more; {SAID}"
    assert at_noon(*cluster(4, *[DOWN | AHEAD, DOWN | AHEAD, AHEAD, AHEAD])).level == "stuck"


def test_log_time_within_the_drift_bound_or_behind_is_not_said() -> None:
    for ahead in (2_000_000, 0, -HOUR):
        found = at_noon(*cluster(4, *[{"log_time": NOW + ahead}] * 4))
        assert (found.level, found.sentence) == ("ok", "4 of 4 agree, can lose 1 more")
    assert at_noon(*cluster(4, *[{"log_time": NOW + 2_000_001}] * 4)).log_time_ahead == 2.0


def test_one_liar_cannot_say_that_log_time_is_ahead() -> None:
    assert at_noon(*cluster(4, {"log_time": NOW + 9 * HOUR})).log_time_ahead == 0.0
    assert at_noon(*cluster(4, AHEAD, {"log_time": NOW + 9 * HOUR})).log_time_ahead == 3_480.0


def test_without_a_clock_nothing_is_said_of_log_time() -> None:
    assert (
        agreement(cluster(4, *[AHEAD] * 4), window=WINDOW, mode=Mode.PBFT).sentence
        == "4 of 4 agree, can lose 1 more"
    )


def test_a_member_that_withholds_for_time_says_by_how_much() -> None:
    found = at_noon(*cluster(4, {"withheld_ahead": 3_600.0}))
    assert (found.level, found.agreeing, found.can_lose) == ("tight", 4, 0)
    said = "r0 withholds its vote: the proposal's time is 3,600 s ahead of its clock"
    assert found.sentence == f"4 of 4 agree, can lose none; {said}"


def test_of_many_members_that_withhold_two_are_named() -> None:
    found = at_noon(*cluster(7, *[{"withheld_ahead": -5.0}] * 5))
    assert found.sentence.count("withholds its vote: the proposal's time is 5 s behind its clock") == 2
    assert found.sentence.endswith("; and 3 more withhold theirs")


@table("told", ["1", None, True, float("nan"), float("inf"), 1e11, [1.0]], count=7)
def test_seconds_that_are_none_count_as_zero(told: object) -> None:
    assert seconds_told({"withheld_ahead": told}, "withheld_ahead") == 0.0


def test_seconds_that_a_member_tells_are_taken_as_it_told_them() -> None:
    for told, seconds in ((3, 3.0), (-2.5, -2.5), (SECONDS_TOLD_MAX, 0.0), (-SECONDS_TOLD_MAX, 0.0)):
        assert report_of(view(status={"withheld_ahead": told})).withheld_ahead == seconds


def test_a_member_is_unreachable_once_it_was_silent_for_longer_than_the_limit() -> None:
    assert report_of(view(heard=HEARD_WITHIN)).reachable
    assert report_of(view(status={"changing": True})).changing


def test_a_withheld_vote_makes_a_cluster_amber_that_can_lose_more() -> None:
    found = at_noon(*cluster(7, {"withheld_ahead": 9.0}))
    assert (found.can_lose, found.level) == (1, "tight")


def test_the_view_is_that_of_those_that_agree() -> None:
    assert agreement(cluster(4, *[{"view": 3}] * 4), window=WINDOW, mode=Mode.PBFT).view == 3
    assert agreement(cluster(4, *[DOWN] * 4), window=WINDOW, mode=Mode.PBFT).view == 0


@pytest.mark.parametrize(
    ("changes", "names", "view"),
    [
        ([{"view": 1}] * 2, ("r0", "r1"), 1),
        ([{}] * 2 + [{"view": 1}] * 2, ("r2", "r3"), 1),
        ([{"epoch": 1}] * 2 + [{"view": 9}] * 2, ("r0", "r1"), 0),
        ([{"view": 9}] * 2 + [{"epoch": 1}] * 2, ("r2", "r3"), 0),
    ],
)
def test_of_two_groups_of_one_size_the_later_one_agrees(
    changes: list[dict[str, Any]], names: tuple[str, ...], view: int
) -> None:
    found = agreement(cluster(4, *changes), mode=Mode.PBFT, window=WINDOW)
    assert (found.agreeing_members, found.view) == (names, view)


def test_members_left_out_count_as_unreachable_wherever_they_are_counted() -> None:
    found = agreement(cluster(4), window=WINDOW, without={"r0", "r3"}, mode=Mode.PBFT)
    assert (found.reachable, found.agreeing_members) == (2, ("r1", "r2"))
    entering = cluster(4, ENTERS, DOWN, {"epoch": 7}, {"epoch": 7})
    assert agreement(entering, window=WINDOW, mode=Mode.PBFT).sentence.startswith("Changing members")
    assert agreement(entering, window=WINDOW, without={"r0"}, mode=Mode.PBFT).sentence.startswith("No quorum")


def test_a_member_is_in_the_next_epoch_once_it_votes_there() -> None:
    """One that only follows there is not in it, and one that is on its way counts once."""
    follows = {"epoch": 7, "voting": False}
    found = agreement(cluster(4, ENTERS, follows, {"epoch": 7}, {"epoch": 7}), window=WINDOW, mode=Mode.PBFT)
    assert found.sentence == f"Changing members: 2 of 4 are in epoch 7, 3 needed; {WAIT}"
    coming = {"epoch": 6, "entering": 7}
    found = agreement(cluster(4, coming, DOWN, DOWN, {"epoch": 7}), window=WINDOW, mode=Mode.PBFT)
    assert found.sentence.startswith("No quorum")


def test_the_members_asked_about_are_those_given_or_all_of_the_gateway() -> None:
    """With a clock, log time is compared; without one it is not."""
    ahead = {"voting": True, "epoch": 1, "stable": 5, "log_time": NOW + HOUR}
    all_of_it = [view(id=f"r{number}", status=ahead) for number in range(4)]
    gateway: Any = SimpleNamespace(members=lambda: all_of_it, present=founding(make_genesis(4)))
    assert (agreement_of(gateway).members, agreement_of(gateway).log_time_ahead) == (4, 0.0)
    assert agreement_of(gateway, members=all_of_it[:1]).members == 1
    assert agreement_of(gateway, wall=NOW).log_time_ahead == 3_600.0


def test_r44_the_state_of_a_raft_cluster_says_that_no_member_may_lie() -> None:
    """Three of five agree and are a quorum, which four would have to be with PBFT."""
    told = cluster(5, DOWN, DOWN)
    found = agreement(told, mode=Mode.RAFT, window=WINDOW)
    assert found.sentence == "3 of 5 agree, can lose none; crash-only: a lying member is not tolerated"
    assert (found.needed, found.liars_tolerated, found.level) == (3, 0, "tight")
    assert agreement(told, mode=Mode.PBFT, window=WINDOW).sentence.startswith("No quorum")


def test_r44_a_raft_cluster_chooses_a_leader() -> None:
    found = agreement(cluster(5, *[{"changing": True}] * 5), window=WINDOW, mode=Mode.RAFT)
    assert found.sentence.startswith("Choosing a new leader; scans wait a moment")
