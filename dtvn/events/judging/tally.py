"""Counts the votes on one question until they decide it or time runs out.

The verdict comes as soon as no missing vote can change it. The decision, which names the vote that a
certificate can hold, comes when no missing vote can change that either, or on `close`. Afterwards nothing
that arrives changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from dtvn.events.judging.decision_rules import Count, DecisionRule, Verdict
from dtvn.events.judging.turns import MemberVote
from dtvn.events.judging.votes import Question, Vote

PARTIAL_DECISIONS = "PARTIAL_DECISIONS"
"""Rule id of the note that time ran out: a decision was made before all members that were asked answered."""
WARNINGS_MAX = 64
"""Most rule ids of warnings that are kept of one member."""


class Ignored(StrEnum):
    """Why an answer is not counted."""

    LATE = "late"
    """The decision has been made."""
    DUPLICATE = "duplicate"
    NOT_ASKED = "not_asked"
    OTHER_QUESTION = "other_question"
    CONTRADICTION = "contradiction"
    """The member has voted otherwise on the same question: none of its votes counts, and both convict it."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The decision on one question."""

    verdict: Verdict
    code: str
    """Rule id of the failure if the verdict is NONE, else ""."""
    text: str
    """Sentence of that failure, or of a refusal without a certificate, else ""."""
    errors: tuple[str, ...]
    """Each rule id of an invalid verdict once, by its first event: of the certified vote, else those that
    f + 1 votes name for the same event."""
    warnings: tuple[str, ...]
    """Each rule id once, sorted; they are unsigned."""
    certified: Vote | None
    """The vote that enough members gave for a certificate."""
    voters: tuple[int, ...]
    silent: tuple[int, ...]
    """Members that were asked and had not answered when the decision was made."""
    partial: bool
    """Whether the note PARTIAL_DECISIONS applies."""


