"""Saves the last certified state of a cluster, and installs it in a cluster that continues it (R11)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dtvn.ledger import SNAPSHOT_BASE, NodeLedger
from dtvn.machine import TicketApplication
from dtvn.machine.continued_state import initial_rows, pieces_of
from dtvn.machine.keyring import KeyRing
from dtvn.node.options import StartError
from dtvn.node.state_file import StateFile, StateFileError, open_state, write_state
from dtvn.proof import ChainFile, ProofError, chain_of_genesis
from dtvn.proof.continuation import FORMAT, StateHead, certified
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import epoch_change_proof, log_tree, open_body
from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord, Install
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, entry_hash
from dtvn.protocol.host.ports import LedgerTail
from dtvn.protocol.wire import FrameSigner

READ_BYTES = 4 * 1024 * 1024
"""Bytes of the old log's batches in memory at once."""
READ_ENTRIES = 256


# --- out of the old cluster ---------------------------------------------------------------------------


def save(ledger: NodeLedger, genesis: g.Genesis, out: Path, *, began_with: Path) -> g.Continued:
    """Write the state of the newest stable checkpoint in a ledger of the old cluster to a file.

    A ledger holds only the newest state, so the checkpoint's state is rebuilt by executing the log from its
    beginning. `began_with`: the state file of a cluster that itself continues another one. Raises
    StateFileError, JournalError.
    """
    tail = ledger.load()
    checkpoint = tail.checkpoint
    if checkpoint is None or not checkpoint.frames:
        raise StateFileError(
            f"{ledger.location.name} holds no stable checkpoint: nothing in it is certified."
        )
    replay = _Replay(ledger, genesis, tail, began_with)
    base = replay.run(checkpoint.sequence)
    application = replay.application
    if application.freeze(checkpoint.sequence) != checkpoint.state_root:
        raise StateFileError(
            f"{ledger.location.name} does not lead to the state that was signed at sequence "
            f"{checkpoint.sequence}: take another member's."
        )
    manifest = application.pin(checkpoint.sequence)
    if manifest is None:
        raise RuntimeError("a state that was frozen just now cannot be pinned")
    chain = canonical.encode(_chain(ledger, genesis, checkpoint.epoch))
    head = StateHead(FORMAT, chain, checkpoint.frames, base.entry, base.peaks, manifest)
    try:
        found = certified(head)
    except ProofError as error:
        raise StateFileError(f"{ledger.location.name} proves no checkpoint: {error}.") from error
    write_state(out, head, pieces_of(manifest, application.read_pinned))
    return found


class _Replay:
    """The old log, executed once more up to a sequence."""

    def __init__(self, ledger: NodeLedger, genesis: g.Genesis, tail: LedgerTail, began_with: Path) -> None:
        cluster = g.cluster_id(genesis)
        self.application = TicketApplication(genesis, cluster)
        self._ledger = ledger
        self._genesis = genesis
        self._tail = tail
        self._began_with = began_with
        self._signer = FrameSigner(cluster, b"", KeyRing(self.application, founding(genesis)))

    def run(self, until: int) -> Base:
        """Execute the log up to `until`; return that entry and the log tree's peaks below it."""
        base = self._tail.base
        executes = self._tail.applied_sequence != until
        if not executes:
            self.application.load(self._tail.rows)
        elif base is not None:
            self._load_beginning(base)
        frontier = log_tree.Frontier()
        if base is not None:
            frontier = log_tree.append(base.before, entry_hash(base.entry))
        for record in self._entries(frontier.size + 1, until):
            base = Base(record.entry, frontier.peaks)
            frontier = log_tree.append(frontier, record.entry_hash)
            if executes and record.entry.batch_digest != NULL_BATCH_DIGEST:
                self._execute(record)
        if base is None or base.entry.sequence != until:
            raise StateFileError(f"{self._ledger.location.name} does not hold its log up to {until}.")
        return base

    def _load_beginning(self, base: Base) -> None:
        """Load the state that the log begins with, for a cluster that continues another one."""
        continued = g.continued(self._genesis)
        if continued is None or continued.sequence != base.entry.sequence:
            raise StateFileError(
                f"{self._ledger.location.name} begins behind sequence {base.entry.sequence}, with a state "
                "that was replaced since: take another member's ledger, or the learner's (--learner)."
            )
        self.application.load(_rows(open_state(self._began_with), self._genesis, searched=False))

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


# --- into the new one ---------------------------------------------------------------------------------


def begin(
    ledger: NodeLedger, genesis: g.Genesis, path: Path, *, member: bool, searched: bool = False
) -> None:
    """Install the initial state in the ledger of a cluster that continues another one, unless it has it
    already; in one transaction, so that an interrupted start repeats it.

    `path`: the state file. `member`: this process is a member; one that lost its ledger needs no file, since
    it fetches the state of a stable checkpoint from the others. Raises StartError, JournalError.
    """
    continued = g.continued(genesis)
    if continued is None or ledger.state_value(SNAPSHOT_BASE) is not None:
        return
    if not path.exists():
        if member and not ledger.voting:
            return
        raise StartError(
            f"This cluster continues {continued.cluster.hex()[:16]} at sequence {continued.sequence}, and "
            f"{path} is not there: `manage.py genesis continue install` puts that state there."
        )
    try:
        file = open_state(path)
        if file.continued != continued:
            raise StateFileError(f"{path} is not the state that this cluster's genesis names.")
        _install(ledger, genesis, file, searched=searched)
    except StateFileError as error:
        raise StartError(str(error)) from error


def _install(ledger: NodeLedger, genesis: g.Genesis, file: StateFile, *, searched: bool) -> None:
    continued = file.continued
    rows = partial(_rows, file, genesis, searched=searched)
    application = TicketApplication(genesis, g.cluster_id(genesis), searched=searched)
    application.load(rows())
    record = CheckpointRecord(
        epoch=0,
        sequence=continued.sequence,
        state_root=application.root(),
        log_root=continued.log_root,
        timestamp=continued.timestamp,
        frames=(),
    )
    del application
    ledger.load()
    ledger.install(Install(record, file.head.entry, file.head.peaks, rows))


def _rows(file: StateFile, genesis: g.Genesis, *, searched: bool) -> Iterator[ApplicationChange]:
    return initial_rows(file.items(), [member.id for member in genesis.members], searched=searched)
