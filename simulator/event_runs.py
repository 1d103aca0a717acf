"""Runs of agent events: members judge them by votes, gateways have the log record what was decided.

Votes come late, twice, or not at all; a liar votes falsely, and in two ways. Rivals write beside the writer
that follows the log: one goes on from an older place of its run, one has a certificate of one member alone,
one gives members a false state.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events import judging
from dtvn.events.config import Algorithm, ConsensusConfig
from dtvn.events.judging import (
    Abstains,
    Ask,
    Electorate,
    Event,
    Inquiry,
    MemberVote,
    Question,
    RunPoint,
    Vote,
    assemble,
    decision_rule,
    decode_certificate,
    event_digest,
    first_head,
    next_head,
    open_turn,
    sign_turn,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.machine import Record, build
from dtvn.protocol import quorum
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.recurring import Recurring
from simulator.world import World

PAUSE_MAX = 40 * MILLISECOND
LATE_MAX = 60 * MILLISECOND
PATIENCE, TIMEOUT = 100 * MILLISECOND, 400 * MILLISECOND
UNHEARD = 0.05
"""Share of votes that do not come."""
RUNS = 2
"""Runs that each gateway writes at once."""
LIMITS = Limits()
TEXTS = (
    b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}',
    b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}',
    *(b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"x"}',) * 3,
    b'{"type":"TEXT_MESSAGE_END","messageId":"m"}',
    b'{"type":"RUN_FINISHED","threadId":"t","runId":"r"}',
    b"no JSON",
)


class Place(msgspec.Struct, frozen=True):
    """Where a run stands, for who writes it."""

    point: RunPoint
    head: bytes


class Writer:
    """One run and the process that writes it."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        fresh = RuledRun(LIMITS)
        point = RunPoint("t", name, 0, fresh.state_digest(), fresh.rules_digest())
        self.gateway = gateway
        self.places = [Place(point, first_head("t", name))]
        """The last one is the newest."""
        self.chunk: list[Event] = []
        self.inquiry: Inquiry | None = None
        self.unrecorded: list[Record] = []
        self.request: Request | None = None


