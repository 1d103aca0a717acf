"""Raft: terms, elections, the log, acknowledgements (R44; Ongaro & Ousterhout 2014; Ongaro 2014)."""

from __future__ import annotations

from typing import Any

from simulator.mutants.durability import forgets
from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Clocks,
    CommitCertificate,
    Elections,
    Greetings,
    HandOver,
    Pinging,
    Proposing,
    RaftLog,
    Reads,
    Rejoin,
    Replication,
    SelfMessageGuard,
    SlotRecord,
    Starts,
    StateRecord,
    Vote,
    executor,
    m,
    pump,
    raft_elections,
)

# --- the five faults of the first sketch -------------------------------------------------------------


@replaces(RaftLog, "_restore_open", "void-records-live", "R44", world="raft-void-records")
def void_records_live(_right: Any, self: RaftLog, records: Any) -> None:
    """A restarted member takes every record above what it executed, though a lower entry was accepted in a
    higher term."""
    newest: dict[int, SlotRecord] = {}
    for record in sorted(records, key=lambda record: record.view):
        newest[record.sequence] = record
    while (found := newest.get(self.last + 1)) is not None:
        self.last += 1
        self._batches[self.last] = executor.open_body(found.body, self.state.signer)
        self._accepted[self.last] = found.view


@replaces(RaftLog, "_keep_executed_term", "executed-term-not-kept", "R44", world="raft-void-and-pruned")
def executed_term_not_kept(*_arguments: Any) -> None:
    """The highest term in which an executed entry was accepted is not kept, when its record is pruned."""


@replaces(Replication, "_take", "equal-entry-written-again", "R44", world="raft-late-duplicates", seed=8)
def written_again(right: Any, self: Replication, term: int, index: int, batch: Any) -> bool:
    """An entry that the log holds already is written again, and what follows it is dropped."""
    mine = self.log.batch(index)
    if index > self.state.executed and mine is not None and mine.digest == batch.digest:
        self._append(term, index, batch)
        return True
    return bool(right(self, term, index, batch))


@mutant("own-entry-sent-before-durable", "R44 R6", world="raft-three-two")
def sent_before_durable(plant: Plant) -> None:
    """The owner of a term sends its entries before they are on its own disk."""
    right = pump._must_last

    def wrong(effects: Any) -> bool:
        appended = any(isinstance(each, SlotRecord) and each.phase == "append" for each in effects.persist)
        sends = any(send.frame[1] == m.KIND_OF[m.AppendEntries] for send in effects.send)
        return right(effects) and not (appended and sends)

    plant.put(pump, "_must_last", wrong)


@replaces(Proposing, "begin_term", "no-first-entry", "R44", world="raft-figure-8")
def no_first_entry(*_arguments: Any) -> None:
    """A leader does not begin its term with an empty entry."""


@replaces(Rejoin, "try_regain_vote", "lost-disk-never-votes-again", "R11 R44", world="raft-lost-disks")
def never_again(right: Any, self: Rejoin) -> None:
    """A member of a Raft cluster that lost its disk never gets its vote back."""
    if not self._in_any_view:
        right(self)


@replaces(Rejoin, "waits_for", "lost-disk-votes-too-early", "R11 R44", world="raft-one-of-three")
def too_early(_right: Any, self: Rejoin) -> Any:
    """A member that lost its disk votes again as soon as one other member has answered."""
    return 0 if self._proved else None


# --- restarts ---------------------------------------------------------------------------------------


@replaces(Pinging, "begin", "raft-start-waits-for-all", "R44", world="raft-one-gone")
def waits_for_all(right: Any, self: Pinging, tail: Any) -> None:
    """A member of a Raft cluster votes after its start only when all others have answered."""
    self._waits = True
    right(self, tail)


@replaces(SelfMessageGuard, "on_own", "shown-statement-ignored", "R11 R44", world="raft-put-back")
def shown_ignored(right: Any, self: SelfMessageGuard, verified: Any) -> None:
    """A member of a Raft cluster goes on voting when others show it a COMMIT that its ledger lacks."""
    if not self._of_any_view:
        right(self, verified)


@replaces(Starts, "on_hello", "doubted-start-counts", "R44", world="raft-unheard-answer")
def doubted_counts(right: Any, self: Starts, member: int, hello: Any) -> None:
    """Votes of a member count although it names an older statement at its start than is held of it."""
    if hello.known:
        right(self, member, hello)


@replaces(Greetings, "take", "two-processes-heard", "R44", world="raft-copy-beside")
def both_heard(*_arguments: Any) -> list[Any]:
    """Frames of every process under a member's key are taken, and none is told of another."""
    return []


@replaces(HandOver, "begin", "leader-stops-at-once", "R44", world="raft-planned-stop")
def stops_at_once(*_arguments: Any) -> None:
    """A leader that is asked to stop does not hand over."""


# --- reads -------------------------------------------------------------------------------------------


@replaces(Reads, "look", "read-without-a-round", "R18", world="raft-reads")
def no_round(right: Any, self: Reads) -> None:
    """A member that was the leader answers readers although no majority has confirmed that it still is."""
    self._confirmed = set(self.state.others)
    right(self)


@replaces(Reads, "_begin", "read-of-an-old-round", "R18", world="raft-reads")
def old_round(right: Any, self: Reads) -> None:
    """What members answered to an earlier round confirms that the leader leads."""
    self._open, self._next = self._next, []
    self._index = self.replication.log.last
    self.replication.send_now()
    self.look()


