"""A small world in which nothing happens by itself.

The checkers are the simulator's own; nodes, disks and log are stand-ins that a test sets as it wants.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dtvn.gateway import Result
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.genesis.terms import Member, Parameters
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import FrameSigner
from simulator.disk import Image
from simulator.frame_cache import FrameCache
from simulator.gateway import Request
from simulator.scheme import Keyring

CLUSTER = b"c" * 32


def word(text: str) -> bytes:
    """A digest that stands for something."""
    return canonical.digest(text.encode())


class StandInWorld:
    """Members m0, m1, … of epoch 0, and learners."""

    def __init__(self, members: int = 4, *, mode: Mode = Mode.PBFT, learners: int = 0) -> None:
        self.mode = mode
        self.keyring = Keyring(real=False)
        self.cluster = CLUSTER
        self.frame_cache = FrameCache()
        self.time = 0
        self.clock: Any = SimpleNamespace(time=0)
        self.settings: Any = SimpleNamespace(
            node_reads=False, skew_max=0, parameters=Parameters(version=NEWEST), mode=mode, beyond=False
        )
        self.genesis: Any = SimpleNamespace(principals=())
        self.recoveries: dict[int, set[str]] = {}
        self.nodes: dict[str, Any] = {}
        self.twins: dict[str, str] = {}
        self.epochs: dict[int, Membership] = {}
        parameters = Parameters(version=NEWEST)
        self.begin(Membership(0, 0, tuple(map(self.member, range(members))), parameters, mode))
        for number in range(members):
            self.add(f"m{number}", number)
        for number in range(learners):
            self.add(f"l{number}", None)

    @property
    def members(self) -> int:
        """Number of members of the newest epoch."""
        return len(self.present.members)

    @property
    def present(self) -> Membership:
        """The newest epoch."""
        return self.epochs[max(self.epochs)]

    @property
    def member_names(self) -> list[str]:
        """Of the members of the newest epoch."""
        return [member.id for member in self.present.members]

    def member(self, number: int) -> Member:
        """As a membership lists it."""
        return Member(f"m{number}", self.keyring.pair(f"m{number}")[0], "host", 4_000 + number)

    def begin(self, membership: Membership) -> None:
        """An honest node has entered this epoch."""
        self.epochs[membership.epoch] = membership

    def add(self, name: str, index: int | None) -> Any:
        """A node that is up, honest, and has an empty disk."""
        disk: Any = Image()
        disk.synced, disk.older = disk, False
        core = SimpleNamespace(
            state=SimpleNamespace(), config=SimpleNamespace(n=len(self.present.members), epoch=0), executed=0
        )
        node = self.nodes[name] = SimpleNamespace(
            name=name,
            index=index,
            honest=True,
            up=True,
            disk=disk,
            membership=self.present,
            losses=0,
            inbox=[],
            slept=(0, 0),
            paused=False,
            halted="",
            member_id=name,
            core=core,
            host=SimpleNamespace(executed=0),
        )
        node.goes_by = lambda: node.clock.now()
        node.place = lambda membership: membership.find(name)
        node.said = lambda message: message.sender == node.index
        return node

    def honest_members(self) -> list[Any]:
        """See World."""
        return [self.nodes[name] for name in self.member_names if self.nodes[name].honest]

    def learners(self) -> list[Any]:
        """See World."""
        return [node for node in self.nodes.values() if node.index is None and node.honest]

    # --- frames and keys ---------------------------------------------------------------------------

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        members = self.epochs[epoch].members if epoch in self.epochs else ()
        return members[index].public_key if index < len(members) else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return self.keyring.pair(name)[0]

    def sign(self, message: Any, signer: str = "") -> bytes:
        """The frame of a statement, signed by its sender or by somebody else."""
        name = signer or self.epochs[message.epoch].members[message.sender].id
        secret = self.keyring.pair(name)[1]
        return FrameSigner(CLUSTER, secret, self, scheme=self.keyring.scheme).sign(message)


class StandInHistory:
    """The agreed log as other checkers read it from `History`."""

    def __init__(self, world: StandInWorld) -> None:
        self.outcomes: dict[tuple[int, int], tuple[m.Operation, m.Outcome]] = {}
        self.bundles: list[tuple[int, m.Bundle, tuple[m.Outcome, ...]]] = []
        self.highest = 0
        self.timestamps: dict[int, int] = {}
        self.roots: dict[int, bytes] = {}
        self.entered: set[tuple[int, int]] = set()
        self.epochs = [world.epochs[0]]
        self.member_ids = set(world.member_names)

    def batch(self, time: int, *calls: tuple[m.Operation, m.Outcome], principal: str = "gate") -> int:
        """The next batch has one bundle without a session, of these operations and outcomes."""
        operations = tuple(operation for operation, _ in calls)
        return self.bundle(time, m.Bundle(0, principal, b"client", (0, 0), 0, 0, operations), calls)

    def bundle(self, time: int, bundle: m.Bundle, calls: tuple[tuple[m.Operation, m.Outcome], ...]) -> int:
        """The next batch is this bundle with these outcomes. Returns its sequence."""
        self.highest += 1
        self.timestamps[self.highest] = time
        self.bundles.append((self.highest, bundle, tuple(outcome for _, outcome in calls)))
        for index, call in enumerate(calls):
            self.outcomes[self.highest, index] = call
        return self.highest


def entry(
    sequence: int, what: str = "batch", *, epoch: int = 0, commits: tuple[bytes, ...] = ()
) -> EntryRecord:
    """What a ledger keeps of a sequence. `what`: says which batch stands there."""
    kept = m.Entry(epoch, sequence, word(what), word("results"), 1_000 * sequence, word("before"))
    return EntryRecord(kept, m.entry_hash(kept), what.encode(), commits)


def asked(*calls: tuple[m.Operation, Result], number: int = 0) -> Request:
    """A call that was answered."""
    return Request(
        number, tuple(operation for operation, _ in calls), 0, tuple(result for _, result in calls), 1
    )
