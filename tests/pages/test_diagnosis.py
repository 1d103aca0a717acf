"""The diagnosis of a stuck cluster names the reason and the missing members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Answered, agreeing
from dtvn.protocol.quorum import Mode
from dtvn.watch import CHANGE_USUAL, Clock, MemberReport, OpenSequence, verdict
from tests.pages.learner import RealLearner
from validators.dashboard import diagnosis
from validators.dashboard.diagnosis import _reading, explain
from validators.membership import WAITING
from validators.models import ManagedNode

WALL = 1_800_000_000_000_000
"""Unix microseconds."""


def judge(
    reports: list[MemberReport], mode: Mode = Mode.PBFT, *, changing_for: float = 0.0, reading: str = ""
) -> tuple[str, str]:
    clock = Clock(WALL, 2_000_000)
    state = verdict(reports, mode=mode, window=32, changing_for=changing_for, clock=clock)
    return diagnosis.judge(reports, mode, state=state, reading=reading)


def node(name: str, **fields: Any) -> MemberReport:
    told = {"id": name, "connected": True, "heard": 0.0, "voting": True, "sequence": 40, "leader": "r0"}
    return MemberReport(**told | fields)


def slot(**fields: Any) -> OpenSequence:
    known = {"sequence": 41, "view": 2, "phase": "pre_prepared"}
    return OpenSequence(**known | {"open_for": 3.0} | fields)


def four(**changed: MemberReport) -> list[MemberReport]:
    return [changed.get(name, node(name)) for name in ("r0", "r1", "r2", "r3")]


def test_a_healthy_cluster_is_not_stuck() -> None:
    assert judge(four()) == ("ok", "Nothing is stuck. Sequence 40 is executed.")


def test_a_node_that_the_quorum_does_not_need_only_degrades() -> None:
    level, verdict = judge(four(r3=MemberReport(id="r3", problem="not connected")))
    assert level == "slow"
    assert "r3 (not connected) is missing, but the others are enough" in verdict


def test_without_a_quorum_the_missing_are_named() -> None:
    level, verdict = judge(
        four(
            r2=node("r2", voting=False, voting_reason="its ledger was lost"),
            r3=MemberReport(id="r3", problem="no answer"),
        )
    )
    assert level == "stuck"
    assert verdict == (
        "No quorum: 3 of 4 reachable, 2 voting, 3 needed; nothing can be decided. "
        "Missing: r3 (no answer), r2 (its ledger was lost)."
    )


@pytest.mark.parametrize(
    ("lost", "told"), [(("r3",), False), (("r2", "r3"), True), (("r1", "r2", "r3"), True)]
)
def test_r11_lost_votes_are_reported_with_the_recovery_command(lost: tuple[str, ...], told: bool) -> None:
    """n - q may be lost: the others give those votes back. Of a node that is down nothing is known yet."""
    mute = {name: node(name, voting=False, voting_reason="its ledger was lost") for name in lost}
    down = {} if "r2" in lost else {"r2": MemberReport(id="r2", problem="no answer")}
    level, verdict = judge(four(**mute, **down))
    assert level == "stuck"
    assert ("manage.py genesis recover --help" in verdict) is told
    assert (f"{len(lost)} of 4 members have lost their votes" in verdict) is told


def test_r11_a_member_that_waits_for_others_has_not_lost_its_vote() -> None:
    """Two of three said that all must recover, where starting the third is enough."""
    why = "it waits for the word of r2"
    waits = [node(name, voting=False, state=WAITING, voting_reason=why) for name in ("r0", "r1")]
    verdict = judge([*waits, MemberReport(id="r2", problem="not connected")])[1]
    missing = f"r2 (not connected), r0 ({why}), r1 ({why})"
    assert verdict == (
        "No quorum: 2 of 3 reachable, 0 voting, 2 needed; nothing can be decided; "
        f"no liar is tolerated. Missing: {missing}."
    )


def test_missing_votes_are_named_by_their_owners() -> None:
    waiting = node("r1", open=slot(prepares=("r1",)))
    level, verdict = judge(four(r1=waiting))
    assert level == "stuck"
    assert (
        verdict == "Sequence 41 in view 2 is undecided on r1 after 3.0 s: prepares are missing from r2, r3."
    )


def test_the_primary_can_lack_a_commit_but_not_a_prepare() -> None:
    waiting = node("r1", open=slot(phase="prepared", commits=("r1", "r2")))
    assert "commits are missing from r0, r3" in judge(four(r1=waiting))[1]


def test_a_missing_proposal_is_attributed_to_the_primary() -> None:
    waiting = node("r1", open=slot(phase="waiting"))
    assert "no proposal from r0 has arrived" in judge(four(r1=waiting))[1]


def test_a_node_that_abstains_gives_its_reason() -> None:
    waiting = node("r1", open=slot(prepares=("r2",), abstain_reason="bad_timestamp"))
    assert "r1 withholds its own vote (bad_timestamp)" in judge(four(r1=waiting))[1]


def test_a_node_that_withholds_for_time_says_by_how_much() -> None:
    said = "r1 withholds its vote: the proposal's time is 3,600 s ahead of its clock"
    waiting = node("r1", open=slot(prepares=("r2",), abstain_reason="bad_timestamp"), withheld_ahead=3_600.0)
    assert judge(four(r1=waiting))[1].endswith(f"is undecided on r1 after 3.0 s: {said}.")
    assert judge(four(r1=node("r1", withheld_ahead=3_600.0))) == (
        "slow",
        f"Nothing is stuck. Sequence 40 is executed; {said}.",
    )


def test_log_time_ahead_of_the_clock_is_said_though_nothing_is_stuck() -> None:
    log_time = WALL + 3_480_000_000
    reports = four(**{name: node(name, log_time=log_time) for name in ("r0", "r1", "r2", "r3")})
    assert judge(reports) == (
        "slow",
        "Nothing is stuck. Sequence 40 is executed; log time is 58 min ahead of this clock; "
        "windows of validity are judged by it.",
    )


def test_a_recent_proposal_is_not_stuck() -> None:
    assert judge(four(r1=node("r1", open=slot(open_for=0.02))))[0] == "ok"


def test_a_view_change_is_reported() -> None:
    changing = {name: node(name, changing=True, view=3) for name in ("r1", "r2")}
    assert judge(four(**changing)) == ("slow", "Choosing a new primary; scans wait a moment.")
    level, sentence = judge(four(**changing), changing_for=CHANGE_USUAL)
    assert (level, sentence.startswith("No quorum: 4 of 4 reachable, 2 in one view")) == ("stuck", True)


def test_a_request_that_waits_is_no_healthy_cluster() -> None:
    waiting = {name: node(name, waits=4.0) for name in ("r1", "r2")}
    level, sentence = judge(four(**waiting))
    assert (level, sentence.startswith("A request has waited for more than 0.8 s")) == ("slow", True)


def test_a_suspicion_is_reported_with_its_cause() -> None:
    suspicious = node("r2", pending=7, suspicion="no heartbeat")
    assert judge(four(r2=suspicious)) == (
        "slow",
        "r2 has 7 requests waiting and suspects r0: no heartbeat.",
    )


def test_a_member_that_catches_up_is_reported() -> None:
    assert "r3 is catching up, at 10 of 40" in judge(four(r3=node("r3", sequence=10, catching_up_to=40)))[1]


def test_a_stopped_learner_is_reported_as_a_problem() -> None:
    level, verdict = judge(four(), reading="the learner is stopped; they show sequence 38")
    assert level == "stuck"
    assert "Nothing is stuck" not in verdict
    assert "agree on sequence 40" in verdict
    assert "the learner is stopped; they show sequence 38" in verdict


@pytest.mark.django_db(databases=["default", "learner"])
def test_a_stopped_learner_is_reported_with_the_time_of_its_stop(learner: RealLearner) -> None:
    heard = datetime(2026, 11, 20, 9, 17, 2, tzinfo=UTC)
    ManagedNode.objects.filter(role="learner").update(status="stopped", heartbeat_at=heard)
    assert _reading() == "the learner has been stopped since 2026-11-20 09:17:02 UTC; they show sequence 1"
    ManagedNode.objects.filter(role="learner").update(status="running")
    assert _reading() == ""
    ManagedNode.objects.filter(role="learner").update(report={"state": "disk_full"})
    said = "its disk is full; it resumes automatically when there is space; they show sequence 1"
    assert _reading() == f"the learner cannot write: {said}"


NO_QUORUM = "No quorum: 4 of 4 reachable, 2 {}, 3 needed; nothing can be decided."
SAME = (3, 3, 3, 3)


@pytest.fixture
def answer(learner: RealLearner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the members say: in the statuses that the gateway has polled, and when they are asked."""
    ManagedNode.objects.filter(role="learner").update(status="running")

    def say(polled: Sequence[int], views: Sequence[int], sequences: Sequence[int]) -> None:
        members = [
            msgspec.structs.replace(member, view=view, sequence=sequence, stable=sequence)
            for member, view, sequence in zip(learner.gateway.members(), polled, sequences, strict=True)
        ]

        def query(member: int, what: str, arguments: object, *, wait: float) -> Future[Answered]:
            at = {"view": views[member], "sequence": sequences[member], "stable": sequences[member]}
            future: Future[Answered] = Future()
            future.set_result(Answered(0, "", msgspec.json.encode(at | {"voting": True}).decode()))
            return future

        monkeypatch.setattr(learner.gateway, "members", lambda: members)
        monkeypatch.setattr(learner.gateway, "query", query)

    return say


