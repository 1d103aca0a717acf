"""The replicated log above the stable checkpoint: index -> the batch, and the term in which it was accepted.

An entry has two terms. Its *own* term is that of the leader that made it (`Batch.origin_view`): elections
and the consistency check compare it (Ongaro & Ousterhout 2014, 5.3, 5.4.1). The term in which it was
*accepted* is that of the leader that sent it first; it is the key of its record in the ledger, which is not
deleted when a conflict replaces it. So after a restart a record is void if a lower index was accepted in a
higher term: its leader had replaced what followed. That holds for executed indexes too, so the highest term
in which one was accepted is kept by itself (ACCEPTED).
"""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import SlotRecord, StateRecord
from dtvn.protocol.consensus.executor import open_body
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import Entry
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBatch
from dtvn.protocol.probes import probe

ACCEPTED = "raft_accepted"
"""Name of the state record with (epoch, index, term): above this index, records of lower terms are void."""
APPEND = "append"
"""Phase of the record of an accepted entry."""


def accepted_entries(tail: LedgerTail, epoch: int) -> tuple[bytes, ...]:
    """The batch bodies of a ledger's log above what it executed, ascending without a gap: those that a member
    would go on with (see the module)."""
    records = [each for each in tail.slots if each.phase == APPEND and each.epoch == epoch]
    return tuple(each.body for each in _valid(records, tail.frontier.size, _executed_term(tail, epoch)))


def _executed_term(tail: LedgerTail, epoch: int) -> tuple[int, int]:
    """Index and term of ACCEPTED; (0, 0) if it is of another epoch."""
    for record in tail.states:
        if record.name == ACCEPTED:
            of, index, term = canonical.decode(tuple[int, int, int], record.value)
            return (index, term) if of == epoch else (0, 0)
    return (0, 0)


def _valid(records: Iterable[SlotRecord], last: int, executed: tuple[int, int]) -> list[SlotRecord]:
    """The records that follow index `last`, up to the first that is missing or void."""
    newest: dict[int, SlotRecord] = {}
    for record in records:
        known = newest.get(record.sequence)
        newest[record.sequence] = record if known is None or known.view < record.view else known
    accepted = max((record.view for at, record in newest.items() if at <= last), default=0)
    index, term = executed
    valid: list[SlotRecord] = []
    while (found := newest.get(last + len(valid) + 1)) is not None:
        if found.view < accepted or (found.sequence > index and found.view < term):
            probe("raft.void_record")
            break
        accepted = found.view
        valid.append(found)
    return valid


