"""The verdict on a cluster: what holds for any reports, and the sentences that people read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from dtvn.watch import CHANGE_USUAL, HEARD_WITHIN, NO_CLUSTER, Agreement, Clock, Cut, MemberReport, verdict

WINDOW = 32
WAIT = "scans wait a moment"
NOW = 1_800_000_000_000_000
CLOCK = Clock(NOW, 2_000_000)
PATIENCE = 0.8

DOWN: dict[str, Any] = {"connected": False, "heard": None}
SILENT: dict[str, Any] = {"heard": HEARD_WITHIN + 0.1}
ENTERS: dict[str, Any] = {"connected": False, "heard": None, "voting": False, "entering": 7}


def cluster(members: int, *changes: dict[str, Any]) -> list[MemberReport]:
    """Healthy members at sequence 105, the first of them changed so."""
    told = [*changes, *([{}] * members)][:members]
    healthy = {"connected": True, "heard": 0.5, "voting": True, "sequence": 105, "stable": 100}
    return [MemberReport(id=f"r{i}", index=i, **healthy | each) for i, each in enumerate(told)]


def found(reports: list[MemberReport], **known: Any) -> Agreement:
    return verdict(reports, **{"window": WINDOW, "mode": Mode.PBFT} | known)


ages = st.one_of(st.none(), st.floats(0.0, 2 * HEARD_WITHIN))
report = st.builds(
    MemberReport,
    id=st.just(""),
    connected=st.booleans(),
    heard=ages,
    voting=st.booleans(),
    changing=st.booleans(),
    epoch=st.integers(0, 1),
    entering=st.sampled_from((0, 1)),
    view=st.integers(0, 2),
    sequence=st.integers(0, 200),
    stable=st.integers(0, 200),
    waits=st.floats(0.0, 30.0),
    patience=st.floats(0.0, 100.0),
    clock_ahead=st.one_of(st.none(), st.floats(-1e6, 1e6)),
)
reports = st.lists(report, min_size=1, max_size=10).map(
    lambda drawn: [msgspec.structs.replace(each, id=f"r{i}") for i, each in enumerate(drawn)]
)
modes = st.sampled_from(Mode)


@given(reports, modes, st.floats(0.0, 30.0))
def test_a_quorum_is_claimed_if_and_only_if_one_agrees(
    drawn: list[MemberReport], mode: Mode, waits: float
) -> None:
    state = found(drawn, mode=mode, waits=waits, clock=CLOCK)
    named = [each for each in drawn if each.id in state.agreeing_members]
    assert len(named) == state.agreeing <= state.current <= state.voting <= state.reachable <= len(drawn)
    assert all(each.voting and not each.changing for each in named)
    assert all(each.connected if each.heard is None else each.heard <= HEARD_WITHIN for each in named)
    assert state.has_quorum == (state.agreeing >= quorum.quorum(len(drawn), mode))
    assert state.sentence.startswith("No quorum") <= (state.level == "stuck")
    assert (WAIT in state.sentence) == state.changing
    if not state.has_quorum:
        assert state.level == "stuck" or state.changing


@given(reports, modes, st.floats(0.0, 30.0))
def test_members_agree_in_no_sentence_while_a_request_waits_for_too_long(
    drawn: list[MemberReport], mode: Mode, waits: float
) -> None:
    """Two wrong clocks of four stopped everything, and every instrument said that four of four agreed."""
    state = found(drawn, mode=mode, waits=waits, clock=CLOCK)
    agree = f"{state.agreeing} of {state.members} agree"
    assert (agree in state.sentence) <= state.decides
    if waits > 5.0:
        assert not state.decides
    if state.decides:
        assert state.waits <= 5.0
        assert state.has_quorum
    elif state.has_quorum:
        assert state.sentence.startswith("A request has waited for more than ")
        assert state.level == ("tight" if state.waits < CHANGE_USUAL else "stuck")


@given(reports, st.data())
def test_a_cluster_survives_the_losses_that_it_reports(
    drawn: list[MemberReport], data: st.DataObject
) -> None:
    state = found(drawn)
    lost = data.draw(st.sets(st.sampled_from([each.id for each in drawn]), max_size=state.can_lose))
    after = found(drawn, without=lost)
    if state.has_quorum:
        assert after.has_quorum
        assert after.agreeing >= state.agreeing - len(lost)


@given(st.integers(1, 10), reports)
def test_no_claim_of_f_liars_changes_what_is_said_of_honest_members(
    members: int, lies: list[MemberReport]
) -> None:
    """Neither that they lag, nor that log time or their clocks are wrong, nor that a request waits."""
    honest = cluster(members)[min(quorum.faults(members, Mode.PBFT), len(lies)) :]
    honest = [msgspec.structs.replace(each, clock_ahead=0.0, log_time=NOW) for each in honest]
    liars = [msgspec.structs.replace(lie, id=f"l{i}", log_time=2 * NOW) for i, lie in enumerate(lies)]
    state = found([*liars[: members - len(honest)], *honest], clock=CLOCK)
    assert state.agreeing >= len(honest) >= state.needed
    assert state.decides
    assert state.log_time_ahead == 0.0
    assert not any(f"clock of {each.id} " in state.sentence for each in honest)


@given(reports, modes)
def test_a_member_that_is_silent_for_a_moment_changes_no_sentence(
    drawn: list[MemberReport], mode: Mode
) -> None:
    """Its link may be made anew meanwhile: a line that loses frames does not flicker."""
    healthy = cluster(len(drawn))
    late = [
        msgspec.structs.replace(each, connected=other.connected, heard=min(other.heard or 0.0, HEARD_WITHIN))
        for each, other in zip(healthy, drawn, strict=True)
    ]
    behind = [
        msgspec.structs.replace(each, sequence=0) if each.heard is not None and each.heard > 2.0 else each
        for each in late
    ]
    assert found(behind, mode=mode) == found(healthy, mode=mode)


@pytest.mark.parametrize(
    ("changes", "level", "sentence"),
    [
        ([], "ok", "4 of 4 agree, can lose 1 more"),
        ([SILENT], "tight", "3 of 4 agree, can lose none"),
        ([DOWN, DOWN], "stuck", "No quorum: 2 of 4 reachable, 3 needed; nothing can be decided"),
        (
            [DOWN, {"voting": False}],
            "stuck",
            "No quorum: 3 of 4 reachable, 2 voting, 3 needed; nothing can be decided",
        ),
        (
            [DOWN, {"sequence": 67}],
            "stuck",
            "No quorum: 3 of 4 reachable, 2 up to date, 3 needed; nothing can be decided",
        ),
        ([{"changing": True}] * 4, "tight", f"Choosing a new primary; {WAIT}"),
        ([{"view": 1}] * 2, "tight", f"Choosing a new primary; {WAIT}"),
        (
            [ENTERS] * 3 + [{"epoch": 7}],
            "tight",
            f"Changing members: 1 of 4 is in epoch 7, 3 needed; {WAIT}",
        ),
        ([{"problem": "no answer"}], "tight", "3 of 4 agree, can lose none"),
    ],
)
def test_the_sentence_names_the_first_thing_that_too_few_members_meet(
    changes: list[dict[str, Any]], level: str, sentence: str
) -> None:
    state = found(cluster(4, *changes))
    assert (state.sentence, state.level) == (sentence, level)


def test_a_change_that_does_not_end_is_trouble() -> None:
    """A red band beside a cluster that goes on within a second frightened people; one that stays is red."""
    leaving = cluster(4, *[{"changing": True}] * 4)
    assert found(leaving, changing_for=CHANGE_USUAL - 0.1).level == "tight"
    after = found(leaving, changing_for=CHANGE_USUAL)
    assert (after.level, after.changing) == ("stuck", False)
    assert after.sentence.startswith("No quorum: 4 of 4 reachable, 0 in one view, 3 needed")


def test_a_request_that_waits_is_told_by_its_sender_and_by_members() -> None:
    waiting = {"waits": 4.0, "patience": PATIENCE}
    sentence = "A request has waited for more than 0.8 s, though 4 of 4 members are in one view"
    for state in (
        found(cluster(4, *[{"patience": PATIENCE}] * 4), waits=4.0),
        found(cluster(4, waiting, waiting)),
    ):
        assert (state.sentence, state.level, state.decides) == (sentence, "tight", False)
    later = found(cluster(4), waits=CHANGE_USUAL + 2)
    assert (later.level, "more than 10 s" in later.sentence) == ("stuck", True)


def test_clocks_that_differ_from_the_others_are_named() -> None:
    """Two of four, one on each side: the wrong ones, and not those that are right."""
    withheld = {"withheld_ahead": -30.0}
    off = (
        {"clock_ahead": 30.2} | withheld,
        {"clock_ahead": -259_200.0},
        {"clock_ahead": 0.1},
        {"clock_ahead": 0.0},
    )
    state = found(cluster(4, *off), clock=CLOCK)
    assert state.level == "tight"
    assert state.reasons == ("the clock of r0 is 30 s ahead", "the clock of r1 is 72.0 h behind")
    own = found(cluster(4, *[{"clock_ahead": 30.0}] * 4), clock=CLOCK)
    assert own.reasons == ("the clock of this platform is 30 s behind",)


def test_log_time_and_votes_that_are_withheld_for_time_are_told() -> None:
    ahead = {"log_time": NOW + 3_480_000_000}
    state = found(cluster(4, *[ahead] * 4), clock=CLOCK)
    assert (state.level, state.log_time_ahead) == ("tight", 3_480.0)
    assert state.sentence.endswith(
        "log time is 58 min ahead of this clock; windows of validity are judged by it"
    )
    withheld = found(cluster(7, *[{"withheld_ahead": -5.0}] * 5), clock=CLOCK)
    assert (withheld.can_lose, withheld.level) == (0, "tight")
    assert withheld.sentence.count("withholds its vote: the proposal's time is 5 s behind its clock") == 2
    assert withheld.sentence.endswith("; and 3 more withhold theirs")


def test_a_cut_is_told_with_its_groups() -> None:
    cut = Cut("r0 | r1, r2 and r3", (("r1", "r2", "r3"), ("r0",)))
    state = found(cluster(4, SILENT), cut=cut)
    assert state.sentence == "3 of 4 agree, can lose none; r0 | r1, r2 and r3"
    assert (state.cut, state.groups) == (cut.what, cut.groups)


def test_of_two_groups_of_one_size_the_later_one_agrees() -> None:
    state = found(cluster(4, *[{}] * 2, *[{"view": 1}] * 2))
    assert (state.agreeing_members, state.view) == (("r2", "r3"), 1)
    state = found(cluster(4, *[{"epoch": 1}] * 2, *[{"view": 9}] * 2))
    assert (state.agreeing_members, state.view) == (("r0", "r1"), 0)


def test_without_members_there_is_no_cluster() -> None:
    assert found([]) == NO_CLUSTER
    assert not NO_CLUSTER.has_quorum


def test_r44_a_raft_cluster_is_told_of_in_its_own_words() -> None:
    leaving = found(cluster(5, *[{"changing": True}] * 5), mode=Mode.RAFT)
    assert leaving.sentence.startswith("Choosing a new leader; scans wait a moment")
    assert found(cluster(3)).sentence == "3 of 3 agree, can lose 1 more; no liar is tolerated"
