"""Do all correct nodes that ever existed have the same entry at each sequence, durable ones included?"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, Record
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.world import World


class Agreement(Checker):
    """Castro & Liskov 1999, section 2: safety means that replies are those of one central execution."""

    name = "agreement"
    notes = frozenset({EXECUTED})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.chain: dict[int, bytes] = {}
        """Sequence to the entry hash that was first seen there."""
        self._first: dict[int, str] = {}

    def _see(self, node: Node, sequence: int, entry_hash: bytes) -> None:
        known = self.chain.setdefault(sequence, entry_hash)
        first = self._first.setdefault(sequence, node.name)
        if known != entry_hash:
            self.fail(
                f"at {sequence} {node.name} has {entry_hash.hex()[:12]}, {first} has {known.hex()[:12]}"
            )

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if node.honest:
            for record in records:
                if isinstance(record, EntryRecord):
                    self._see(node, record.entry.sequence, record.entry_hash)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if node.honest and isinstance(note, Executed):
            self._see(node, note.entry.sequence, note.entry_hash)

    def finish(self) -> None:
        """See Checker."""
        for node in self.world.nodes.values():
            if node.honest:
                for record in node.disk.log:
                    if record is not None:
                        self._see(node, record.entry.sequence, record.entry_hash)