class EventRuns(Recurring):
    """All writers of all gateways, and the members as judges."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice) -> None:
        super().__init__(world, dice.fork("when"), PAUSE_MAX)
        self.electorate = Electorate(world.cluster, 0, world.genesis.members, world.keyring.scheme)
        self.judged: dict[Question, Vote] = {}
        """The honest vote on each question that was asked."""
        self.inquiries: list[Inquiry] = []
        self.in_two_ways: set[tuple[int, int, Question]] = set()
        """(number of the inquiry, member, question) of counted votes after which another one arrived."""
        self._counted: dict[tuple[int, int, Question], Vote] = {}
        self._dice = dice
        self._states = {RuledRun(LIMITS).state_digest(): RuledRun(LIMITS).state}
        self._begun = 0
        self._writers = [self._writer(gateway) for gateway in gateways for _ in range(RUNS)]
        members = len(self.electorate.members)
        faults = quorum.faults(members)
        config = ConsensusConfig(
            algorithm=Algorithm.PBFT, min_nodes=members, byzantine_fault_tolerance=faults
        )
        self._rule = decision_rule(config, members)

    def happen(self) -> None:
        """One writer goes on, or a rival writes beside it."""
        dice = self._dice
        number = dice.below(len(self._writers))
        writer = self._writers[number]
        if dice.hit(0.2):
            self._forge(writer)
        elif dice.hit(0.2):
            self._forge_state(writer)
        elif dice.hit(0.3) and len(writer.places) > 1:
            self._write_from_an_older_place(writer)
        elif writer.inquiry is None and not writer.unrecorded:
            self._begin(writer)
        elif writer.unrecorded and self._lost(writer):
            self._writers[number] = self._writer(writer.gateway)

    def _writer(self, gateway: Gateway) -> Writer:
        self._begun += 1
        return Writer(gateway, f"r{self._begun}")

    # --- judging ---------------------------------------------------------------------------------

    def _begin(self, writer: Writer) -> None:
        writer.chunk = self._events()
        now = self.world.time
        inquiry = writer.inquiry = Inquiry(
            writer.places[-1].point,
            [event_digest(event) for event in writer.chunk],
            self._rule,
            range(len(self.electorate.members)),
            now=now,
            timeout=TIMEOUT,
            patience=PATIENCE,
        )
        self.inquiries.append(inquiry)
        for moment in (PATIENCE, TIMEOUT):
            self.world.after(moment, self._tick, writer, inquiry)
        self._send(writer, inquiry)

    def _events(self) -> list[Event]:
        dice = self._dice
        return [Event(dice.bytes(16), dice.pick(TEXTS)) for _ in range(1 + dice.below(3))]

    def _send(self, writer: Writer, inquiry: Inquiry) -> None:
        for ask in inquiry.outbox():
            vote = self._vote(ask, writer.chunk)
            for given in self._given(ask.member, vote):
                if not self._dice.hit(UNHEARD):
                    late = 1 + self._dice.below(LATE_MAX)
                    self.world.after(late, self._arrive, writer, inquiry, ask.member, given)

    def _vote(self, ask: Ask, chunk: Sequence[Event]) -> Vote:
        run = RuledRun(LIMITS, self._states[ask.question.before])
        vote = judging.cast_vote(ask.question, chunk[ask.first : ask.first + ask.question.count], run)
        self._states[vote.after] = run.state
        self.judged[ask.question] = vote
        return vote

    def _given(self, member: int, vote: Vote) -> list[Vote]:
        """What a member sends: an honest one its vote, sometimes twice; a liar what it likes."""
        dice = self._dice
        if self.world.nodes[self.electorate.members[member].id].honest:
            return [vote] * (1 + dice.hit(0.1))
        return dice.pick(([vote], [_false(vote)], [vote, _false(vote)], [_false(vote), vote], []))

    def _arrive(self, writer: Writer, inquiry: Inquiry, member: int, vote: Vote) -> None:
        key = self.inquiries.index(inquiry), member, vote.question
        before = self._counted.get(key)
        if inquiry.receive(self._signed(member, vote)) is None:
            self._counted[key] = vote
        if before is not None and before != vote:
            self.in_two_ways.add(key)
        self._go_on(writer, inquiry)

    def _tick(self, writer: Writer, inquiry: Inquiry) -> None:
        inquiry.tick(self.world.time)
        self._go_on(writer, inquiry)

    def _go_on(self, writer: Writer, inquiry: Inquiry) -> None:
        self._send(writer, inquiry)
        if not inquiry.done or writer.inquiry is not inquiry:
            return
        writer.inquiry = None
        for piece in inquiry.pieces:
            if piece.decision.certified is not None:
                record = self._record(writer.places[-1], piece.votes[: self._rule.needed])
                writer.unrecorded.append(record)
                writer.places.append(_after(writer.places[-1], record, piece.decision.certified))
        self._ask(writer)

    def _signed(self, member: int, vote: Vote) -> MemberVote:
        voters, keyring = self.electorate, self.world.keyring
        turn = sign_turn(
            [vote],
            cluster=voters.cluster,
            epoch=voters.epoch,
            member=member,
            secret=keyring.pair(voters.members[member].id)[1],
            scheme=keyring.scheme,
        )
        return open_turn(turn, voters, member)[0]

    # --- recording -------------------------------------------------------------------------------

    def _record(self, place: Place, votes: Sequence[MemberVote]) -> Record:
        certificate = decode_certificate(assemble(votes, len(votes), self.electorate))
        return Record(place.head, certificate, ends=self._dice.hit(0.02))

    def _ask(self, writer: Writer) -> None:
        if writer.unrecorded:
            writer.request = self._submit(writer.gateway, writer.unrecorded)

    def _submit(self, gateway: Gateway, records: Sequence[Record]) -> Request | None:
        until = (gateway.clock.now().wall + 20 * SECOND) // 1_000
        entry = self._dice.pick(self.world.member_names)
        return gateway.ask(
            [build(each, event="agents", actor="proxy", entry=entry, valid_until=until) for each in records]
        )

    def _lost(self, writer: Writer) -> bool:
        """Whether the log has another history of this writer's run; asks again if it did not answer."""
        request = writer.request
        if request is not None and request.results is None and request.number in writer.gateway.open:
            return False
        code = request.results[-1].code if request is not None and request.results is not None else ""
        if code == "ok":
            writer.unrecorded.clear()
        elif code != "not_next":
            self._ask(writer)
        return code == "not_next"

    def _write_from_an_older_place(self, writer: Writer) -> None:
        """Another history: honest members judge its two chunks too, since they remember no run."""
        place = self._dice.pick(writer.places[:-1])
        records = []
        for _ in range(2):
            chunk = self._events()
            question = place.point.question([event_digest(event) for event in chunk])
            vote = self._vote(Ask(0, question, 0), chunk)
            votes = [self._signed(member, vote) for member in range(self._rule.needed)]
            records.append(self._record(place, votes))
            place = _after(place, records[-1], vote)
        self._submit(writer.gateway, records)

    def _forge(self, writer: Writer) -> None:
        """A record of a false vote, signed by the last member alone, where the run stands."""
        chunk = self._events()
        question = writer.places[-1].point.question([event_digest(event) for event in chunk])
        vote = _false(self._vote(Ask(0, question, 0), chunk))
        member = len(self.electorate.members) - 1
        self._submit(writer.gateway, [self._record(writer.places[-1], [self._signed(member, vote)])])

    def _forge_state(self, writer: Writer) -> None:
        """Gives honest members another state than the one that its question names."""
        place, chunk = writer.places[-1], self._events()
        question = place.point.question([event_digest(event) for event in chunk])
        state = self._states[self._dice.pick(sorted(self._states.keys() - {question.before}))]
        try:
            vote = judging.cast_vote(question, chunk, RuledRun(LIMITS, state))
        except Abstains:
            return
        votes = [self._signed(member, vote) for member in range(self._rule.needed)]
        self._submit(writer.gateway, [self._record(place, votes)])


def _false(vote: Vote) -> Vote:
    return Vote(vote.question, vote.after, ((0, "A_LIE"),))


def _after(place: Place, record: Record, vote: Vote) -> Place:
    return Place(place.point.after(vote.question, vote.after), next_head(place.head, record.certificate.vote))
