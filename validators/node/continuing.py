"""The last certified state: out of an old cluster's ledger, and into that of one that continues it (R11)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tickets.machine import TicketApplication
from tickets.machine.carried import carried, pieces_of
from tickets.proof import ChainFile, ProofError, chain_of_genesis
from tickets.proof.continuation import FORMAT, StateHead, certified
from tickets.proof.handover import handover_certificate
from validators import canonical
from validators import genesis as g
from validators.consensus import handover, log_tree
from validators.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord, Install
from validators.consensus.executor import open_body
from validators.consensus.membership import founding
from validators.consensus.messages import NULL_BATCH_DIGEST, entry_hash
from validators.consensus.needs import Base
from validators.ledger import Ledger
from validators.ledger.install import BASE
from validators.node.keyring import KeyRing
from validators.node.options import StartError
from validators.node.state_file import StateFile, StateFileError, open_state, write_state
from validators.ports import Recovery
from validators.wire import FrameSigner

__all__ = ["begin", "save"]

READ_BYTES = 4 * 1024 * 1024
"""Batches of the old log in memory at once."""
READ_ENTRIES = 256


# --- out of the old cluster ---------------------------------------------------------------------------


def save(ledger: Ledger, genesis: g.Genesis, out: Path, *, began_with: Path) -> g.Continued:
    """Write the state of the newest stable checkpoint in a ledger of the old cluster to a file.

    A ledger holds the newest state only, so that of the checkpoint is made again: by executing the log from
    its beginning. `began_with`: the state file of a cluster that itself continues another one. Raises
    StateFileError, JournalError.
    """
    recovery = ledger.load()
    checkpoint = recovery.checkpoint
    if checkpoint is None or not checkpoint.frames:
        raise StateFileError(
            f"{ledger.location.name} holds no stable checkpoint: nothing in it is certified."
        )
    replay = _Replay(ledger, genesis, recovery, began_with)
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

    def __init__(self, ledger: Ledger, genesis: g.Genesis, recovery: Recovery, began_with: Path) -> None:
        cluster = g.cluster_id(genesis)
        self.application = TicketApplication(genesis, cluster)
        self._ledger = ledger
        self._genesis = genesis
        self._recovery = recovery
        self._began_with = began_with
        self._signer = FrameSigner(cluster, b"", KeyRing(self.application, founding(genesis)))

    def run(self, until: int) -> Base:
        """Execute up to `until`; its entry, and the log below it."""
        base = self._recovery.base
        executes = self._recovery.applied_sequence != until
        if not executes:
            self.application.load(self._recovery.rows)
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
        """What the log begins with, where it does not begin with nothing."""
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
        self.application.changes()  # nobody stores them


def _chain(ledger: Ledger, genesis: g.Genesis, epoch: int) -> ChainFile:
    """The epoch chain up to the one that holds the checkpoint."""
    founded = chain_of_genesis(g.encode(genesis))
    cluster = g.cluster_id(genesis)
    certificates = []
    for ended in range(epoch):
        kept = ledger.state_value(handover.record_name(ended))
        if kept is None:
            raise StateFileError(
                f"{ledger.location.name} does not hold the end of epoch {ended}: take another."
            )
        try:
            certificates.append(handover_certificate(kept, cluster))
        except ProofError as error:
            raise StateFileError(
                f"{ledger.location.name} has no proof of epoch {ended}'s end: {error}."
            ) from error
    return ChainFile(founded.version, founded.genesis, tuple(certificates))


# --- into the new one ---------------------------------------------------------------------------------


def begin(ledger: Ledger, genesis: g.Genesis, path: Path, *, member: bool, searched: bool = False) -> None:
    """Give the ledger of a cluster that continues another one the state with which it begins, unless it has
    it; in one transaction, so a start that was cut off does it again.

    `path`: where the state file lies. `member`: it may vote, so one that lost its ledger goes on without the
    file, and takes the state of a stable checkpoint from the others. Raises StartError, JournalError.
    """
    continued = g.continued(genesis)
    if continued is None or ledger.state_value(BASE) is not None:
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


def _install(ledger: Ledger, genesis: g.Genesis, file: StateFile, *, searched: bool) -> None:
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
    return carried(file.items(), [member.id for member in genesis.members], searched=searched)
