"""An old cluster on paper, the file with its last certified state, and the cluster that continues it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dtvn.files.whole import write_private
from dtvn.machine import Admit, Issue, OpenSession, TicketApplication
from dtvn.machine.continued_state import Piece, initial_rows, pieces_of, proved_items
from dtvn.node.layout import ClusterFolder
from dtvn.proof.continuation import FORMAT, StateHead, certified
from dtvn.protocol import genesis as g
from dtvn.protocol.canonical import encode
from dtvn.protocol.consensus.effects import CheckpointRecord, StateRecord
from dtvn.protocol.consensus.epoch_change_proof import record_name
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.log_tree import append
from dtvn.protocol.consensus.messages import entry_hash
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import FrameSigner
from tests.host.support import GenesisKeys, key_pair, make_genesis
from tests.proof.support import PaperLog
from validators.ledger import open_ledger

ADMITTED = ("TICKET-1", "TICKET-2")
LOST = "TICKET-3"
"""Admitted above the checkpoint."""


def old_log(sequence: int = 10, members: int = 4, mode: Mode = Mode.PBFT) -> PaperLog:
    """A log that ends at `sequence`, with two tickets admitted and a third one issued."""
    log = PaperLog(members, "old", mode)
    for number, ticket in enumerate(ADMITTED):
        log.order([log.operation(Issue(product="day", seat=f"A-{number}"), ticket)])
        log.order([log.operation(Admit(gate="north"), ticket, nonce=b"scan-%d" % number)])
    log.order([log.operation(Issue(), LOST)])
    log.fill(sequence)
    return log


def head_of(log: PaperLog, **fields: object) -> tuple[StateHead, list[Piece]]:
    """The state after the log's newest entry, as a state file holds it."""
    sequence = len(log.steps)
    log.application.freeze(sequence)
    manifest = log.application.pin(sequence)
    base = log.executor.base
    assert manifest is not None
    assert base is not None
    frames = log.checkpoint_frames(sequence)
    whole = {"format": FORMAT, "chain": log.chain(), "checkpoint": frames, "manifest": manifest}
    head = StateHead(**(whole | {"entry": base.entry, "peaks": base.peaks} | fields))
    return head, list(pieces_of(manifest, log.application.read_pinned))


def keep(
    log: PaperLog, data: Path, *, stable: int, name: str = "r0", signers: Sequence[int] | None = None
) -> None:
    """The log in a real ledger of a node below `data`, its checkpoint at `stable`, its rows at the end."""
    folder = ClusterFolder(data)
    node = folder.node(name)
    folder.create()
    node.create()
    write_private(node.genesis, g.encode(log.genesis))
    ledger = open_ledger(node.ledger, cluster_id=log.cluster, alias="old")
    try:
        ledger.load()
        ledger.append([step.record(()) for step in log.steps])
        entry = log.steps[stable - 1].entry
        frames = log.checkpoint_frames(stable, signers)
        root, logged = log.roots[stable - 1], log.log_root(stable)
        ledger.append([CheckpointRecord(entry.epoch, stable, root, logged, entry.timestamp, frames)])
        ended = [StateRecord(record_name(at), encode(each)) for at, each in enumerate(log.epoch_changes)]
        ledger.append(ended)
        ledger.materialise(log.application.changes(), len(log.steps), log.executor.timestamp)
    finally:
        ledger.close()


class ContinuedLog(PaperLog):
    """A cluster of its own that goes on from the newest entry of another log; members n0, n1 ..."""

    def __init__(self, old: PaperLog, members: int = 4) -> None:
        head, pieces = head_of(old)
        continued = certified(head)
        self.genesis = g.continuing(founded_as("new", members), continued)
        self.cluster = g.cluster_id(self.genesis)
        self.epochs = [[member.id for member in self.genesis.members]]
        self.epoch_changes = []
        self.application = TicketApplication(self.genesis, self.cluster, searched=True)
        items = proved_items(continued.cluster, head.manifest, continued.state_root, pieces)
        self.application.load(initial_rows(items, self.names, searched=True))
        self.executor = Executor(0, self.application)
        self.executor.executed, self.executor.timestamp = continued.sequence, continued.timestamp
        self.executor.head = entry_hash(head.entry)
        self.executor.frontier = append(head.base.before, self.executor.head)
        self.signer = FrameSigner(self.cluster, key_pair("gateway")[1], GenesisKeys(self.genesis))
        self.steps, self.roots = list(old.steps), list(old.roots)
        self.session, self.number = (0, 0), 0
        self.order([self.operation(OpenSession(), nonce=b"session")])
        self.session = (continued.sequence + 1, 0)


def founded_as(name: str, members: int) -> g.Genesis:
    """A genesis with members under keys that the old cluster never had."""
    plain = make_genesis(members, name)
    others = tuple(g.Member(f"n{at}", key_pair(f"n{at}")[0], "127.0.0.1", 7200 + at) for at in range(members))
    return g.Genesis(name, plain.created_at, others, plain.principals, plain.parameters, demo=True)