class Tally:
    """The votes on one question, at most one per member."""

    def __init__(self, question: Question, rule: DecisionRule) -> None:
        self.question = question
        self.rule = rule
        self.asked: set[int] = set()
        self.votes: dict[int, MemberVote] = {}
        self.contradictions: dict[int, tuple[MemberVote, MemberVote]] = {}
        """Member -> two different votes of it."""
        self.verdict: Verdict | None = None
        self.decision: Decision | None = None
        self._first: dict[int, MemberVote] = {}
        """Each member's first vote, even if it did not count: a different later one contradicts it."""
        self._groups: dict[bytes, list[MemberVote]] = {}
        """Counted votes by their canonical bytes."""
        self._abstained: set[int] = set()
        self._warnings: dict[int, tuple[str, ...]] = {}

    def ask(self, members: Iterable[int]) -> None:
        """Votes of these members count from now on."""
        self.asked.update(members)

    @property
    def waiting(self) -> set[int]:
        """Members that were asked and have not answered."""
        return self.asked - self.votes.keys() - self._abstained

    def add(self, vote: MemberVote, warnings: Sequence[str] = ()) -> Ignored | None:
        """Counts a vote whose signature was checked; returns the reason if it does not count. `warnings`:
        rule ids that came beside it, unsigned."""
        member = vote.member
        if vote.vote.question != self.question:
            return Ignored.OTHER_QUESTION
        if member not in self.asked:
            return Ignored.NOT_ASKED
        if member in self.contradictions:
            return Ignored.CONTRADICTION
        first = self._first.setdefault(member, vote)
        if first.encoded != vote.encoded:
            self._contradicted(first, vote)
            return Ignored.CONTRADICTION
        if self.decision is not None:
            return Ignored.LATE
        if member in self.votes or member in self._abstained:
            return Ignored.DUPLICATE
        self.votes[member] = vote
        self._groups.setdefault(vote.encoded, []).append(vote)
        self._warnings[member] = tuple(warnings[:WARNINGS_MAX])
        self._judge()
        return None

    def abstain(self, member: int) -> None:
        """This member said that it gives no vote."""
        if member in self.waiting and self.decision is None:
            self._abstained.add(member)
            self._judge()

    def close(self) -> Decision:
        """Decides with the votes received, because time is over or no other member can be asked; returns the
        earlier decision if there is one."""
        if self.decision is None:
            count = self._count(closed=True)
            self.verdict = self.verdict or self.rule.verdict(count) or Verdict.NONE
            self.decision = self._decided(self.verdict, count, closed=True)
        return self.decision

    def groups(self) -> list[list[MemberVote]]:
        """Counted votes, grouped by equality, in the order in which each group began."""
        return list(self._groups.values())

    def equal_votes_short(self) -> int:
        """Number of further members to ask for a certificate, if all that were asked join the largest
        group."""
        largest: list[MemberVote] = max(self._groups.values(), key=len, default=[])
        needed = self.rule.needed_equal(largest[0].vote.valid if largest else True)
        return max(0, needed - len(largest) - len(self.waiting))

    def _contradicted(self, known: MemberVote, vote: MemberVote) -> None:
        self.contradictions[known.member] = (known, vote)
        if self.decision is None and self.votes.pop(known.member, None) is not None:
            self._groups[known.encoded].remove(known)
            if not self._groups[known.encoded]:
                del self._groups[known.encoded]
            self._abstained.add(known.member)
            self.verdict = None  # it may rest on the vote that is withdrawn here
            self._judge()

    def _judge(self) -> None:
        count = self._count(closed=False)
        self.verdict = self.verdict or self.rule.verdict(count)
        if self.verdict is None:
            return
        decision = self._decided(self.verdict, count, closed=False)
        waits = decision.certified is None and self.verdict is not Verdict.NONE
        if not (waits and self.rule.certificate_within_reach(count, self.verdict is Verdict.VALID)):
            self.decision = decision

    def _count(self, *, closed: bool) -> Count:
        votes, largest = [0, 0], [0, 0]
        for group in self._groups.values():
            size, valid = len(group), group[0].vote.valid
            votes[valid] += size
            largest[valid] = max(largest[valid], size)
        answered = len(self.votes) + len(self._abstained)
        return Count(
            valid=votes[True],
            invalid=votes[False],
            largest_valid=largest[True],
            largest_invalid=largest[False],
            missing=0 if closed else self.rule.members - answered,
        )

    def _decided(self, verdict: Verdict, count: Count, *, closed: bool) -> Decision:
        certified = self._certified(verdict)
        code, text = self.rule.failure(count) if verdict is Verdict.NONE else ("", "")
        errors: list[tuple[int, str]] = []
        if verdict is Verdict.INVALID:
            errors = self._believable_errors() if certified is None else sorted(certified.errors)
            text = "" if certified else self.rule.refusal(count.invalid, named=bool(errors))
        warnings = {each for member in self.votes for each in self._warnings[member]}
        return Decision(
            verdict=verdict,
            code=code,
            text=text,
            errors=tuple(dict.fromkeys(code for _index, code in errors)),
            warnings=tuple(sorted(warnings)) if verdict is Verdict.VALID else (),
            certified=certified,
            voters=tuple(sorted(self.votes)),
            silent=tuple(sorted(self.waiting)),
            partial=closed and bool(self.waiting),
        )

    def _believable_errors(self) -> list[tuple[int, str]]:
        """(index, rule id) of each error that f + 1 votes hold, sorted."""
        named = Counter(error for vote in self.votes.values() for error in vote.vote.errors)
        return sorted(error for error, votes in named.items() if votes >= self.rule.believable)

    def _certified(self, verdict: Verdict) -> Vote | None:
        for group in self._groups.values():
            vote = group[0].vote
            fits = verdict is (Verdict.VALID if vote.valid else Verdict.INVALID)
            if fits and len(group) >= self.rule.needed_equal(vote.valid):
                return vote
        return None
