"""Runs of agent events and locks: one history, certificates, evidence, one holder (P2, P9, P22, R3, R27)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Chunk,
    DecisionRule,
    Inquiry,
    KnownStates,
    Limits,
    Locks,
    OpenQuestions,
    Recorder,
    RuledRun,
    RunPoint,
    Verdict,
    VoteTally,
    asked_member,
    chunk_digest,
    event_digest,
    first_head,
    locks,
    reasons,
    runs,
    turns,
)


@replaces(runs, "_continues", "second-history-recorded", "P9", world="false-voter")
def continues_anything(_right: Any, run: Any, start: bytes, previous: bytes, question: Any) -> bool:
    """A record need not continue its run."""
    return True


@replaces(runs, "_continues", "history-without-head", "P9", world="false-voter", seed=12)
def continues_by_position(right: Any, run: Any, start: bytes, previous: bytes, question: Any) -> Any:
    """Position and state must fit, but not the chunks before."""
    return right(run, start, start if run is None else run.head, question)


@replaces(runs, "check_certificate", "record-of-one-member", "P2 R27", world="false-voter")
def unchecked(*_arguments: Any) -> None:
    """The signatures under a recorded verdict are not counted or checked."""


@replaces(VoteTally, "_contradicted", "second-vote-forgotten", "P22", world="equivocating-voter")
def forgets(*_arguments: Any) -> None:
    """Of two different votes of one member the first counts, and the second is dropped."""


@replaces(locks, "_is_of", "lock-of-two-holders", "P9", world="recorded-runs")
def anybody_holds(*_arguments: Any) -> bool:
    """A lock that is held is given to another one too."""
    return True


@replaces(Locks, "begin", "lease-without-end", "R3", world="recorded-runs")
def never_ends(*_arguments: Any) -> None:
    """A lease ends only when its holder gives the lock back."""


@replaces(Locks, "lock", "token-of-the-sequence-alone", "P9", world="recorded-runs")
def coarse_token(right: Any, self: Locks, key: Any, holder: Any, *, place: Any, **further: Any) -> Any:
    """Two leases that begin in one batch have the same token."""
    return right(self, key, holder, place=(place[0], 0), **further)


@replaces(DecisionRule, "needed_equal", "certificate-of-one-vote", "R27", world="equivocating-voter")
def one_is_enough(*_arguments: Any) -> int:
    """A verdict's certificate holds the first vote that fits it."""
    return 1


@mutant("vote-on-any-state", "P17", world="false-voter")
def votes_on_any_state(plant: Plant) -> None:
    """A validator believes the state that a gateway sends, and no digest."""

    def take(self: KnownStates, question: Any, given: bytes) -> Any:
        return RuledRun(Limits(), given) if given else right_take(self, question, given)

    def cast(question: Any, events: Any, run: RuledRun) -> Any:
        own = right_cast(replace(question, before=run.state_digest()), events, run)
        return replace(own, question=question)

    right_take, right_cast = KnownStates.take, asked_member.cast_vote
    plant.put(KnownStates, "take", take)
    plant.put(asked_member, "cast_vote", cast)


@replaces(asked_member, "cast_vote", "vote-on-other-events", "P2", world="false-voter")
def votes_on_other_events(right: Any, question: Any, events: Any, run: RuledRun) -> Any:
    """A validator judges the events that it is given, and names those it was asked about."""
    digests = [event_digest(event) for event in events]
    own = right(replace(question, chunk=chunk_digest(digests), count=len(digests)), events, run)
    return replace(own, question=question)


@mutant("vote-by-other-rules", "P2", world="unlike-rules")
def votes_by_other_rules(plant: Plant) -> None:
    """A validator judges by its own rules, whichever the question names."""

    def take(self: KnownStates, question: Any, given: bytes) -> Any:
        own = next(iter(self._known))
        return right_take(self, replace(question, rules=own), given)

    def cast(question: Any, events: Any, run: RuledRun) -> Any:
        return replace(
            right_cast(replace(question, rules=run.rules_digest()), events, run), question=question
        )

    right_take, right_cast = KnownStates.take, asked_member.cast_vote
    plant.put(KnownStates, "take", take)
    plant.put(asked_member, "cast_vote", cast)


@replaces(turns, "signed_head", "vote-of-any-cluster", "P10", world="false-voter")
def without_cluster(right: Any, _cluster: bytes, head: Any) -> Any:
    """What a member signs under its votes does not name the cluster."""
    return right(bytes(32), head)


@mutant("vote-of-any-epoch", "P10 R35", world="runs-over-epochs")
def of_any_epoch(plant: Plant) -> None:
    """The log takes a certificate of members of an epoch that has ended."""

    def refuse(self: Any, certificate: Any) -> Any:
        return right(self, replace(certificate, epoch=self._memberships.now.epoch))

    right = runs.Runs._refuse
    plant.put(runs.Runs, "_refuse", refuse)
    plant.put(turns, "signed_head", _without_epoch(turns.signed_head))


def _without_epoch(right: Any) -> Any:
    return lambda cluster, head: right(cluster, replace(head, epoch=0))


