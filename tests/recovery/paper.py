"""A cluster on paper whose members hold different parts of one log: what a recovery starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dtvn.machine import Admit, Issue
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune, SlotRecord, StateRecord
from dtvn.protocol.consensus.executor import Step
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import ED25519, Door, FrameSigner
from dtvn.recovery import (
    Ending,
    MemberKeys,
    Plan,
    PlanFile,
    SignedFile,
    StateFile,
    make_plan,
    reach,
    read_states,
    tell,
    why_lost,
)
from dtvn.recovery.forms import Proofs, statement_bytes
from dtvn.recovery.sealing import signed
from simulator.dice import Dice
from simulator.disk import VirtualDisk
from tests.host.support import key_pair
from tests.proof.support import PaperLog

NEW = "+"
"""Behind a member's name: its key in the next epoch."""
PLAN = "dtvn-recovery-plan-1"
STABLE = 60
"""The stable checkpoint of all members."""


class Town:
    """n members r0, r1 ... in epoch 0; `log` executes what the cluster decided, each disk holds its part of
    it."""

    def __init__(self, members: int = 4, disks: Sequence[Any] = ()) -> None:
        self.log = PaperLog(members)
        self.genesis, self.cluster = self.log.genesis, self.log.cluster
        self.n, self.q = members, quorum.quorum(members, Mode.PBFT)
        self.membership: Membership = founding(self.genesis)
        self.keys = MemberKeys(self.membership)
        self.disks: list[Any] = list(disks) or [VirtualDisk(Dice(f"disk {i}")) for i in range(members)]
        self.epoch = 0

    # --- what the cluster did -------------------------------------------------------------------

    def decide(self, *commands: tuple[Any, str]) -> Step:
        """One batch of one bundle, as it will be executed."""
        return self.log.order([self.log.operation(command, ticket) for command, ticket in commands])

    def issue_and_fill(self, tickets: Iterable[str]) -> None:
        """Issue these tickets, then fill the log up to the stable checkpoint of all members: further than
        what members show below theirs."""
        self.decide(*((Issue(seat="A-1"), ticket) for ticket in tickets))
        self.log.fill(STABLE)
        for index in range(self.n):
            self.disks[index].append([step.record(()) for step in self.log.steps])
            self.stable(index, STABLE)

    def admit(self, ticket: str) -> int:
        """Decide an admission; its sequence."""
        return self.decide((Admit(gate="north"), ticket)).entry.sequence

    # --- what a member holds of it --------------------------------------------------------------

    def propose(self, index: int, sequence: int, view: int = 0, **other: Any) -> None:
        """Member `index` holds the proposal, and gave its PREPARE unless it made it."""
        digest, body = self._batch(sequence, **other)
        proposal, prepares, _commits = self._frames(view, sequence, digest)
        found = [SlotRecord(0, view, sequence, "pre_prepare", (proposal,), body)]
        if index in prepares:
            found.append(SlotRecord(0, view, sequence, "prepare", (prepares[index],)))
        self.disks[index].append(found)

    def prepare(
        self, index: int, sequence: int, view: int = 0, voters: Sequence[int] = (), **other: Any
    ) -> None:
        """And a prepared certificate of these members' PREPAREs, and gave its COMMIT."""
        self.propose(index, sequence, view, **other)
        digest, _body = self._batch(sequence, **other)
        proposal, prepares, commits = self._frames(view, sequence, digest)
        frames = (
            proposal,
            *[prepares[at] for at in voters or self._voters(index) if at in prepares][: self.q - 1],
        )
        self.disks[index].append(
            [
                SlotRecord(0, view, sequence, "prepared", frames),
                SlotRecord(0, view, sequence, "commit", (commits[index],)),
            ]
        )

    def execute(
        self, index: int, sequences: Iterable[int], view: int = 0, voters: Sequence[int] = ()
    ) -> None:
        """And executed them, with the COMMITs of these; () is its own and those of the last members."""
        for sequence in sequences:
            self.prepare(index, sequence, view)
            step = self.log.steps[sequence - 1]
            _proposal, _prepares, commits = self._frames(view, sequence, step.entry.batch_digest)
            self.disks[index].append(
                [step.record(tuple(commits[at] for at in (voters or self._voters(index))[: self.q]))]
            )

    def stable(self, index: int, sequence: int, voters: Sequence[int] | None = None) -> None:
        """A checkpoint became stable at member `index`, signed by these; None: the first q members."""
        said = self.log._checkpoint(sequence)
        content = (said.state_root, said.log_root, said.timestamp)
        frames = self.log.checkpoint_frames(sequence, voters)
        self.disks[index].append([CheckpointRecord(0, sequence, *content, frames), Prune(sequence)])

    def enter(self, index: int, view: int, demands: Sequence[int] = ()) -> None:
        """Member `index` entered a view: VIEW-CHANGEs of q members, the first ones first, a NEW-VIEW that
        demands these sequences again."""
        changes = [m.ViewChange(0, at, view, (), ()) for at in range(self.q)]
        frames = tuple(self.say(change) for change in changes)
        primary = view % self.n
        again = [m.PrePrepare(0, primary, view, at, self._batch(at)[0]) for at in demands]
        new = m.NewView(0, primary, view, (), tuple(self.say(each) for each in again))
        self.disks[index].append(
            [
                SlotRecord(0, view, 0, "new_view", (self.say(new), *frames)),
                SlotRecord(0, view, 0, "view", ()),
            ]
        )

    def say(self, message: Any) -> bytes:
        """A statement of a member, signed by it."""
        return self.signer(message.sender).sign(message)

    def signer(self, index: int) -> FrameSigner:
        """Of a member, with its key of epoch 0."""
        return FrameSigner(self.cluster, key_pair(f"r{index}")[1], self.keys)

    def _voters(self, index: int) -> list[int]:
        """Members whose votes a member holds: itself, then the last members, who may have lost theirs."""
        return [index, *(at for at in reversed(range(self.n)) if at != index)]

    def _batch(self, sequence: int, null: bool = False, batch: Step | None = None) -> tuple[bytes, bytes]:
        if null:
            return NULL_BATCH_DIGEST, b""
        step = batch or self.log.steps[sequence - 1]
        return step.batch.digest, step.batch.body

    def _frames(
        self, view: int, sequence: int, digest: bytes
    ) -> tuple[bytes, dict[int, bytes], dict[int, bytes]]:
        primary = view % self.n
        proposal = self.say(m.PrePrepare(0, primary, view, sequence, digest))
        backups = [at for at in range(self.n) if at != primary]
        prepares = {at: self.say(m.Prepare(0, at, view, sequence, digest)) for at in backups}
        commits = {at: self.say(m.Commit(0, at, view, sequence, digest)) for at in range(self.n)}
        return proposal, prepares, commits

    # --- the recovery ---------------------------------------------------------------------------

    def tell(self, index: int, *, vouches: bool = False) -> StateFile:
        """Member `index` tells what its disk holds."""
        disk = self.disks[index]
        recovery = disk.load()
        return tell(
            recovery,
            lambda first, last: disk.entries(first, last, 1 << 40),
            configuration.build(self.genesis, self.cluster, f"r{index}", self.membership),
            Door(self.cluster, self.keys),
            lambda data: ED25519.sign(key_pair(f"r{index}")[1], data),
            lost=why_lost(recovery, disk.voting, ""),
            vouches=vouches,
            new_key=key_pair(f"r{index}{NEW}")[0],
        )

    def told(self, *vouchers: int) -> PlanFile:
        """All members tell; these vouch."""
        return PlanFile(PLAN, tuple(self.tell(at, vouches=at in vouchers) for at in range(self.n)))

    def plan(self, file: PlanFile) -> Plan:
        """The plan as every member computes it."""
        return make_plan(read_states(file, self.genesis))

    def sign(self, index: int, file: PlanFile, plan: Plan) -> tuple[SignedFile, Ending]:
        """What a member signs that can execute the plan."""
        ending = reach(plan, self.disks[index].load(), self.genesis)
        said = msgspec.structs.replace(ending.continuation, sender=index)
        return signed(file, self.cluster, said, self.signer(index), ending), ending


def retold(town: Town, state: StateFile, proofs: Proofs | None = None, **fields: Any) -> StateFile:
    """A statement with other fields or proofs, signed anew by its member: what a liar tells."""
    index = int(state.statement.member[1:])
    encoded = state.proofs if proofs is None else canonical.encode_trimmed(proofs)
    statement = msgspec.structs.replace(state.statement, proofs=canonical.digest(encoded), **fields)
    signature = ED25519.sign(key_pair(f"r{index}")[1], statement_bytes(town.cluster, statement))
    return StateFile(state.format, statement, signature, encoded)


def proofs_of(state: StateFile) -> Proofs:
    """Decoded."""
    return canonical.decode(Proofs, state.proofs)


def lost(disk: VirtualDisk) -> None:
    """Record on a disk that its member lost its vote."""
    disk.append([StateRecord("voting", b"0")])