class RaftLog:
    """Owns the entries above `floor`, all executed ones of them included."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.floor = state.config.base
        """Entries up to this index are executed and not kept."""
        self.last = state.config.base
        """Index of the last entry."""
        self._floor_term: int | None = 0
        """Own term of the entry at `floor`; None if it came in a snapshot and is not known."""
        self._batches: dict[int, VerifiedBatch] = {}
        self._accepted: dict[int, int] = {}
        """Index -> the term in which the entry was accepted."""
        self._executed = (0, 0)
        """Index and term: see ACCEPTED."""
        self._fetched: tuple[int, VerifiedBatch] | None = None

    # --- the ledger ---------------------------------------------------------------------------------

    def restore(self, tail: LedgerTail) -> None:
        """Takes the executed entries that the ledger still has, and the records above them that are valid."""
        state = self.state
        epoch = state.config.epoch
        self._executed = _executed_term(tail, epoch)
        self.floor = self.last = max(state.executed, state.config.base)
        self._floor_term = None if self.floor > state.config.base else 0
        for entry in tail.entries:
            sequence = entry.entry.sequence
            if entry.entry.epoch == epoch and sequence >= state.log.stable and entry.body:
                self._batches[sequence] = open_body(entry.body, state.signer)
        if self._batches:
            self.floor, self._floor_term = min(self._batches) - 1, None
            if self.floor == state.config.base:
                self._floor_term = 0
        self._restore_open([each for each in tail.slots if each.phase == APPEND and each.epoch == epoch])

    def _restore_open(self, records: Iterable[SlotRecord]) -> None:
        for found in _valid(records, self.last, self._executed):
            self.last += 1
            self._batches[self.last] = open_body(found.body, self.state.signer)
            self._accepted[self.last] = found.view

    # --- reading ------------------------------------------------------------------------------------

    def batch(self, index: int) -> VerifiedBatch | None:
        """The entry at an index, or None if it is not kept."""
        return self._batches.get(index)

    def own_term(self, index: int) -> int | None:
        """The entry's own term; None if it is not known here, or no more."""
        if index == self.floor:
            return self._floor_term
        batch = self._batches.get(index)
        return None if batch is None else batch.batch.origin_view

    def is_as_new(self, last_term: int, last: int, executed: int) -> bool:
        """Whether another log holds all that this one does: its end is not older (5.4.1), or it executed all
        that is here."""
        mine = self.own_term(self.last)
        if executed >= self.last:
            return True
        return mine is not None and (last_term, last) >= (mine, self.last)

    def open_indexes(self) -> range:
        """Indexes above the executed ones, ascending."""
        return range(self.state.executed + 1, self.last + 1)

    # --- writing ------------------------------------------------------------------------------------

    def write(self, term: int, index: int, batch: VerifiedBatch) -> None:
        """Accepts an entry from the leader of `term`, durably, in place of all from this index on. An equal
        entry must not be written again: under its later term its record would void what follows."""
        state = self.state
        if index <= state.executed or index > self.last + 1:
            raise state.breach(
                f"entry {index} was to be written, and the log is ({state.executed}, {self.last}]"
            )
        if index <= self.last:
            probe("raft.conflict_replaced")
        self._drop_from(index)
        self._batches[index] = batch
        self._accepted[index] = term
        self.last = index
        state.bodies.add(batch, index, state.executed)
        state.outbox.persist(SlotRecord(state.config.epoch, term, index, APPEND, (), batch.body))

    def note_fetched(self, batch: VerifiedBatch, index: int) -> None:
        """A batch that was fetched with its proof is about to be executed."""
        self._fetched = index, batch

    def on_executed(self) -> int:
        """An entry was executed: one of this log, or a fetched one, which may differ from what is here.
        Returns the lowest term in which it can have been decided, as far as this log tells: this member must
        hear no leader of an earlier one any more, or it would take entries that follow from another log."""
        state = self.state
        index = state.executed
        digest = state.log.digests.get(index)
        mine = self._batches.get(index)
        if mine is None or mine.digest != digest:
            return self._take_fetched(index, digest)
        self._keep_executed_term(self._accepted.get(index, 0), index)
        return 0

    def _take_fetched(self, index: int, digest: bytes | None) -> int:
        """Replaces the log from `index` on by a decided entry. The records above are void: it was decided in
        a higher term than theirs, or they would follow from it."""
        void = [term for at, term in self._accepted.items() if at >= index]
        self._drop_from(index)
        fetched, self._fetched = self._fetched, None
        if fetched is not None and fetched[0] == index and fetched[1].digest == digest:
            self._batches[index] = fetched[1]
        else:
            self._batches.clear()
            self.floor, self._floor_term = index, None
        self.last = index
        if not void:
            return 0
        probe("raft.fetched_entry_replaced")
        decided = max(void) + 1
        self._keep_executed_term(decided, index)
        return decided

    def on_install(self, entry: Entry) -> None:
        """A state that ends with `entry` is about to be installed. All records up to it are deleted, and with
        them what makes those above it void."""
        mine = self._batches.get(entry.sequence)
        differs = mine is None or mine.digest != entry.batch_digest
        terms = [
            term + (index > entry.sequence)
            for index, term in self._accepted.items()
            if differs or index <= entry.sequence
        ]
        self._keep_executed_term(max(terms, default=0), entry.sequence)

    def _keep_executed_term(self, term: int, index: int) -> None:
        term = max(term, self._executed[1])
        if term > self._executed[1] or (term and index > self.state.executed):
            self._executed = index, term
            value = canonical.encode((self.state.config.epoch, index, term))
            self.state.outbox.persist(StateRecord(ACCEPTED, value))

    def _drop_from(self, index: int) -> None:
        for dead in range(index, self.last + 1):
            self._batches.pop(dead, None)
            self._accepted.pop(dead, None)
        self.last = min(self.last, index - 1)

    def prune(self, stable: int) -> None:
        """Forgets what a stable checkpoint covers, but for the entry at `stable`: the next one names it."""
        if stable - 1 > self.floor:
            self._floor_term = self.own_term(stable - 1)
            self.floor = stable - 1
        for table in (self._batches, self._accepted):
            for index in [index for index in table if index <= self.floor]:
                del table[index]
