"""Does each epoch end once, by a change that was due, and is it entered only with the proof of its end? (R35,
R36, R16; P18)

Reads the agreed log and genesis: the liveness proofs are counted here once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.machine import Reconfigure
from dtvn.machine.commands import read
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import EPOCH, epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, Record, StateRecord
from dtvn.protocol.consensus.membership import ALIVE_FOR, KIND, Change, Membership, liveness_bytes, window
from dtvn.protocol.wire import PeerError
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.statements import Statements
from simulator.gateway import Gateway
from simulator.node import Node
from simulator.world import World


class EpochChanges(Checker):
    """The membership that nodes believe in is the one in the log."""

    name = "epoch-changes"

    def __init__(self, world: World, statements: Statements, history: History) -> None:
        super().__init__(world)
        self.gateways: list[Gateway] = []
        self._history = history
        self._statements = statements
        self._unread = Unread(history)
        self._believed: dict[str, Membership] = {}
        """Gateway -> the membership that it believed in when last checked."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        self._read_log()
        if not node.honest:
            return
        for record in records:
            if isinstance(record, StateRecord) and record.name == EPOCH:
                self._enters(node, canonical.decode(Membership, record.value), records)

    def _enters(self, node: Node, membership: Membership, records: Sequence[Record]) -> None:
        epochs = self._history.epochs
        if membership.epoch >= len(epochs) or epochs[membership.epoch] != membership:
            self.fail(f"{node.name} enters an epoch {membership.epoch} that the log does not begin")
        shown = [*node.disk.checkpoints, *(r for r in records if isinstance(r, CheckpointRecord))]
        proofs = [record.frames for record in shown if record.sequence == membership.after]
        if proofs and self._ended(node, proofs[-1], membership.epoch - 1):
            return
        # It was asleep: the end of each epoch since its own was shown to it.
        states = {**node.disk.states, **{r.name: r for r in records if isinstance(r, StateRecord)}}
        for epoch in range(node.membership.epoch, membership.epoch):
            found = epoch_change_proof.read(states.values(), epoch)
            if found is None or not self._ended(node, found.checkpoint, epoch):
                self.fail(f"{node.name} enters epoch {membership.epoch} without what ended {epoch} (R35)")

    def _ended(self, node: Node, frames: Sequence[bytes], epoch: int) -> bool:
        """Whether q members of an epoch signed the checkpoint that ended it."""
        sequence = self._history.epochs[epoch + 1].after
        signers: dict[type[Any], set[int]] = {}
        for frame in frames:
            try:
                message = self._statements.read(frame)
            except PeerError:
                continue
            ends = isinstance(message, (m.Checkpoint, m.Continuation))
            if ends and (message.epoch, message.sequence) == (epoch, sequence):
                signers.setdefault(type(message), set()).add(message.sender)
        return any(len(members) >= self.enders_in(epoch, kind) for kind, members in signers.items())

    # --- what the log says -------------------------------------------------------------------------

    def _read_log(self) -> None:
        for sequence, bundle, operation, outcome in self._unread.operations():
            if operation.kind == KIND and outcome.code == "ok":
                self._due(sequence, bundle, operation)

    def _due(self, sequence: int, bundle: m.Bundle, operation: m.Operation) -> None:
        following = next((e for e in self._history.epochs if e.after == sequence and e.epoch), None)
        if following is None:
            return  # repeats the first outcome of a nonce
        before = self._history.epochs[following.epoch - 1]
        command = read(operation.kind, operation.payload)
        if not isinstance(command, Reconfigure):
            return
        change = command.change
        if len(bundle.operations) != 1:
            self.fail(f"the change at {sequence} stands beside other operations")
        living = self._living(change, before, following, self._history.timestamps[sequence])
        raised = following.version - before.version
        named = {said.member for said in change.alive if said.newest >= following.version}
        by_all = {member.id for member in following.members} <= named & living.keys()
        if raised not in (0, 1) or (raised and not by_all):
            self.fail(f"the version is raised by {raised} at {sequence}, and not by the word of all (R47)")
        if len(living) < quorum.quorum(len(following.members), following.mode):
            self.fail(f"the change at {sequence} has liveness proofs of {sorted(living)} only (R36)")
        for member in following.members:
            if member not in before.members:
                behind = sequence - living.get(member.id, -1)
                if behind > window(before.parameters):
                    self.fail(f"{member.id} joins at {sequence}, {behind} behind (R36)")

    def _living(
        self, change: Change, before: Membership, following: Membership, timestamp: int
    ) -> dict[str, int]:
        """Members of the next epoch with a timely liveness proof -> how far they have executed."""
        keys = {member.id: member.public_key for member in following.members}
        verify = self.world.keyring.scheme.verify
        living: dict[str, int] = {}
        for said in change.alive:
            data = liveness_bytes(
                self.world.cluster, before.epoch, said.member, said.executed, said.timestamp, said.newest
            )
            fresh = -before.parameters.drift_bound <= timestamp - said.timestamp <= ALIVE_FOR
            if fresh and said.member in keys and verify(keys[said.member], data, said.signature):
                living[said.member] = said.executed
        return living

    # --- gateways ----------------------------------------------------------------------------------

    def turning(self, node: Node) -> None:
        """See Checker: gateways believe in no epoch that never existed (R16)."""
        for gateway in self.gateways:
            present = gateway.collector.epochs.present
            if present is self._believed.get(gateway.principal):
                continue
            self._believed[gateway.principal] = present
            if present.epoch and self._history.epochs[present.epoch : present.epoch + 1] != [present]:
                self.fail(f"{gateway.name} believes in an epoch {present.epoch} that never was (R16)")
