"""Saves the last certified state of a cluster, and installs it in a cluster that continues it (R11)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dtvn.ledger import SNAPSHOT_BASE, NodeLedger
from dtvn.machine import TicketApplication
from dtvn.machine.continued_state import pieces_of
from dtvn.node.options import StartError
from dtvn.node.replay import Replay, beginning_rows
from dtvn.node.state_file import StateFile, StateFileError, open_state, write_state
from dtvn.proof import ProofError
from dtvn.proof.continuation import certified
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import CheckpointRecord, Install

# --- out of the old cluster ---------------------------------------------------------------------------


def save(ledger: NodeLedger, genesis: g.Genesis, out: Path, *, began_with: Path) -> g.Continued:
    """Write the state of the newest stable checkpoint in a ledger of the old cluster to a file.

    A ledger holds only the newest state, so the checkpoint's state is rebuilt by executing the log from its
    beginning. `began_with`: the state file of a cluster that itself continues another one. Raises
    StateFileError, JournalError.
    """
    tail = ledger.load(whole=True)
    checkpoint = tail.checkpoint
    if checkpoint is None or not checkpoint.frames:
        raise StateFileError(
            f"{ledger.location.name} holds no stable checkpoint: nothing in it is certified."
        )
    replay = Replay(ledger, genesis, tail, began_with)
    at_rows = tail.applied_sequence == checkpoint.sequence
    if at_rows:
        replay.load_rows()
    else:
        replay.load_beginning()
    head = replay.head(checkpoint, replay.run(checkpoint.sequence, execute=not at_rows))
    try:
        found = certified(head)
    except ProofError as error:
        raise StateFileError(f"{ledger.location.name} proves no checkpoint: {error}.") from error
    write_state(out, head, pieces_of(head.manifest, replay.application.read_pinned))
    return found


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
    rows = partial(beginning_rows, file, genesis, searched=searched)
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
    ledger.load(whole=True)
    ledger.install(Install(record, file.head.entry, file.head.peaks, rows))
