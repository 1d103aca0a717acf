"""Executes a ledger's log once more from its beginning, and compares what the ledger holds with that (R11,
R28)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dtvn.ledger import NodeLedger
from dtvn.machine import TicketApplication
from dtvn.machine.continued_state import initial_rows
from dtvn.machine.keyring import KeyRing
from dtvn.node.state_file import StateFile, StateFileError, open_state
from dtvn.proof import ChainFile, ProofError, chain_of_genesis
from dtvn.proof.continuation import FORMAT, StateHead, certified
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import epoch_change_proof, log_tree, open_body
from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, entry_hash
from dtvn.protocol.host.ports import LedgerTail
from dtvn.protocol.wire import FrameSigner

READ_BYTES = 4 * 1024 * 1024
"""Bytes of the log's batches in memory at once."""
READ_ENTRIES = 256


class Replay:
    """The log of a ledger, executed up to a sequence, then further. `began_with`: the state file of a cluster
    that continues another one. Its methods raise StateFileError, JournalError."""

    def __init__(self, ledger: NodeLedger, genesis: g.Genesis, tail: LedgerTail, began_with: Path) -> None:
        cluster = g.cluster_id(genesis)
        self.application = TicketApplication(genesis, cluster)
        self._ledger = ledger
        self._genesis = genesis
        self._tail = tail
        self._began_with = began_with
        self._signer = FrameSigner(cluster, b"", KeyRing(self.application, founding(genesis)))
        self._base = tail.base
        self._frontier = log_tree.Frontier()
        if self._base is not None:
            self._frontier = log_tree.append(self._base.before, entry_hash(self._base.entry))

    def load_rows(self) -> None:
        """Take the state of the ledger's rows, so that nothing is executed up to it."""
        self.application.load(self._tail.rows)

    def load_beginning(self) -> None:
        """Take the state that the log begins with: empty, or that of a cluster that this one continues."""
        base = self._tail.base
        if base is None:
            return
        continued = g.continued(self._genesis)
        if continued is None or continued.sequence != base.entry.sequence:
            raise StateFileError(
                f"{self._ledger.location.name} begins behind sequence {base.entry.sequence}, with a state "
                "that was replaced since: take another member's ledger, or the learner's (--learner)."
            )
        self.application.load(beginning_rows(open_state(self._began_with), self._genesis, searched=False))

    def run(self, until: int, *, execute: bool = True) -> Base:
        """Go on up to `until`; return that entry and the log tree's peaks below it."""
        for record in self._entries(self._frontier.size + 1, until):
            self._base = Base(record.entry, self._frontier.peaks)
            self._frontier = log_tree.append(self._frontier, record.entry_hash)
            if execute and record.entry.batch_digest != NULL_BATCH_DIGEST:
                self._execute(record)
        if self._base is None or self._base.entry.sequence != until:
            raise StateFileError(f"{self._ledger.location.name} does not hold its log up to {until}.")
        return self._base

    def head(self, checkpoint: CheckpointRecord, base: Base) -> StateHead:
        """The proof of the state at a stable checkpoint, up to which this replay has run."""
        if self.application.freeze(checkpoint.sequence) != checkpoint.state_root:
            raise StateFileError(
                f"{self._ledger.location.name} does not lead to the state that was signed at sequence "
                f"{checkpoint.sequence}: take another member's."
            )
        manifest = self.application.pin(checkpoint.sequence)
        if manifest is None:
            raise RuntimeError("a state that was frozen just now cannot be pinned")
        chain = canonical.encode(_chain(self._ledger, self._genesis, checkpoint.epoch))
        return StateHead(FORMAT, chain, checkpoint.frames, base.entry, base.peaks, manifest)

    def _entries(self, first: int, last: int) -> Iterator[EntryRecord]:
        while first <= last:
            found = self._ledger.entries(first, min(last, first + READ_ENTRIES - 1), READ_BYTES)
            if not found:
                return
            yield from found
            first = found[-1].entry.sequence + 1

    def _execute(self, record: EntryRecord) -> None:
        entry = record.entry
        batch = open_body(record.body, self._signer)
        self.application.execute(batch.bundles, sequence=entry.sequence, timestamp=entry.timestamp)
        self.application.changes()  # discard the changes: they are not stored


def verify_copy(ledger: NodeLedger, genesis: g.Genesis, *, began_with: Path) -> tuple[int, int]:
    """(sequence of the rows, sequence of the newest stable checkpoint) of a learner's ledger, after checking
    every checksum and hash, the signatures of that checkpoint, and that its rows are what its log leads to.
    Raises StateFileError, JournalError with what differs."""
    tail = ledger.load(whole=True)
    checkpoint, applied = tail.checkpoint, tail.applied_sequence
    certified_at = 0 if checkpoint is None or not checkpoint.frames else checkpoint.sequence
    replay = Replay(ledger, genesis, tail, began_with)
    replay.load_beginning()
    name = ledger.location.name
    for sequence in sorted({applied, certified_at} - {0}):
        base = replay.run(sequence)
        if sequence == certified_at and checkpoint is not None:
            try:
                certified(replay.head(checkpoint, base))
                replay.application.release()
            except ProofError as error:
                raise StateFileError(f"{name} proves no checkpoint at {sequence}: {error}.") from error
        if sequence == applied:
            kept = TicketApplication(genesis, g.cluster_id(genesis), searched=True)
            kept.load(tail.rows)
            if kept.freeze(applied) != replay.application.freeze(applied):
                raise StateFileError(
                    f"The rows of {name} are not the state that its log leads to at {applied}."
                )
    return applied, certified_at


def beginning_rows(file: StateFile, genesis: g.Genesis, *, searched: bool) -> Iterator[ApplicationChange]:
    """The state of a cluster that this one continues, as rows."""
    return initial_rows(file.items(), [member.id for member in genesis.members], searched=searched)


def _chain(ledger: NodeLedger, genesis: g.Genesis, epoch: int) -> ChainFile:
    """The epoch chain up to the epoch of the checkpoint."""
    founded = chain_of_genesis(g.encode(genesis))
    cluster = g.cluster_id(genesis)
    certificates = []
    for ended in range(epoch):
        kept = ledger.state_value(epoch_change_proof.record_name(ended))
        if kept is None:
            raise StateFileError(
                f"{ledger.location.name} does not hold the end of epoch {ended}: take another."
            )
        try:
            certificates.append(epoch_change_certificate(kept, cluster))
        except ProofError as error:
            raise StateFileError(
                f"{ledger.location.name} has no proof of epoch {ended}'s end: {error}."
            ) from error
    return ChainFile(founded.version, founded.genesis, tuple(certificates))