@replaces(Reads, "_begin", "read-of-what-the-leader-heard", "R18", world="raft-reads")
def as_heard(right: Any, self: Reads) -> None:
    """A leader answers with what it has decided itself: followers may be ahead of it."""
    right(self)
    self._index = self.replication.decided
    self.look()


# --- elections ---------------------------------------------------------------------------------------


@replaces(RaftLog, "is_as_new", "votes-for-shorter-log", "R44", world="raft-short-log")
def shorter_log(*_arguments: Any) -> bool:
    """A member votes for a candidate whose log lacks entries of its own (5.4.1)."""
    return True


@replaces(Elections, "_ask", "no-pre-vote", "R44", world="raft-comes-back")
def no_pre_vote(right: Any, self: Elections, term: int, *, pre: bool) -> None:
    """A member campaigns in a new term without asking first whether it would be elected (9.6)."""
    if pre:
        self.adopt(term)
    right(self, term, pre=False)


@replaces(Elections, "_quorum_lost_at", "no-check-quorum", "R44", world="raft-minority-leader")
def no_check_quorum(*_arguments: Any) -> None:
    """A leader that no majority answers never steps down (6.2)."""


@mutant("term-not-kept", "R44 R6", world="raft-three-two")
def term_not_kept(plant: Plant) -> None:
    """A member speaks in a term that its disk does not hold."""
    forgets(plant, lambda record: isinstance(record, StateRecord) and record.name == raft_elections.TERM)


@replaces(Elections, "begin", "leads-again-after-restart", "R44", world="raft-leader-restarts")
def leads_again(right: Any, self: Elections) -> None:
    """A leader that restarts goes on in its term."""
    right(self)
    if self.state.is_primary and self.state.views.changing and self.state.views.view:
        self._lead()


@replaces(Elections, "_hears_a_leader", "any-candidate-disturbs", "R44", world="raft-unheard-leader")
def disturbed(*_arguments: Any) -> bool:
    """A member that hears a leader votes for another candidate all the same (6)."""
    return False


# --- the log and its acknowledgements -----------------------------------------------------------------


@replaces(Replication, "_is_same", "logs-not-compared", "R44", world="raft-three-two")
def not_compared(_right: Any, self: Replication, previous: int, _own_term: int) -> bool:
    """A follower takes entries without comparing the one before them with its own (5.3)."""
    return previous <= self.log.last


@replaces(Replication, "_acknowledge", "older-entries-at-once", "R44", world="raft-figure-8", seed=1)
def older_at_once(_right: Any, self: Replication) -> None:
    """Entries of older terms are acknowledged before one of the leader's own term is decided (5.4.2)."""
    if self.state.may_vote(self.state.views.view):
        for index in self.log.open_indexes():
            if index <= self._matched:
                self._sign(index)
    self._decide()


@replaces(Replication, "_take", "own-entry-kept-in-conflict", "R44", world="raft-three-two")
def kept_in_conflict(right: Any, self: Replication, term: int, index: int, batch: Any) -> bool:
    """A follower keeps its own entry where the leader's differs, and acknowledges that it matches."""
    if self.log.batch(index) is not None:
        return True
    return bool(right(self, term, index, batch))


@replaces(Replication, "_proof", "one-acknowledgement-less", "R44 P1", world="raft-minority-leader")
def one_less(_right: Any, self: Replication, index: int) -> Any:
    """Half of the members decide, rounded down."""
    return _counted(self, index, self.state.q - 1, lambda term: term)


@replaces(Replication, "_proof", "acknowledgements-of-any-term", "R44 P3", world="raft-late-duplicates")
def of_any_term(_right: Any, self: Replication, index: int) -> Any:
    """COMMITs of different terms are counted together."""
    return _counted(self, index, self.state.q, lambda _term: 0)


def _counted(self: Replication, index: int, needed: int, group: Any) -> CommitCertificate | None:
    batch = self.log.batch(index)
    found: dict[int, list[tuple[int, Vote]]] = {}
    for term, vote in self.commits.get(index, {}).values():
        if batch is not None and vote.digest == batch.digest:
            found.setdefault(group(term), []).append((term, vote))
    for votes in found.values():
        if batch is not None and len(votes) >= needed:
            frames = tuple(vote.frame for _term, vote in votes[:needed])
            return CommitCertificate(votes[0][0], index, batch.digest, frames)
    return None


@mutant("accepted-entry-not-kept", "R44 R6", world="raft-three-two")
def accepted_not_kept(plant: Plant) -> None:
    """A follower acknowledges an entry that is not on its disk."""
    right = Replication._take

    def wrong(self: Replication, term: int, index: int, batch: Any) -> bool:
        outbox = self.state.outbox
        kept = [*outbox._effects.persist]
        taken = right(self, term, index, batch)
        outbox._effects.persist[:] = [
            record
            for record in outbox._effects.persist
            if record in kept or not (isinstance(record, SlotRecord) and record.phase == "append")
        ]
        return taken

    plant.put(Replication, "_take", wrong)


# --- time --------------------------------------------------------------------------------------------


@replaces(Clocks, "time", "leads-by-own-clock", "R3 R44", world="raft-first-clock")
def own_clock_only(_right: Any, self: Clocks) -> int:
    """A leader proposes by its own clock, whatever those of the others say."""
    return int(self._context.now.wall // 1_000)


@replaces(Elections, "_would_vote", "elects-by-clock", "R3 R44", world="raft-clocks-apart")
def by_clock(right: Any, self: Elections, message: Any) -> bool:
    """A member votes only for a candidate whose clock is near its own."""
    near = abs(message.clock - self.state.now.wall // 1_000) <= self.state.config.drift_bound
    return near and bool(right(self, message))
