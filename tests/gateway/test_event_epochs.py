"""Runs that are judged while an epoch ends: votes of the old one count for nothing, nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from dtvn.events.asking import Member, MemberJudge
from dtvn.events.config import Algorithm
from dtvn.events.judging import (
    Event,
    RunPoint,
    Verdict,
    cast_vote,
    check_certificate,
    decode_certificate,
    event_digest,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.gateway import Judged, Result
from dtvn.gateway.event_chunks import Chunk, Panel, Settled, Track
from dtvn.gateway.event_records import EVERY
from dtvn.gateway.event_runs import EventActions, EventRuns
from dtvn.machine import Record, reasons
from dtvn.machine.commands import check
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Peer
from tests.events.judging.support import CLUSTER, electorate, given, keys, lie, rule

GATEWAY = Peer("gateway", None, b"1")
STARTED = b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'
OPENED = b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}'
WAIT = 5_000_000_000


class World:
    """Runs, and the members of an epoch that judge them. Four members at first."""

    def __init__(self) -> None:
        self.runs = EventRuns(electorate(4, 0))
        self.time = 0
        self.submitted: list[tuple[int, tuple[m.Operation, ...]]] = []
        self.judged: list[Judged] = []
        self.answered: list[int] = []
        """Calls in the order of their answers."""
        self.ended: list[int] = []
        self._seat(4, 0)

    def _seat(self, members: int, epoch: int) -> None:
        self.members, self.epoch = members, epoch
        self.judges = [
            MemberJudge(Member(CLUSTER, epoch, index, keys(index)[1]), lambda _name: True)
            for index in range(members)
        ]
        self.runs.connected(frozenset(range(members)))

    def enter(self, members: int, epoch: int) -> None:
        self.runs.enter(electorate(members, epoch), self.time)
        self._seat(members, epoch)

    def take(self) -> EventActions:
        self.runs.tick(self.time)
        actions = self.runs.take(self.time)
        self.submitted += actions.submit
        self.judged += [judged for _call, judged in actions.judged]
        self.answered += [call for call, _judged in actions.judged]
        self.ended += [number for number, _end in actions.ended]
        return actions

    def said(self, actions: EventActions) -> list[tuple[int, bytes]]:
        """What the members answer to what was sent."""
        answers = []
        for member, body in actions.send:
            self.judges[member].put(GATEWAY, body, self.time)
            for _peer, answer in self.judges[member].turn(lambda: self.time)[0]:
                answers.append((member, canonical.encode(m.Judged(answer))))
        return answers

    def settle(self) -> None:
        """Until nothing is sent any more."""
        while answers := self.said(self.take()):
            for member, answer in answers:
                self.runs.receive(member, answer)

    def judge(self, number: int, *texts: bytes) -> None:
        events = [Event(bytes(16), text) for text in texts]
        self.runs.judge(number, events, self.time, wait=WAIT)


def begun(world: World) -> int:
    return world.runs.begin("t", "r", event="default", actor="a").number


def test_votes_of_an_ended_epoch_count_for_nothing() -> None:
    world = World()
    world.judge(begun(world), STARTED)
    late = world.said(world.take())
    for member, answer in late[:2]:
        world.runs.receive(member, answer)
    world.enter(7, 1)
    for member, answer in late:
        world.runs.receive(member, answer)
    assert world.judged == []
    world.settle()
    (judged,) = world.judged
    assert judged.verdict is Verdict.VALID
    (piece,) = judged.pieces
    found = check_certificate(decode_certificate(piece.certificate), electorate(7, 1))
    assert (piece.epoch, len(found.signers)) == (1, 5)


def submitted_once(world: World) -> tuple[int, int]:
    """Numbers of a judged run and of the submission that carries its one record."""
    number = begun(world)
    world.judge(number, STARTED, OPENED)
    world.settle()
    world.time += EVERY
    world.settle()
    ((submission, operations),) = world.submitted
    assert len(operations) == 1
    return number, submission


def test_a_record_of_an_ended_epoch_is_voted_again_with_the_same_head() -> None:
    world = World()
    _number, first = submitted_once(world)
    world.enter(4, 1)
    world.runs.outcomes(first, (Result(reasons.WRONG_EPOCH),), world.time)
    world.settle()
    old, new = (check(each[1][0]) for each in world.submitted)
    assert isinstance(old, Record)
    assert isinstance(new, Record)
    assert (old.certificate.epoch, new.certificate.epoch) == (0, 1)
    assert (old.certificate.vote, old.previous) == (new.certificate.vote, new.previous)
    check_certificate(new.certificate, electorate(4, 1))


def test_the_outcome_of_a_run_that_was_forgotten_is_no_other_runs() -> None:
    world = World()
    number, first = submitted_once(world)
    world.runs._flying[first].insert(0, (number + 1, 1))
    world.enter(4, 1)
    world.runs.outcomes(first, (Result(reasons.NOT_NEXT), Result(reasons.WRONG_EPOCH)), world.time)
    world.settle()
    assert len(world.submitted) == 2, "its own was of an ended epoch, and is voted again at once"


@pytest.mark.parametrize("code", [reasons.BUSY, reasons.UNAVAILABLE, reasons.NOT_NEXT, None])
def test_a_record_that_is_not_taken_is_tried_again_after_a_pause(code: str | None) -> None:
    world = World()
    number = begun(world)
    world.judge(number, STARTED, OPENED)
    world.settle()
    world.runs.end(number, world.time, wait=WAIT)
    times: list[int] = []
    while len(world.runs) and len(times) < 20:
        for submitted, operations in world.take().submit:
            times.append(world.time)
            results = (Result(code),) * len(operations) if code else None  # None: it could not be submitted
            world.runs.outcomes(submitted, results, world.time)
        world.time = max(world.time, world.runs.deadline() or 0)
    tries = 2 if code == reasons.NOT_NEXT else 1 + WAIT // EVERY  # the former may be a lost outcome
    assert times == [attempt * EVERY for attempt in range(tries)]


def test_a_refusal_that_may_be_a_lost_outcome_is_not_the_runs_end() -> None:
    world = World()
    number = begun(world)
    world.judge(number, STARTED, OPENED)
    world.settle()
    world.runs.end(number, world.time, wait=EVERY // 2)
    ((submitted, operations),) = world.take().submit
    world.runs.outcomes(submitted, (Result(reasons.NOT_NEXT),) * len(operations), world.time)
    world.take()
    world.time += EVERY // 2
    (ended,) = world.take().ended
    assert (ended[1].code, ended[1].refusal) == (reasons.OUTCOME_UNKNOWN, ("", ""))


def test_small_chunks_are_recorded_though_votes_are_slow() -> None:
    world = World()
    number = begun(world)
    for text in (STARTED, OPENED):
        world.judge(number, text)
        world.settle()
    world.time += EVERY
    answers = world.said(world.take())
    world.time += 4 * EVERY
    world.take()
    for member, answer in answers:
        world.runs.receive(member, answer)
    world.settle()
    assert len(world.submitted) == 1


@pytest.mark.parametrize("algorithm", [Algorithm.MAJORITY, Algorithm.PBFT, Algorithm.UNANIMOUS])
def test_members_whose_connections_were_lost_for_a_moment_are_asked_again(algorithm: Algorithm) -> None:
    world = World()
    run = world.runs.begin("t", "r", algorithm=algorithm, recorded=False, event="default", actor="a")
    world.judge(run.number, STARTED)
    world.take()  # lost with the connections
    world.runs.connected(frozenset())
    world.take()
    world.runs.connected(frozenset(range(4)))
    world.settle()
    assert [judged.verdict for judged in world.judged] == [Verdict.VALID]


def test_a_member_that_is_ahead_of_the_gateway_is_asked_again() -> None:
    world = World()
    world.judge(begun(world), STARTED)
    world._seat(4, 1)  # the members know of the next epoch, the gateway not yet
    world.settle()
    assert world.judged == []
    world.enter(4, 1)
    world.settle()
    assert world.judged[0].pieces[0].epoch == 1


def test_without_its_algorithm_in_the_next_epoch_a_run_has_no_verdict() -> None:
    world = World()
    number = begun(world)
    world.judge(number, STARTED)
    world.take()
    world.runs._given_config = world.runs._config  # four members at least
    world.enter(3, 1)
    world.settle()
    assert world.judged[0].verdict is Verdict.NONE
    assert world.judged[0].pieces == ()


def first_piece(chunk: Chunk, epoch: int, liars: tuple[int, ...]) -> list[Settled]:
    """The votes of an epoch until a piece is decided; liars refuse the second event of each question."""
    voters = electorate(4, epoch)
    chunk.begin(Panel(voters, frozenset(range(4))), rule("pbft"), 0, wait=WAIT, patience=WAIT)
    while not chunk.inquiry.settled:
        for ask, events in chunk.asks():
            vote = cast_vote(ask.question, events, chunk.track.rules.copy())
            said = lie(vote, (1, "NO")) if ask.member in liars and ask.question.count > 1 else vote
            chunk.receive(given(ask.member, said, voters))
    return chunk.settled()


def test_what_is_decided_in_part_goes_on_behind_that_part_in_each_later_epoch() -> None:
    more = [OPENED.replace(b'"m"', b'"%d"' % number) for number in range(3)]
    events = [Event(bytes(16), text) for text in (STARTED, OPENED, *more)]
    rules = RuledRun(Limits())
    start = RunPoint("t", "r", 0, rules.state_digest(), rules.rules_digest())
    chunk = Chunk(Track(start, rules), events, [event_digest(event) for event in events], ())
    found = [first_piece(chunk, epoch, liars) for epoch, liars in enumerate([(0, 1), (2, 3), ()])]
    assert [(piece.piece.position, piece.events, piece.piece.epoch) for (piece,) in found] == [
        (0, tuple(events[:1]), 0),
        (1, tuple(events[1:2]), 1),
        (2, tuple(events[2:]), 2),
    ]
    assert chunk.inquiry.done


@settings(max_examples=60, deadline=None)
@drawn(st.data())
def test_each_call_and_each_end_is_answered_once_whatever_happens(data: st.DataObject) -> None:
    """Links break, votes come late, records are lost or refused, epochs end."""
    world, calls, late = World(), dict[int, list[int]](), list[tuple[int, bytes]]()
    for name in ("a", "b"):
        calls[world.runs.begin("t", name, event="default", actor="a").number] = []
    steps = st.sampled_from(("judge", "judge", "take", "hear", "log", "time", "links", "epoch"))
    for step in data.draw(st.lists(steps, max_size=30)):
        if step == "judge":
            run = data.draw(st.sampled_from(sorted(calls)))
            texts = data.draw(
                st.lists(st.sampled_from((STARTED, OPENED, b"not json")), min_size=1, max_size=3)
            )
            events = [Event(bytes(16), text) for text in texts]
            calls[run].append(world.runs.judge(run, events, world.time, wait=WAIT))
        elif step == "hear":
            for member, answer in late:
                world.runs.receive(member, answer)
            late = []
        elif step == "log" and world.submitted:
            number, operations = world.submitted.pop()
            code = data.draw(st.sampled_from((None, reasons.BUSY, reasons.WRONG_EPOCH, reasons.NOT_NEXT)))
            results = None if code is None else (Result(code),) * len(operations)
            world.runs.outcomes(number, results, world.time)
        elif step == "links":
            world.runs.connected(data.draw(st.frozensets(st.integers(0, 3))))
        elif step == "epoch":
            world.enter(4, world.epoch + 1)
        else:
            world.time += data.draw(st.sampled_from((1, EVERY // 3, EVERY))) if step == "time" else 0
            late += world.said(world.take())
    for run in calls:
        world.runs.end(run, world.time, wait=WAIT)
    while len(world.runs):
        world.settle()
        for number, _operations in world.submitted:
            world.runs.outcomes(number, None, world.time)
        world.submitted.clear()
        world.time = max(world.time + 1, world.runs.deadline() or 0)
    assert sorted(world.ended) == sorted(calls)
    for own in calls.values():
        assert [call for call in world.answered if call in own] == own
    assert len(world.answered) == sum(map(len, calls.values()))
