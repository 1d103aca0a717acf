"""Can each correct replica prove its low mark, and did it keep everything above it? (R24, P7)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune, Record
from dtvn.protocol.wire import PeerError
from simulator.checkers.base import Checker
from simulator.checkers.statements import Statements
from simulator.node import Node
from simulator.world import World


class LowWatermark(Checker):
    """Verifies, with its own door, every stable checkpoint that becomes durable."""

    name = "low-watermark"

    def __init__(self, world: World, statements: Statements) -> None:
        super().__init__(world)
        self._statements = statements
        self._roots: dict[int, tuple[bytes, bytes, int]] = {}

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if not node.honest:
            return
        for record in records:
            if isinstance(record, CheckpointRecord):
                self._certificate(node, record)
            elif isinstance(record, Prune) and record.sequence > node.disk.stable:
                self.fail(f"{node.name} forgets up to {record.sequence}, proven is {node.disk.stable}")

    def _certificate(self, node: Node, record: CheckpointRecord) -> None:
        signers: set[int] = set()
        epochs: set[int] = set()
        kinds: set[type[Any]] = set()
        claim = (record.state_root, record.log_root, record.timestamp)
        for frame in record.frames:
            try:
                message = self._statements.read(frame)
            except PeerError as error:
                self.fail(f"{node.name}: a certificate of {record.sequence} holds a bad frame: {error}")
            if not isinstance(message, (m.Checkpoint, m.Continuation)) or (
                message.sequence != record.sequence
                or (message.state_root, message.log_root, message.timestamp) != claim
            ):
                self.fail(f"{node.name}: a certificate of {record.sequence} holds another statement")
            signers.add(message.sender)
            epochs.add(message.epoch)
            kinds.add(type(message))
        if len(epochs) != 1 or len(kinds) != 1 or len(signers) < self.enders_in(min(epochs), kinds.pop()):
            self.fail(f"{node.name}: the certificate of {record.sequence} has {len(signers)} signers")
        if self._roots.setdefault(record.sequence, claim) != claim:
            self.fail(f"two stable checkpoints at {record.sequence}")