@replaces(RunPoint, "question", "vote-of-any-position", "P2", world="false-voter")
def of_any_position(right: Any, self: RunPoint, events: Any) -> Any:
    """A question does not say where in the run its events are."""
    return replace(right(self, events), position=0)


@replaces(turns, "check_head", "votes-unsigned", "P2 P12", world="false-voter")
def unsigned(*_arguments: Any) -> None:
    """Nobody checks the signature under votes, neither gateways nor the log."""


@replaces(runs, "check_certificate", "voter-counted-twice", "P3", world="false-voter")
def counts_twice(right: Any, certificate: Any, electorate: Any) -> None:
    """The log counts signatures, also if they are of one member."""
    signers = {ballot.member: ballot for ballot in certificate.ballots}
    once = replace(certificate, ballots=tuple(signers[member] for member in sorted(signers)))
    if len(certificate.ballots) < electorate.quorum:
        right(certificate, electorate)
    for ballot in once.ballots:
        turns.check_ballot(ballot, certificate.vote, electorate)


@replaces(runs, "check_certificate", "record-of-one-vote-less", "P1", world="false-voter", seed=3)
def one_less(right: Any, certificate: Any, electorate: Any) -> None:
    """The log takes a certificate of q - 1 members."""
    if len(certificate.ballots) != electorate.quorum - 1:
        right(certificate, electorate)


@replaces(DecisionRule, "needed_equal", "verdict-of-one-vote-less", "P1", world="false-voter")
def one_less_is_enough(right: Any, self: DecisionRule, valid: bool) -> Any:
    """Gateways make certificates of q - 1 votes."""
    return right(self, valid) - 1


@replaces(DecisionRule, "needed_equal", "unanimous-certificate-of-a-quorum", "R27", world="any-algorithm")
def quorum_for_all(right: Any, self: DecisionRule, _valid: bool) -> Any:
    """The certificate of a valid verdict of *unanimous* does not hold all members' votes."""
    return right(self, False)


@replaces(DecisionRule, "_unanimous", "unanimous-over-an-objection", "P1", world="any-algorithm", seed=0)
def overrules(right: Any, self: DecisionRule, count: Any) -> Any:
    """Of *unanimous*, all votes but one decide."""
    valid = Verdict.VALID if count.valid >= self.needed - 1 else None
    return valid or right(self, count)


@replaces(DecisionRule, "_majority", "majority-of-the-first-vote", "P1", world="any-algorithm", seed=0)
def first_decides(right: Any, self: DecisionRule, count: Any) -> Any:
    """Of *majority*, the votes that came first decide, however few."""
    return right(replace(self, needed=1), replace(count, missing=0) if count.votes else count)


@replaces(Chunk, "_settle", "part-certified-whole", "R27", world="unlike-rules")
def settles_whole(right: Any, self: Chunk, piece: Any) -> Any:
    """The certificate of a part of a chunk is handed out for all of its events."""
    settled = right(self, piece)
    if not settled.piece.certificate:
        return settled
    return replace(settled, piece=replace(settled.piece, count=len(self.events) - piece.first))


@replaces(OpenQuestions, "_convict", "votes-in-two-ways-not-kept", "P22", world="equivocating-voter")
def keeps_nothing(*_arguments: Any) -> None:
    """A gateway that hears two votes of one member on one question keeps no proof of it."""


@replaces(runs, "_continues", "record-after-the-end", "P9", world="false-voter", seed=1)
def continues_ended(right: Any, run: Any, start: bytes, previous: bytes, question: Any) -> Any:
    """A run goes on after its end."""
    return right(run and replace(run, ended=False), start, previous, question)


@replaces(runs.Runs, "record", "record-of-another-writer", "P9", world="false-voter", seed=2)
def anybody_continues(
    right: Any, self: Any, event: str, previous: bytes, certificate: Any, principal: str, **further: Any
) -> Any:
    """A gateway continues a run that another one writes."""
    asked = turns.open_vote(certificate.vote).question
    run = self.row((event, first_head(asked.thread, asked.run)))
    writer = principal if run is None else run.principal
    return right(self, event, previous, certificate, writer, **further)


@replaces(Recorder, "outcomes", "refused-record-called-recorded", "P9", world="runs-over-epochs", seed=4)
def calls_all_recorded(right: Any, self: Recorder, results: Any, now: int) -> Any:
    """A gateway takes each outcome of a record, refusals too, for success."""
    return right(self, [replace(each, code=reasons.OK) for each in results], now)


@replaces(Inquiry, "tick", "votes-awaited-for-ever", "R27", world="recorded-runs")
def never_closes(_right: Any, self: Inquiry, _now: float) -> None:
    """A chunk is not decided at its time-out."""
    self._closes_at = float("inf")


@replaces(VoteTally, "_judge", "verdict-of-a-vote-taken-back", "P22", world="votes-taken-back")
def keeps_verdict(right: Any, self: Any) -> None:
    """A verdict stands, although the vote that it rests on no longer counts."""
    kept = getattr(self, "_kept", None)
    self.verdict = self.verdict or kept
    right(self)
    self._kept = self.verdict
