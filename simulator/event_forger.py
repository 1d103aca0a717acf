"""A gateway that lies about agent events: it forges what it asks, and what it has recorded.

It asks real members with states, events and places that are not those it names, and makes records of the
votes that it gets: too few, twice the same, unsigned, of another vote or place, of an ended epoch. It writes
runs of its own, so that its records would take effect if they were believed, and continues those that other
gateways write.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.asking import VERSION, Asked, Asks, FormError, decode_answers
from dtvn.events.judging import (
    Ballot,
    Event,
    MemberVote,
    Question,
    RunPoint,
    Vote,
    assemble,
    decode_certificate,
    event_digest,
    first_head,
    next_head,
    open_turn,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.machine import Record, build
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.proof_errors import ProofError
from dtvn.protocol.wire import link_frame
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.event_client import THREAD, EventClient, draw_events
from simulator.recurring import Recurring

PAUSE_MAX = 60 * MILLISECOND
PLACES_MAX = 6
"""Places of a run after which it begins another one."""
FIRST_NUMBER = 1 << 40
"""Of its questions, far above those of the gateway's own."""


class Place(msgspec.Struct, frozen=True):
    """A point of its run that certificates lead to."""

    point: RunPoint
    head: bytes
    state: bytes
    """Canonical bytes of the rule state there."""


class Asking(msgspec.Struct):
    """A question and the votes on it."""

    place: Place
    events: Sequence[Event]
    epoch: int
    votes: dict[int, MemberVote] = {}


