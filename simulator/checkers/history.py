"""The expected results: the agreed log, executed once more by one application that never fails.

Every entry that becomes durable on an honest node is executed here, in order, when it is first seen; its
results must equal those that the replicas signed. Other checkers read the outcomes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dtvn.machine import TicketApplication
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus import open_body
from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, Record
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST
from dtvn.protocol.wire import FrameSigner, Keys
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

Place = tuple[int, int]
"""(sequence, index of the operation in its batch)."""

Bundle = tuple[int, m.Bundle, tuple[m.Outcome, ...]]
"""(sequence, bundle, outcomes)."""


class History(Checker):
    """A sequential model of the service (Castro & Liskov 1999, section 2: a state machine)."""

    name = "history"
    notes = frozenset({"entered_view"})

    def __init__(self, world: World, keys: Keys) -> None:
        super().__init__(world)
        self.outcomes: dict[Place, tuple[m.Operation, m.Outcome]] = {}
        self.bundles: list[Bundle] = []
        """Bundles in the order of the log."""
        self.highest = 0
        """Sequence of the newest entry that is durable on an honest node."""
        self.entered: set[tuple[int, int]] = set()
        """(Epoch, view) pairs that an honest member entered."""
        self.timestamps: dict[int, int] = {}
        """Effective time of each sequence."""
        self.roots: dict[int, bytes] = {}
        """State root after each sequence at which checkpoints are taken."""
        self._application = TicketApplication(
            world.genesis, world.cluster, verify=world.keyring.scheme.verify
        )
        self._opener = FrameSigner(world.cluster, b"", keys)
        self.epochs: list[Membership] = [self._application.membership()]
        """Memberships as the log has them, whether a node entered them or not."""
        self._timestamp = 0

    @property
    def member_ids(self) -> set[str]:
        """Ids of all members that ever existed."""
        return {member.id for epoch in self.epochs for member in epoch.members}

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if node.honest:
            for record in records:
                if isinstance(record, EntryRecord) and record.entry.sequence == self.highest + 1:
                    self._execute(record)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if node.honest and isinstance(note, Note) and note.kind == "entered_view":
            self.entered.add((node.membership.epoch, note.fields["view"]))

    def _execute(self, record: EntryRecord) -> None:
        entry = record.entry
        sequence = self.highest = entry.sequence
        if entry.batch_digest == NULL_BATCH_DIGEST:
            if entry.timestamp != self._timestamp:
                self.fail(f"the null request at {sequence} moved the time (R3)")
        else:
            self._execute_batch(record)
        present = self.epochs[-1]
        if entry.epoch != present.epoch:
            self.fail(f"{sequence} is void: epoch {entry.epoch} ended at {present.after} (R35)")
        following = self._application.membership()
        if following.epoch != present.epoch:
            self.epochs.append(following)
        if sequence % present.parameters.checkpoint_interval == 0 or following.epoch != present.epoch:
            self.roots[sequence] = self._application.root()

    def _execute_batch(self, record: EntryRecord) -> None:
        entry = record.entry
        sequence = entry.sequence
        batch = open_body(record.body, self._opener)
        if batch.digest != entry.batch_digest:
            self.fail(f"the body kept for {sequence} is another batch")
        if entry.timestamp != max(batch.batch.proposed, self._timestamp + 1):
            self.fail(f"the effective timestamp of {sequence} is wrong (R3)")
        self._timestamp = self.timestamps[sequence] = entry.timestamp
        execution = self._application.execute(batch.bundles, sequence=sequence, timestamp=entry.timestamp)
        if execution.results_root != entry.results_root:
            self.fail(f"the results of {sequence} are others")
        for bundle, result in zip(batch.bundles, execution.results, strict=True):
            if result is None:
                continue
            self.bundles.append((sequence, bundle.bundle, result.outcomes))
            pairs = zip(bundle.bundle.operations, result.outcomes, strict=True)
            for offset, pair in enumerate(pairs):
                self.outcomes[sequence, result.first_index + offset] = pair


class Unread:
    """The part of the agreed log that one checker has not read yet."""

    def __init__(self, history: History) -> None:
        self._bundles = history.bundles
        self._read = 0

    def bundles(self) -> Iterator[Bundle]:
        """Each new bundle once, in order."""
        while self._read < len(self._bundles):
            self._read += 1
            yield self._bundles[self._read - 1]

    def operations(self) -> Iterator[tuple[int, m.Bundle, m.Operation, m.Outcome]]:
        """The same, operation by operation: (sequence, bundle, operation, outcome)."""
        for sequence, bundle, outcomes in self.bundles():
            for operation, outcome in zip(bundle.operations, outcomes, strict=True):
                yield sequence, bundle, operation, outcome
