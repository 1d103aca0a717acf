"""Does every entry that becomes durable come with its proof, and is every entry the next one of a single
chain? (R23, R26, R27)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Record
from dtvn.protocol.wire import PeerError
from simulator.checkers.base import Checker
from simulator.checkers.statements import Statements
from simulator.node import Node
from simulator.world import World


class Certificates(Checker):
    """Verifies each COMMIT once, with a door of its own; an entry without COMMITs must be below a checkpoint
    that becomes durable in the same turn."""

    name = "certificates"

    def __init__(self, world: World, statements: Statements) -> None:
        super().__init__(world)
        self._statements = statements
        self._proved: set[tuple[bytes, tuple[bytes, ...]]] = set()

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if not node.honest:
            return
        for record in records:
            if isinstance(record, EntryRecord) and record.commits:
                known = (record.entry_hash, record.commits)
                if known not in self._proved:
                    self._entry(node, record)
                    self._proved.add(known)

    def _entry(self, node: Node, record: EntryRecord) -> None:
        entry = record.entry
        signers: set[int] = set()
        views: set[int] = set()
        for frame in record.commits:
            try:
                message = self._statements.read(frame)
            except PeerError as error:
                self.fail(f"{node.name}: entry {entry.sequence} rests on a bad frame: {error}")
            if not isinstance(message, m.Commit) or (message.epoch, message.sequence, message.digest) != (
                entry.epoch,
                entry.sequence,
                entry.batch_digest,
            ):
                self.fail(f"{node.name}: entry {entry.sequence} rests on another statement")
            signers.add(message.sender)
            views.add(message.view)
        needed = self.quorum_in(entry.epoch)
        if len(signers) < needed or len(views) != 1:
            self.fail(f"{node.name}: {len(signers)} of {needed} members prove entry {entry.sequence}")
        if m.entry_hash(entry) != record.entry_hash:
            self.fail(f"{node.name}: entry {entry.sequence} has another hash")
