"""The ledger itself: a node's durable storage, which implements `dtvn.ledger.NodeLedger`.

It has two kinds of transactions, never mixed (R9). `append` writes a turn: log entries, certificates and
votes, with one fsync, fenced by the incarnation. `materialise` writes all rows that pages read, later than
the log and without a sync of its own, because at start the log is replayed from `applied_sequence + 1`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dtvn.ledger import LedgerDamaged, LedgerUnreachable, Location, StoredEvidence
from dtvn.protocol.consensus import OTHERS_ARE_GONE, RAFT_TERM
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Executed,
    Install,
    Note,
    Record,
    StateRecord,
)
from dtvn.protocol.consensus.ledger_tail import Base, Gap
from dtvn.protocol.host.ports import JournalError, JournalFull, LedgerTail
from dtvn.protocol.versions import LISTS
from validators.ledger import encoding, integrity
from validators.ledger.bodies import Bodies
from validators.ledger.gaps import filling, find_gap
from validators.ledger.install import installing
from validators.ledger.location import DAMAGE_FILE, drop_alias
from validators.ledger.log_reading import read_entries
from validators.ledger.materialise import RowWrites
from validators.ledger.meta import Meta, count_turn, replace_meta
from validators.ledger.older_entries import OlderEntries
from validators.ledger.outcomes import Noted, batch_view, note_executed
from validators.ledger.state_rows import MaterialisedRows
from validators.ledger.statements import UPSERT_STATE
from validators.ledger.store import DuplicateKeyError, Store, Write
from validators.ledger.turn import EMPTY, TurnPlan, without_repeats

if TYPE_CHECKING:
    from validators.ledger.lock import FileLock
    from validators.ledger.witness import Witness

VOTES_AGAIN = StateRecord("voting", b"1")
"""The core writes this record once it can no longer contradict an earlier vote of its own (R11)."""

Found = TypeVar("Found")


def _answered(question: Callable[[], Found]) -> Found:
    """The result of a read; raises LedgerUnreachable if the database does not answer."""
    from django.db import DatabaseError

    try:
        return question()
    except DatabaseError as error:
        raise LedgerUnreachable(f"The ledger's rows cannot be read: {error}.") from error


class Ledger:
    """One open ledger; implements `dtvn.ledger.NodeLedger`. Used from one thread; made by `open_ledger`."""

    def __init__(
        self,
        *,
        store: Store,
        lock: FileLock,
        witness: Witness,
        location: Location,
        alias: str,
        meta: Meta,
        turn: int,
        created: bool,
        indexed: bool,
        witnessed: bool = False,
    ) -> None:
        self.location = location
        self.alias = alias
        """Django database alias of this ledger in this process."""
        self.created = created
        """True if opening it created the ledger."""
        self.indexed = indexed
        """True if every operation gets a searchable row of its own (the learner)."""
        self._store = store
        self._lock = lock
        self._witness = witness
        self._witnessed = witnessed
        """Whether each new term is synced in the witness file too (R44)."""
        self._written = False
        """True once this process has written to the ledger."""
        self._meta = meta
        self._turn = turn
        self._head = EMPTY
        self._bodies: Bodies | None = None
        """None until `load` is called after the ledger was opened."""
        self._broken = ""
        self._older: OlderEntries | None = None
        """What the first `load` left unread; None before it, and when all is checked."""
        self._loaded_before = False
        self._base: Base | None = None
        """The snapshot below which entries may be missing."""
        self._noted: list[Noted] = []
        """Executed entries whose rows are not written yet: those of the last 100 ms (R9)."""
        self._batches: dict[int, bytes] = {}
        """Sequence -> batch of an entry appended in this turn, until its note comes."""

    @property
    def incarnation(self) -> int:
        """Number of times this ledger was opened; a process with an older number is fenced (R10)."""
        return self._meta.incarnation

    @property
    def voting(self) -> bool:
        """False if this replica must follow without a vote (R11)."""
        return self._meta.voting

    @property
    def voting_reason(self) -> str:
        """A sentence for the operator; "" while voting."""
        return self._meta.voting_reason

    def on_same_server(self, schemas: Collection[str]) -> set[str]:
        """See NodeLedger."""
        return self._store.on_same_server(schemas)

    # --- the turn's transaction -------------------------------------------------------------------

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """Write all records in one transaction, with one fsync if they must be durable (R6, R9).

        A record that is already stored with the same bytes is left as it is; with other bytes it is a
        second vote and refused (R7). Raises JournalFull, JournalFenced, JournalError; after any of
        them nothing of the turn is durable, and the ledger must be loaded again or closed.
        """
        if not records:
            return
        try:
            self._write_turn(records, durable)
        except DuplicateKeyError:
            self._retry_without_known(records, durable)
        except JournalError as error:
            self._fail(error)
            raise

    def _write_turn(self, records: Sequence[Record], durable: bool) -> None:
        plan = TurnPlan(self._head, self._loaded())
        for record in records:
            plan.add(record)
        fence = count_turn(self._turn + 1, held_by=self.incarnation)
        writes, meta = plan.writes(), self._meta
        if not meta.voting and VOTES_AGAIN in records:
            meta = msgspec.structs.replace(meta, voting=True, voting_reason="")
            writes.append(replace_meta(meta, held_by=self.incarnation))
        self._store.commit(fence, writes, durable=durable, body_bytes=plan.body_bytes)
        self._meta = meta
        self._turn += 1
        self._written = True
        self._head = plan.head
        if self.indexed:
            self._batches = {
                record.entry.sequence: record.body for record in records if isinstance(record, EntryRecord)
            }
        if not durable:
            return  # a power cut may take this turn back: the witness must not have seen it
        try:
            begins = self._witnessed and any(
                isinstance(record, StateRecord) and record.name == RAFT_TERM for record in records
            )
            self._witness.note(self._meta.identity, self._turn, synced=begins)
        except OSError as error:
            raise JournalError(f"The ledger's witness file cannot be written: {error}.") from error

    def _retry_without_known(self, records: Sequence[Record], durable: bool) -> None:
        """Write the turn without the records that the ledger already holds byte for byte; refuse those that
        contradict it (R7)."""
        try:
            fresh = [
                record for record in without_repeats(records) if not integrity.is_known(self._store, record)
            ]
            # The failed plan numbered batches that were never written: read them again.
            self._bodies = integrity.read_bodies(self._store)
            if fresh or durable:  # a turn of known records alone still syncs what was written before it
                self._write_turn(fresh, durable)
        except JournalError as error:
            self._fail(error)
            raise

    def _loaded(self) -> Bodies:
        """The batches of the open window; raises JournalError unless the ledger was loaded."""
        if self._bodies is None:
            raise JournalError(self._broken or "The ledger must be loaded before it is written.")
        return self._bodies

    def _fail(self, error: JournalError) -> None:
        self._bodies = None
        self._broken = str(error)

    # --- the rows' transaction --------------------------------------------------------------------

    def notice(self, note: Executed | Note) -> None:
        """Keep the outcomes of an executed entry; they are written with the rows (ports.Watcher).

        The host must pass the notes of each turn to the ledger, including those of the replay at start:
        entries do not hold outcomes, and the list of operations needs both.
        """
        if not isinstance(note, Executed):
            return
        sequence = note.entry.sequence
        body = self._batches.pop(sequence, None)
        if sequence <= self._meta.applied_sequence:
            return
        view = 0
        if self.indexed:
            if body is None:
                body = next((found.body for found in self.entries(sequence, sequence, 0)), b"")
            view = batch_view(body)
        self._noted.append(note_executed(note, origin_view=view, with_operations=self.indexed))

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """Write state rows as of `sequence` in one transaction of their own (R9).

        It has no sync of its own: the next turn's sync covers it, and a power cut before that only makes
        the replay at start longer. Raises like `append`.
        """
        self._loaded()
        noted = [one for one in self._noted if one.sequence <= sequence]
        try:
            rows = RowWrites(self._store, changes, noted)
            self._replace_meta(
                rows.writes,
                durable=False,
                finish=rows.counters,
                applied_sequence=sequence,
                applied_timestamp=timestamp,
            )
        except JournalError as error:
            self._fail(error)
            raise
        self._noted = [one for one in self._noted if one.sequence > sequence]

    def install(self, install: Install) -> None:
        """Replace the whole state by a snapshot, in one synced transaction; `load` must be called next.

        Raises like `append`; then the ledger is unchanged.
        """
        self._loaded()
        sequence = install.checkpoint.sequence
        if sequence <= self._head.sequence:
            raise JournalError(f"The log ends at {self._head.sequence}; a snapshot of {sequence} is older.")
        known = integrity.is_known(self._store, install.checkpoint)
        self._fail(JournalError("A snapshot was installed: the ledger must be loaded again."))
        self._replace_meta(
            installing(install, known=known),
            applied_sequence=sequence,
            applied_timestamp=install.checkpoint.timestamp,
        )

    @property
    def schema(self) -> int:
        """See NodeLedger."""
        return self._meta.schema

    def adopt_version(self, version: int) -> None:
        """See NodeLedger."""
        from validators.ledger.models import SCHEMA_VERSION

        if version >= LISTS and self._meta.schema < SCHEMA_VERSION:
            self._replace_meta([], schema=SCHEMA_VERSION)

    def _replace_meta(
        self,
        writes: Iterable[Write],
        *,
        durable: bool = True,
        finish: Callable[[], Sequence[Write]] | None = None,
        **changed: Any,
    ) -> None:
        """Change fields of the ledger's description, in one fenced transaction with these writes."""
        meta = msgspec.structs.replace(self._meta, **changed)
        self._store.commit(
            replace_meta(meta, held_by=self.incarnation), writes, durable=durable, finish=finish
        )
        self._meta = meta

    # --- reading back -----------------------------------------------------------------------------

    def load(self, *, whole: bool = False) -> LedgerTail:
        """Read the ledger back and check each row against its checksum and the chain of hashes; unless
        `whole`, entries that a replica do not need are left to `check_older`.

        Raises LedgerDamaged with the sequence and what differs. `rows` of the result is read, and checked,
        while it is iterated.
        """
        applied = self._meta.applied_sequence
        damage = self.location.folder / DAMAGE_FILE
        whole = whole or damage.exists()
        found = integrity.load(self._store, MaterialisedRows(self._store), applied, whole=whole)
        if whole:
            with suppress(OSError):  # the next start checks everything once more
                damage.unlink()
            self._older = None
        elif not self._loaded_before:
            self._older = OlderEntries(found.begin, found.tail.base)
            self._store.begin_check()
        self._loaded_before = True
        self._head = found.head
        self._base = found.tail.base
        self._noted = []
        self._bodies = found.bodies
        self._broken = ""
        return msgspec.structs.replace(
            found.tail, continued=self._written, incarnation=self._meta.incarnation
        )

    def check_older(self) -> bool:
        """See NodeLedger. After LedgerDamaged nothing more is written."""
        if self._older is None:
            return True
        try:
            self._older.check_some(self._store)
            if self._store.end_check() and self._older.done:
                self._older = None
        except JournalError as error:
            self._fail(error)
            if isinstance(error, LedgerDamaged):
                with suppress(OSError):
                    (self.location.folder / DAMAGE_FILE).write_text(f"{error}\n")
            raise
        return self._older is None

    def state_value(self, name: str) -> bytes | None:
        """The value of a named state (effects.StateRecord), None if it was never written."""
        return integrity.read_state(self._store, name)

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """Entries first..last, ascending, up to `bytes_max` of batches (but at least one entry, if any) and
        up to the first missing entry (below a snapshot)."""
        found = read_entries(self._store, first, last, bytes_max)
        return found if found and found[0].entry.sequence == first else []

    def gap(self, below: int) -> Gap:
        """See ports.Journal."""
        return find_gap(self._store, self._base, below)

    def fill(self, records: Sequence[EntryRecord]) -> None:
        """See ports.Journal. A power cut may take it back; nothing rests on it."""
        try:
            writes = filling(records, self._loaded())
            fence = count_turn(self._turn + 1, held_by=self.incarnation)
            size = sum(len(record.body) for record in records)
            self._store.commit(fence, writes, durable=False, body_bytes=size)
        except JournalError as error:
            self._fail(error)
            raise
        self._turn += 1
        self._written = True

    def evidence(self, after: int, limit: int) -> Sequence[StoredEvidence]:
        """See NodeLedger."""
        from validators.ledger import read

        return _answered(lambda: read.evidence(self.alias, after, limit))

    def storage_stats(self) -> dict[str, int]:
        """See NodeLedger."""
        from validators.ledger import read

        return _answered(lambda: read.storage_stats(self.alias))

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """The lowest stable checkpoint at or above `sequence`, or None."""
        rows = self._store.rows(
            f"SELECT {encoding.CHECKPOINT_COLUMNS} FROM ledger_checkpoint"  # noqa: S608
            " WHERE sequence >= ? ORDER BY sequence LIMIT 1",
            (sequence,),
        )
        return encoding.checkpoint_from_row(rows[0]) if rows else None

    # --- life -------------------------------------------------------------------------------------

    def vote_again(self) -> None:
        """Set `voting` again (R11), durably: the node has a new key that has never voted."""
        if not self.voting:
            write = Write(UPSERT_STATE, [encoding.state_row(VOTES_AGAIN)])
            self._replace_meta([write], voting=True, voting_reason="")

    def say_others_are_gone(self) -> None:
        """Record the operator's statement, durably: until the next stable checkpoint this replica does not
        wait for members that do not answer (R11)."""
        self._replace_meta([Write(UPSERT_STATE, [encoding.state_row(OTHERS_ARE_GONE)])])

    def takes_writes(self) -> bool:
        """Whether a full disk has room again; to be called before the core is rebuilt (R8)."""
        try:
            self._store.probe()
        except JournalFull:
            return False
        return True

    def maintain(self) -> None:
        """Run the database's own housekeeping, outside the turn (R25). To be called when idle."""
        self._store.maintain()

    def close(self) -> None:
        """Release the lock and the alias; may be called twice."""
        self._bodies = None
        self._broken = "The ledger is closed."
        self._store.close()
        drop_alias(self.alias)
        self._witness.close()
        self._lock.close()