@pytest.mark.parametrize(
    ("views", "sequences", "sentence"),
    [
        (SAME, (1000, 1000, 10, 10), NO_QUORUM.format("up to date")),
    ],
)
@pytest.mark.django_db(databases=["default", "learner"])
def test_where_the_sentence_of_state_is_stuck_the_verdict_is_too(
    answer: Callable[..., None], views: tuple[int, ...], sequences: tuple[int, ...], sentence: str
) -> None:
    answer(views, views, sequences)
    found = explain()
    assert (found.level, found.verdict) == ("stuck", sentence)


@pytest.mark.django_db(databases=["default", "learner"])
def test_between_two_views_the_verdict_says_so_and_later_that_it_does_not_end(
    answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The band was red, "nothing can be decided", beside a diagnosis "healthy"."""
    now = [100.0]
    monkeypatch.setattr(agreeing, "monotonic", lambda: now[0])
    answer((3, 3, 4, 4), (3, 3, 4, 4), (40, 40, 40, 40))
    found = explain()
    assert found.level == "slow"
    assert found.verdict == "Choosing a new primary; scans wait a moment."
    for _ in range(int(CHANGE_USUAL)):
        now[0] += 1.0
        found = explain()
    assert (found.level, found.verdict) == ("stuck", NO_QUORUM.format("in one view"))


def test_how_long_something_holds_is_known_only_while_it_is_looked_at() -> None:
    lasting = agreeing.Lasting()
    looks = [(10.0, True), (14.0, True), (15.0, False), (16.0, True), (19.0, True)]
    assert [lasting.seconds(at, holds=holds) for at, holds in looks] == [0, 4, 0, 0, 3]
    late = 19.0 + agreeing.UNSEEN_MAX + 1
    assert lasting.seconds(late, holds=True) == 0, "nobody looked: it may have been another one"


@pytest.mark.django_db(databases=["default", "learner"])
def test_answers_that_agree_outweigh_statuses_from_before_a_view_change(
    answer: Callable[..., None],
) -> None:
    """The statuses are up to a second old."""
    answer((2, 2, 3, 3), SAME, (40, 40, 40, 40))
    assert explain().verdict == "Nothing is stuck. Sequence 40 is executed."


@pytest.mark.django_db(databases=["default", "learner"])
def test_members_that_do_not_answer_are_shown_as_such(learner: RealLearner) -> None:
    learner.gateway.down = frozenset({1, 2})
    found = explain()
    assert [one.problem for one in found.reports] == [
        "",
        "not connected",
        "not connected",
        "",
    ]
    assert found.state.needed == 3


def test_r44_a_raft_cluster_is_told_of_in_its_own_words() -> None:
    changing = {name: node(name, changing=True, view=3) for name in ("r1", "r2", "r3")}
    assert judge(four(**changing), mode=Mode.RAFT)[1].startswith("Choosing a new leader; scans wait a moment")
    verdict = judge(four(r1=node("r1", open=slot(phase="waiting"))), mode=Mode.RAFT)[1]
    assert verdict.startswith("Sequence 41 in term 2 is undecided on r1")
