"""The open questions of all runs: sent to members, whose votes and abstentions go to the chunks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import Asker
from dtvn.events.judging import Electorate, Event, MemberVote, Question, encode_evidence
from dtvn.gateway.event_chunks import Chunk, Track
from dtvn.gateway.events_face import VoteEvidenceFile

EVIDENCE_MAX = 64
"""Most pieces of evidence that are kept, one for each member and epoch."""


class OpenQuestions:
    """The open questions of one epoch, with the chunk that each belongs to."""

    def __init__(self, electorate: Electorate) -> None:
        self.asker = Asker(electorate)
        self.evidence: tuple[VoteEvidenceFile, ...] = ()
        self.touched: dict[int, None] = {}
        """Numbers of runs with a new answer, which may go on; emptied by the caller."""
        self._electorate = electorate
        self._chunks: dict[Question, tuple[Chunk, int]] = {}
        """Question -> its chunk and the number of its run."""
        self._of_run: dict[int, list[Question]] = {}

    def enter(self, electorate: Electorate) -> None:
        """Begin the next epoch: forgets all open questions; later ones go to its members."""
        self.asker = Asker(electorate, self.asker.number, self.asker.counts)
        self._electorate = electorate
        self._chunks.clear()
        self._of_run.clear()

    def remembers(self, question: Question) -> bool:
        """Whether votes on this question are still compared, to detect contradictions."""
        return question in self._chunks

    def connected(self, members: frozenset[int]) -> None:
        """Set which members have a connection. One that comes back is asked again; a chunk that asked only
        some members asks the others when its patience ends."""
        self.asker.connected(members)

    def ask(self, number: int, chunk: Chunk) -> None:
        """Queue the questions that this chunk of run `number` has to ask."""
        asked: dict[Question, tuple[list[int], Sequence[Event]]] = {}
        for ask, events in chunk.asks():
            asked.setdefault(ask.question, ([], events))[0].append(ask.member)
        for question, (members, events) in asked.items():
            earlier, _ = self._chunks.get(question, (chunk, number))
            if question not in self._chunks:
                self._of_run.setdefault(number, []).append(question)
            self._chunks[question] = chunk, number
            if earlier is not chunk:  # it had a time-out; a vote is a pure function of what it names
                for vote in earlier.inquiry.votes(question):
                    self._on_vote(vote, chunk, number)

            def state_of(track: Track = chunk.track, digest: bytes = question.before) -> bytes:
                return track.state(digest)

            self.asker.ask(members, question, events, state_of)

    def receive(self, member: int, body: bytes) -> None:
        """See EventRuns.receive."""
        answered = self.asker.receive(member, body)
        for vote in answered.votes:
            found = self._chunks.get(vote.vote.question)
            if found is not None:
                self._on_vote(vote, *found)
        for question, reason in answered.abstained:
            found = self._chunks.get(question)
            if found is not None:
                found[0].abstained(member, question, reason)
                self.touched[found[1]] = None

    def retire(self, number: int) -> None:
        """Withdraw the questions of the decided chunk of run `number`. They are remembered until the run's
        next decision, since a late vote may contradict an earlier one; then they are forgotten."""
        kept = []
        for question in self._of_run.get(number, ()):
            chunk = self._chunks[question][0]
            if chunk.retired:
                del self._chunks[question]
                continue
            kept.append(question)
            if chunk.inquiry.done:
                self.asker.forget(question)
        for question in kept:
            chunk = self._chunks[question][0]
            chunk.retired = chunk.inquiry.done
        self._of_run[number] = kept

    def forget(self, number: int) -> None:
        """Withdraw and forget all questions of run `number`, which has ended."""
        for question in self._of_run.pop(number, ()):
            self.asker.forget(question)
            del self._chunks[question]

    def _on_vote(self, vote: MemberVote, chunk: Chunk, number: int) -> None:
        chunk.receive(vote)
        for one, other in chunk.inquiry.contradictions:
            self._convict(one, other)
        self.touched[number] = None

    def _convict(self, one: MemberVote, other: MemberVote) -> None:
        electorate = self._electorate
        member = electorate.members[one.member].id
        known = any((each.member, each.epoch) == (member, electorate.epoch) for each in self.evidence)
        if not known and len(self.evidence) < EVIDENCE_MAX:
            data = encode_evidence(one, other, electorate)
            self.evidence += (VoteEvidenceFile(member, electorate.epoch, data),)
