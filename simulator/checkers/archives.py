"""Does each member have the whole log in the end, the same as all others, whatever it was sent? (R23)

Reads the ledgers as they are, without the code that checks what is fetched.
"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.clock import SECOND
from simulator.node import Node

FILLED_WITHIN = 60 * SECOND
"""Time after the last fault within which the log is whole: a member that lies and several rests."""


class Archives(Checker):
    """Waits until nothing is missing, and compares all ledgers."""

    name = "archives"
    of_all = True

    def finish(self) -> None:
        """See Checker."""
        nodes = [node for node in self.world.honest_members() if node.up]
        self.world.run_for(FILLED_WITHIN, done=lambda: not any(_missing(node) for node in nodes))
        hashes: dict[int, bytes] = {}
        for node in nodes:
            if missing := _missing(node):
                self.fail(f"{node.name} lacks {len(missing)} entries, from {missing[0]} to {missing[-1]}")
            previous = m.NO_PREDECESSOR
            for number, record in enumerate(node.disk.log, 1):
                if record is None or hashes.setdefault(number, record.entry_hash) != record.entry_hash:
                    self.fail(f"entry {number} of {node.name} is another one than others have")
                if record.entry.previous != previous or m.entry_hash(record.entry) != record.entry_hash:
                    self.fail(f"entry {number} of {node.name} does not continue its log")
                if _digest(record) != record.entry.batch_digest:
                    self.fail(f"entry {number} of {node.name} has a batch that is not its own")
                previous = record.entry_hash


def _missing(node: Node) -> list[int]:
    return [number for number, record in enumerate(node.disk.log, 1) if record is None]


def _digest(record: EntryRecord) -> bytes:
    """The digest of an entry's batch; b"" if a request in it has a form that others refuse."""
    if not record.body:
        return m.NULL_BATCH_DIGEST
    batch = canonical.decode(m.Batch, record.body)
    requests = [canonical.decode(Envelope, frame) for frame in batch.requests]
    for request in requests:
        form = request.kind, len(request.signature), len(request.attachment)
        if form != (m.KIND_OF[m.Bundle], 64, 0):
            return b""
    return m.batch_digest(
        batch.origin_view, batch.proposed, tuple(m.bundle_digest(request.body) for request in requests)
    )
