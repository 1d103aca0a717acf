"""Does every outcome that a client got stay in the log for ever, also after all nodes died? (R6, R16)"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.protocol.consensus.effects import EntryRecord, Record, SlotRecord
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.quorum import Mode
from simulator.checkers.base import Checker
from simulator.checkers.history import History
from simulator.checkers.raft_records import is_accepted
from simulator.disk import Image
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.world import World

PROVING = frozenset({"prepared"})


class Durability(Checker):
    """An answer is final when it is given: enough disks hold it then, and the log never loses it."""

    name = "durability"
    of_all = True

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._entries: dict[int, EntryRecord] = {}
        """Sequence -> the first entry that was durable on an honest node."""
        self._acknowledged = 0
        """Highest sequence whose outcome was reported to a client."""
        self.outcomes = 0
        """Operations whose outcome was reported to a client."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if node.honest:
            for record in records:
                if isinstance(record, EntryRecord):
                    self._entries.setdefault(record.entry.sequence, record)

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        for operation, result in zip(request.operations, request.results or (), strict=True):
            if not result.sequence:
                continue
            self.outcomes += 1
            place = (result.sequence, result.index)
            known = self._history.outcomes.get(place)
            if known is None:
                self.fail(f"{gateway.name} was told {place}, where nothing stands")
            if not _is_it(known[0], operation) and not operation.nonce:
                self.fail(f"{gateway.name} was told {place}, where another operation stands")
            if known[1].code != result.code:
                self.fail(f"{gateway.name} was told {result.code} of {place}: it is {known[1].code}")
            if result.sequence > self._acknowledged:
                self._acknowledged = result.sequence
                self._survives(result.sequence)

    def _survives(self, sequence: int) -> None:
        """At least q - (liars, lost and older disks) honest disks hold the entry or the certificate that
        demands it: q members were prepared, and only these may have forgotten it."""
        known = self._entries[sequence]
        epoch = known.entry.epoch
        everybody = [self.world.nodes[member.id] for member in self.world.epochs[epoch].members]
        members = [node for node in everybody if node.honest]
        recovered = self._lost_before(sequence)
        faulty = len(everybody) - sum(
            node.disk.voting and not node.disk.older and node.name not in recovered for node in members
        )
        holding = sum(any(self._holds(disk, known) for disk in self._disks(node)) for node in members)
        needed = max(1, self.quorum_in(epoch) - faulty)
        if holding < needed:
            self.fail(f"{sequence} was acknowledged, but only {holding} of {needed} disks hold it")

    def _holds(self, disk: Image, known: EntryRecord) -> bool:
        sequence, digest = known.entry.sequence, known.entry.batch_digest
        if len(disk.log) >= sequence:
            record = disk.entry(sequence)  # None: it holds a state that q members signed later
            return record is None or record.entry_hash == known.entry_hash
        if self.world.mode is Mode.RAFT:
            return is_accepted(disk, known)
        return any(
            slot.phase in PROVING and slot.sequence == sequence and _proves(slot, digest)
            for slot in disk.slots.values()
        )

    def _disks(self, node: Node) -> list[Image]:
        """The member's own, and that of an honest copy beside it, of which one is heard (R44)."""
        twin = self.world.nodes.get(self.world.twins.get(node.name, ""))
        return [each.disk.synced for each in (node, twin) if each is not None and each.honest]

    def _lost_before(self, sequence: int) -> set[str]:
        """Members that lost their ledgers with this entry, and voted again by a recovery, which the others
        brought it through (R11): they need not have fetched it yet."""
        return {name for at, names in self.world.recoveries.items() if sequence <= at for name in names}

    def finish(self) -> None:
        """See Checker."""
        for node in self.world.honest_members():
            if node.up and len(node.disk.log) < self._acknowledged:
                self.fail(f"{node.name} ends at {len(node.disk.log)}, {self._acknowledged} was acknowledged")
        if self._history.highest < self._acknowledged:
            self.fail("an acknowledged sequence is in nobody's log")


def _is_it(ordered: Operation, submitted: Operation) -> bool:
    """Whether this operation was submitted: gateways date those that their callers leave undated (R14)."""
    if not submitted.valid_until:
        ordered = msgspec.structs.replace(ordered, valid_until=0)
    return ordered == submitted


def _proves(record: SlotRecord, digest: bytes) -> bool:
    """Whether the certificate's PRE-PREPARE names this digest (searched for in the frame's bytes)."""
    return bool(record.frames) and digest in record.frames[0]
