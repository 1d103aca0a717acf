"""n - q + 1 votes are lost at a random moment, and all members continue the cluster by the steps of `genesis
recover` (R11): each tells its state, the plan is made, signed, sealed and installed, under new keys.

It is played at one instant: all nodes are off meanwhile. If too few logs reach what must be executed, the
members run for a while first, as the refusal says. A directed world chooses the instant: right after an
acknowledgement, when only prepared certificates hold the entry.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.probes import probe
from dtvn.protocol.wire import Door, FrameSigner
from dtvn.recovery import (
    PLAN,
    Ending,
    LogsBehind,
    MemberKeys,
    Plan,
    PlanFile,
    RecoveryError,
    SignedFile,
    StateFile,
    make_plan,
    reach,
    read_states,
    sealing,
    tell,
    why_lost,
)
from simulator.clock import SECOND
from simulator.cluster import Cluster, key_in
from simulator.dice import Dice
from simulator.disk import VirtualDisk
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.recoverable import losses
from simulator.violation import Violation

ALL = 1 << 40
"""Bytes of entries that a member reads of its own log."""
FETCHING = 5 * SECOND
"""For how long members that lag fetch what others have, if the recovery is refused without it."""


class Recovery:
    """Takes the disks, and brings the cluster back."""

    def __init__(self, cluster: Cluster, dice: Dice) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._scheme = cluster.world.keyring.scheme
        self._dice = dice
        self._copies: dict[str, VirtualDisk] = {}

    def copy(self) -> None:
        """Backups of all disks, of which one may be put back later."""
        self._copies = {node.name: node.disk.clone() for node in self._members()}

    def happen(self) -> None:
        """Everything at once; raise Violation if a step is refused that an operator cannot mend."""
        self._happen(thorough=None)

    def happen_without(self, sequence: int) -> bool:
        """The same after a power cut that leaves nothing unsynced, in which all disks are lost that hold the
        entry of `sequence`; False, and nothing happens, if more hold it."""
        holding = [node for node in self._members() if len(node.disk.synced.log) >= sequence]
        if len(holding) > losses(self._world.members, self._world.mode):
            return False
        self._happen(thorough=True, lost=holding)
        return True

    def _happen(self, *, thorough: bool | None, lost: Sequence[Node] = ()) -> None:
        """`thorough`: see VirtualDisk.crash; None: drawn for each node. `lost`: disks that are lost in any
        case."""
        members = self._members()
        for node in list(self._world.nodes.values()):
            node.disk.full = False
            if node.up:
                node.crash(thorough=self._dice.hit(0.5) if thorough is None else thorough)
        sound = [node for node in members if node.honest and node.disk.voting]
        others = [node for node in sound if node not in lost]
        lost = [*lost, *self._dice.sample(others, losses(len(members), self._world.mode) - len(lost))]
        for node in lost:
            self._lose(node)
        vouchers = [node for node in sound if node not in lost]
        try:
            self._continue(members, vouchers)
        except LogsBehind:
            self._start_all()
            self._world.after(FETCHING, self._stop_and_continue, members, vouchers)
        except RecoveryError as error:
            raise Violation("recovery", str(error)) from error

    def _continue(self, members: Sequence[Node], vouchers: Sequence[Node]) -> None:
        self._recover(members, vouchers)
        probe("recovery.continued")
        self._start_all()

    def _stop_and_continue(self, members: Sequence[Node], vouchers: Sequence[Node]) -> None:
        for node in list(self._world.nodes.values()):
            if node.up:
                node.crash(thorough=True)
        try:
            self._continue(members, vouchers)
        except RecoveryError as error:
            raise Violation("recovery", str(error)) from error

    def _start_all(self) -> None:
        for node in list(self._world.nodes.values()):
            self._world.start(node)

    def _members(self) -> list[Node]:
        return [self._world.nodes[name] for name in self._world.member_names]

    def _lose(self, node: Node) -> None:
        """Its disk is empty, or an older copy, or its newest writes went elsewhere."""
        copy = self._copies.get(node.name)
        if copy is not None and self._dice.hit(0.5):
            node.disk = copy
            node.disk.older = True
            node.losses += 1
        else:
            node.lose_disk()

    # --- the steps -----------------------------------------------------------------------------------

    def _recover(self, members: Sequence[Node], vouchers: Sequence[Node]) -> None:
        world, scheme, genesis = self._world, self._scheme, self._world.genesis
        now = world.present
        states = tuple(self._tell(node, now, vouches=node in vouchers) for node in members)
        file = PlanFile(PLAN, states)
        plan = make_plan(read_states(file, genesis, scheme))
        endings: dict[str, Ending | None] = {}
        files: list[SignedFile] = []
        for index in sorted(range(len(members)), key=lambda index: index not in plan.witnesses):
            node = members[index]
            ending = None
            if plan.executes(index):
                ending = reach(plan, node.disk.load(), genesis, scheme)
            said = ending.continuation if ending else sealing.by_witnesses(files, plan, file, scheme)
            mine = msgspec.structs.replace(said, sender=index)
            files.append(sealing.signed(file, world.cluster, mine, self._signer(node, now, plan), ending))
            endings[node.name] = ending
        sealed_file, _wrong = sealing.seal(file, plan, files, genesis, scheme)
        sealed = sealing.open_sealed(sealed_file, plan, genesis, scheme)
        lost = frozenset(node.name for node in members if node not in vouchers)
        world.recoveries[sealed.certificate.sequence] = lost
        # The log is known to the world's checkers before a member that lacks it enters the epoch.
        for node in sorted(members, key=lambda node: endings[node.name] is None):
            records = sealing.records(sealed, endings[node.name])
            node.disk.append(records)
            node.disk.older = False
            node.keys.append(_new_key(node, now))
            node.losses = 0
            world.persisted(node, records)

    def _tell(self, node: Node, now: Membership, *, vouches: bool) -> StateFile:
        world, keyring = self._world, self._world.keyring
        tail = node.disk.load()
        secret = keyring.pair(key_in(node, now))[1]
        return tell(
            tail,
            lambda first, last: node.disk.entries(first, last, ALL),
            configuration.build(world.genesis, world.cluster, node.member_id, now),
            Door(world.cluster, MemberKeys(now), scheme=self._scheme),
            lambda data: self._scheme.sign(secret, data),
            lost=why_lost(tail, node.disk.voting, ""),
            vouches=vouches,
            new_key=keyring.pair(_new_key(node, now))[0],
        )

    def _signer(self, node: Node, now: Membership, plan: Plan) -> FrameSigner:
        secret = self._world.keyring.pair(key_in(node, now))[1]
        keys = MemberKeys(plan.reading.membership)
        return FrameSigner(self._world.cluster, secret, keys, scheme=self._scheme)


class PreparedAlone:
    """Waits for an acknowledgement whose entry no disk holds that the recovery will read, only prepared
    certificates; then power fails at once everywhere, and the recovery happens. A gateway's observer."""

    def __init__(self, recovery: Recovery, since: int) -> None:
        self._recovery = recovery
        self._since = since
        """World time of the first acknowledgement that counts."""
        self.sequence = 0
        """That of the acknowledged entry; 0: there was none yet."""

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See ClientObserver. What the gateway does first is done before power fails."""
        sequence = max((result.sequence for result in request.results or ()), default=0)
        if sequence and not self.sequence and gateway.world.time >= self._since:
            gateway.world.at(gateway.world.time, self._cut, sequence)

    def _cut(self, sequence: int) -> None:
        if not self.sequence and self._recovery.happen_without(sequence):
            self.sequence = sequence


def _new_key(node: Node, now: Membership) -> str:
    return f"{node.member_id} recovered {now.epoch}"
