"""Votes: a pure function of the question, one signature a turn, and what is refused at the door."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.events.judging import TURN_VOTES_MAX, Abstains, Abstention, Vote, cast_vote, open_turn, sign_turn
from dtvn.events.judging.turns import TAG, Turn
from dtvn.events.judging.votes import first_difference
from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import Code, ProofError
from tests.events.judging.support import (
    CLUSTER,
    START,
    SimpleRun,
    changed,
    digests,
    electorate,
    events,
    honest,
    keys,
    lie,
)
from tests.support.table import table

VOTES = [honest("a"), honest("b", "!FIRST_EVENT", "c"), honest("d")]


def signed(votes: list[Vote], member: int = 1) -> bytes:
    return sign_turn(votes, cluster=CLUSTER, epoch=3, member=member, secret=keys(member)[1])


def refused(data: bytes, code: Code, member: int = 1, **where: object) -> str:
    """The place that is named when the turn is refused."""
    with pytest.raises(ProofError) as told:
        open_turn(data, electorate(**where), member)  # type: ignore[arg-type]
    assert told.value.code is code
    return told.value.place


def test_votes_part_at_the_earliest_event_that_any_two_judge_differently() -> None:
    true = honest("a", "b", "c", "d")
    late, early = lie(true, (2, "X")), lie(true, (1, "X"), (2, "X"))
    for votes, place in (
        ((true, late, early), 1),
        ((true, early, late), 1),
        ((late, early), 1),
        ((late, lie(true, (2, "Y")), true), 2),
        ((true, true, lie(true, (3, "X"))), 3),
        ((true, lie(true, after=bytes(32))), 0),
        ((true,), 0),
    ):
        assert first_difference(votes) == place


def test_a_refused_event_is_named_and_changes_no_state() -> None:
    vote = honest("b", "!FIRST_EVENT", "c")
    assert vote.errors == ((1, "FIRST_EVENT"),)
    assert not vote.valid
    assert vote.after == honest("b", "c").after


def test_equal_questions_get_equal_votes() -> None:
    assert canonical.encode(honest("a", "!X")) == canonical.encode(honest("a", "!X"))


@table(
    ("run", "texts", "reason"),
    [
        (SimpleRun(rules=b"\x12" * 32), ("a", "b"), Abstention.OTHER_RULES),
        (SimpleRun(state=b"\x01" * 32), ("a", "b"), Abstention.STATE_UNKNOWN),
        (SimpleRun(), ("a", "x"), Abstention.OTHER_EVENTS),
        (SimpleRun(), ("a",), Abstention.OTHER_EVENTS),
        (SimpleRun(), ("b", "a"), Abstention.OTHER_EVENTS),
    ],
    count=5,
)
def test_events_that_the_question_does_not_name_get_no_vote(
    run: SimpleRun, texts: tuple[str, ...], reason: Abstention
) -> None:
    before = run.state
    with pytest.raises(Abstains) as told:
        cast_vote(START.question(digests(events("a", "b"))), events(*texts), run)
    assert (told.value.reason, run.state) == (reason, before)


@table("count", [1, 2, 3, 7, 100], count=5)
def test_votes_of_one_turn_are_each_shown_alone(count: int) -> None:
    from dtvn.events.judging.turns import check_ballot

    opened = open_turn(signed([honest(f"event {number}") for number in range(count)]), electorate(), 1)
    for each in opened:
        check_ballot(each.ballot(), each.encoded, electorate())
    if count > 1:
        with pytest.raises(ProofError):
            check_ballot(opened[0].ballot(), opened[1].encoded, electorate())


def test_one_signature_is_checked_for_a_whole_turn() -> None:
    checked: list[bytes] = []

    class Counting:
        def sign(self, secret: bytes, data: bytes) -> bytes:
            return electorate().scheme.sign(secret, data)

        def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
            checked.append(data)
            return electorate().scheme.verify(public_key, data, signature)

    voters = msgspec.structs.replace(electorate(), scheme=Counting())
    assert [each.vote for each in open_turn(signed(VOTES), voters, 1)] == VOTES
    assert len(checked) == 1
    assert checked[0].startswith(TAG + CLUSTER)


def test_a_turn_of_another_signer_cluster_or_epoch_is_refused() -> None:
    data = signed(VOTES)
    assert refused(data, Code.BAD_SIGNERS, member=2) == "n2"
    assert refused(data, Code.BAD_SIGNATURE, cluster=b"\x08" * 32) == "n1"
    assert refused(data, Code.OTHER_EPOCH, epoch=4) == "epoch 3"
    assert refused(changed(data, Turn, epoch=4), Code.BAD_SIGNATURE, epoch=4) == "n1"
    assert refused(changed(data, Turn, member=0), Code.BAD_SIGNATURE, member=0) == "n0"
    assert refused(changed(data, Turn, member=9), Code.UNKNOWN_MEMBER, member=9) == "member 9"
    assert refused(changed(data, Turn, version=2), Code.UNKNOWN_VERSION) == "turn of votes"


def test_a_turn_with_one_vote_more_less_or_moved_is_refused() -> None:
    encoded = tuple(map(canonical.encode, VOTES))
    for votes in (encoded[:-1], (*encoded, encoded[0]), encoded[::-1]):
        assert refused(changed(signed(VOTES), Turn, votes=votes), Code.BAD_SIGNATURE) == "n1"


@table(
    "errors",
    [((1, "X"),), ((0, "X"), (0, "Y")), ((0, "x"),), ((0, ""),), ((0, "X" * 65),), ((-1, "X"),)],
    count=6,
)
def test_a_signed_vote_without_its_form_is_refused(errors: tuple[tuple[int, str], ...]) -> None:
    vote = lie(honest("a"), *errors)
    assert refused(signed([vote]), Code.MALFORMED) == "vote"


def test_a_turn_without_its_form_is_refused() -> None:
    assert refused(b"", Code.MALFORMED) == "turn of votes"
    assert refused(signed(VOTES) + b"\0", Code.MALFORMED) == "turn of votes"
    assert refused(bytes(5 * 1024 * 1024), Code.TOO_LARGE) == "turn"


@pytest.mark.parametrize("count", [0, TURN_VOTES_MAX + 1])
def test_a_turn_signs_a_bounded_number_of_votes(count: int) -> None:
    with pytest.raises(ValueError, match=f"votes: {count}, not 1 to 4096"):
        signed([honest()] * count)


def test_no_other_signature_of_the_cluster_begins_like_a_vote() -> None:
    from dtvn.protocol.wire import signed_bytes

    other = signed_bytes(CLUSTER, 16, b"")[: len(TAG)]
    assert other != TAG[: len(other)]