class EventForger(Recurring):
    """Lies in the process of an honest gateway, with its principal."""

    def __init__(self, client: EventClient, dice: Dice, others: Sequence[EventClient] = ()) -> None:
        super().__init__(client.gateway.world, dice.fork("when"), PAUSE_MAX)
        self._client = client
        self._dice = dice
        self._others = others
        self._others_dice = dice.fork("runs of others")
        self._number = FIRST_NUMBER
        self._begun = 0
        self._states = [RuledRun(Limits()).state]
        self._places = self._begin()
        client.on_body = self._hear

    def happen(self) -> None:
        """Ask, or have something recorded."""
        dice = self._dice
        if self._others and self._others_dice.hit(0.2):
            self._continue(self._others_dice.pick(self._others))
        elif not self._asked or dice.hit(0.3):
            self._ask(self._places[-1] if dice.hit(0.7) else dice.pick(self._places))
        elif dice.hit(0.2):
            self._ask_forged(self._places[-1])
        elif dice.hit(0.5):
            self._record_forged(self._dice.pick(list(self._asked.values())))
        else:
            self._go_on()

    def _begin(self) -> list[Place]:
        self._begun += 1
        self._ended = False
        self._asked: dict[Question, Asking] = {}
        run, fresh = f"forged-{self._begun}", RuledRun(Limits())
        point = RunPoint(THREAD, run, 0, fresh.state_digest(), fresh.rules_digest())
        return [Place(point, first_head(THREAD, run), fresh.state)]

    # --- asking ----------------------------------------------------------------------------------

    def _ask(self, place: Place) -> None:
        events = draw_events(self._dice, place.point.position)
        question = place.point.question([event_digest(event) for event in events])
        self._send(Asking(place, events, self._epoch), question, events, place.state)

    def _continue(self, other: EventClient) -> None:
        """Have a run judged that another gateway writes, from where the log has it; see `_go_on`."""
        if places := other.places():
            point, place = self._others_dice.pick(places)
            self._ask(Place(point, place.head, place.state))

    def _ask_forged(self, place: Place) -> None:
        """Hands over another state or other events than the question names, or names those of another run."""
        dice, events = self._dice, draw_events(self._dice, place.point.position)
        digests = [event_digest(event) for event in events]
        question, state, given = place.point.question(digests), dice.pick(self._states), events
        kind = dice.below(3)
        if kind == 0:
            unknown = msgspec.structs.replace(question, before=dice.bytes(32))
            question = dice.pick((question, unknown))
        elif kind == 1:
            place = msgspec.structs.replace(place, state=state)
            other = RuledRun(Limits(), state).state_digest()
            question = msgspec.structs.replace(question, before=other)
        else:
            given, state = draw_events(dice, place.point.position)[:1] * len(events), place.state
        self._send(Asking(place, events, self._epoch), question, given, state)

    def _send(self, asking: Asking, question: Question, events: Sequence[Event], state: bytes) -> None:
        self._asked[question] = asking
        gateway, world = self._client.gateway, self.world
        self._number += 1
        pairs = tuple((event.salt, event.text) for event in events)
        asks = Asks(VERSION, self._epoch, (Asked(self._number, question, pairs, state),))
        frame = link_frame(m.Judge(canonical.encode(asks)))
        for member in gateway.collector.epochs.present.members:
            world.transmit(gateway.name, member.id, frame, world.time)

    @property
    def _epoch(self) -> int:
        return self._client.gateway.collector.epochs.present.epoch

    def _hear(self, member: int, body: bytes) -> None:
        """Gather the votes on its questions."""
        try:
            answers = decode_answers(canonical.decode(m.Judged, body).body)
            votes = open_turn(answers.turn, self._client.electorate(), member) if answers.turn else []
        except (FormError, ProofError, canonical.CanonicalError):
            return
        for vote in votes:
            asking = self._asked.get(vote.vote.question)
            if asking is not None and asking.epoch == answers.epoch:
                asking.votes.setdefault(member, vote)

    # --- recording -------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Have an honest certificate recorded, of the newest place or of an older one."""
        full = [
            (asking, votes) for asking in self._asked.values() if (votes := self._agreed(asking)) is not None
        ]
        if not full:
            return
        asking, votes = self._dice.pick(full)
        electorate = self._client.electorate()
        if asking.epoch != electorate.epoch:
            return
        data = assemble(votes, electorate.quorum, electorate)
        record = Record(asking.place.head, decode_certificate(data), ends=self._dice.hit(0.2))
        self._submit(record)
        if asking.place == self._places[-1] and asking.place.state == self._places[-1].state:
            self._places.append(self._after(asking, votes[0].vote, record))
            self._states.append(self._places[-1].state)
            del self._states[:-20]
        self._ended = self._ended or record.ends
        if len(self._places) > PLACES_MAX or (self._ended and self._dice.hit(0.3)):
            self._places = self._begin()

    def _agreed(self, asking: Asking) -> list[MemberVote] | None:
        """A quorum of equal votes, if there is one."""
        groups: dict[bytes, list[MemberVote]] = {}
        for vote in asking.votes.values():
            groups.setdefault(vote.encoded, []).append(vote)
        largest: list[MemberVote] = max(groups.values(), key=len, default=[])
        return largest if len(largest) >= self._client.electorate().quorum else None

    def _after(self, asking: Asking, vote: Vote, record: Record) -> Place:
        run = RuledRun(Limits(), asking.place.state)
        for event in asking.events:
            run.feed(event.text)
        point = asking.place.point.after(vote.question, vote.after)
        return Place(point, next_head(asking.place.head, record.certificate.vote), run.state)

    def _record_forged(self, asking: Asking) -> None:
        """A certificate that does not hold, or one at a place where it does not belong."""
        dice, electorate = self._dice, self._client.electorate()
        votes = self._agreed(asking) or [vote for _, vote in sorted(asking.votes.items())][:1]
        if not votes:
            return
        made, head = decode_certificate(assemble(votes, len(votes), electorate)), asking.place.head
        made = msgspec.structs.replace(made, epoch=asking.epoch)
        short, needed, kind = made.ballots[: electorate.quorum - 1], electorate.quorum, dice.below(5)
        if kind == 0:
            made = msgspec.structs.replace(made, ballots=short)
        elif kind == 1:
            twice = short[:1] * (needed - len(short)) + short
            made = msgspec.structs.replace(made, ballots=twice)
        elif kind == 2:
            made = msgspec.structs.replace(made, ballots=self._unsigned(made.ballots[0], short, needed))
        elif kind == 3:
            vote = votes[0].vote
            other = Vote(vote.question, vote.after, ((0, "FORGED"),))
            made = msgspec.structs.replace(made, vote=canonical.encode(other))
        else:
            head = dice.pick([place.head for place in self._places])
        self._submit(Record(head, made, ends=False))

    def _unsigned(self, like: Ballot, ballots: tuple[Ballot, ...], needed: int) -> tuple[Ballot, ...]:
        """`needed` ballots, of which those that are missing, made `like` one, name other members and are not
        signed."""
        signers = {ballot.member: ballot for ballot in ballots}
        for member in range(len(self._client.electorate().members)):
            if len(signers) < needed and member not in signers:
                signature = self._dice.bytes(64)
                signers[member] = msgspec.structs.replace(like, member=member, signature=signature)
        return tuple(ballot for _member, ballot in sorted(signers.items()))

    def _submit(self, record: Record) -> None:
        gateway = self._client.gateway
        until = (gateway.clock.now().wall + 20 * SECOND) // 1_000
        entry = self._dice.pick(self.world.member_names)
        gateway.ask([build(record, event="agents", actor="forger", entry=entry, valid_until=until)])
