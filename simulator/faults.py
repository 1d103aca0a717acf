"""Faults, drawn at random: crashes at every point of a turn, cuts, pauses, full disks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.probes import probe
from dtvn.protocol.quorum import Mode
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.disk import CrashPoint
from simulator.gateway import Gateway
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer
from simulator.recoverable import disks_tolerated
from simulator.recurring import Recurring
from simulator.stale_process import StaleProcess, take_over
from simulator.world import World

PRIMARY_SHARE = 0.4
LAST_WORDS = (m.Prepare, m.Commit, m.Commit, m.Reply, m.Reply, m.Checkpoint, m.ViewChange, m.NewView)
"""Kinds of messages after which the power is cut; those at critical moments are more frequent."""
TRANSFER_WORDS = (m.Snapshot, m.Groups)
"""The same in worlds in which members fetch the state."""
RAFT_WORDS = (
    *(m.AppendEntries, m.AppendEntriesResult, m.Commit, m.Commit, m.Reply, m.Reply, m.Checkpoint),
    *(m.RequestVote, m.RequestVoteResult),
)
"""The same in worlds that order by Raft."""
NARROWEST = 20_000
"""Bytes in a second of the narrowest link."""
CUT_AFTER = 3 * MILLISECOND
"""Longest time between that message and the cut: some members have received and written it, others not."""
LOSABLE = (
    m.PrePrepare,
    m.Prepare,
    m.Commit,
    m.Checkpoint,
    m.ViewChange,
    m.NewView,
    m.SupplyFrames,
    m.Status,
    m.Entries,
)
RAFT_LOSABLE = (
    *(m.AppendEntries, m.AppendEntries, m.AppendEntriesResult, m.Commit, m.Commit, m.RequestVote),
    *(m.RequestVoteResult, m.Checkpoint, m.SupplyFrames, m.Status, m.Entries),
)


class FaultPlan(msgspec.Struct, frozen=True):
    """Weights of the kinds of faults (0: never), and how often a fault happens."""

    pause_max: int = 2 * SECOND
    """Longest time between two faults, nanoseconds."""
    crash: int = 0
    crash_in_turn: int = 0
    crash_all: int = 0
    suspend: int = 0
    disk_full: int = 0
    part: int = 0
    one_way: int = 0
    slow_link: int = 0
    lose_kind: int = 0
    clog: int = 0
    narrow: int = 0
    heal: int = 2
    wall_jump: int = 0
    client_restart: int = 0
    disk_lost: int = 0
    take_over: int = 0
    power_cut: int = 0
    byte_flipped: int = 0
    write_misdirected: int = 0
    away_max: int = 4 * SECOND
    """Longest time that a crashed or suspended node is away."""


class TripWire(Observer):
    """Waits for the next message of one kind."""

    kinds = frozenset(LAST_WORDS + RAFT_WORDS + TRANSFER_WORDS)

    def __init__(self) -> None:
        self.kind: type[Any] | None = None
        """The kind; None: waits for no message."""
        self.then: Callable[[], None] = lambda: None

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer."""
        if self.kind is not None and kind_of_frame(frame) is self.kind:
            self.kind = None
            self.then()


class FaultInjector(Recurring):
    """Injects faults until it is stopped."""

    def __init__(
        self,
        world: World,
        gateways: Sequence[Gateway],
        dice: Dice,
        plan: FaultPlan,
        *,
        spare: int,
        left_out: frozenset[int] = frozenset(),
    ) -> None:
        """`spare`: how many members may lose their disks; those follow without a vote from then on.
        `left_out`: numbers of the faults that are skipped."""
        super().__init__(world, dice.fork("when"), plan.pause_max)
        self.plan = plan
        self.lost = 0
        """Number of members that lost their disks."""
        self._gateways = gateways
        self._spare = spare
        self.happened = 0
        """Number of faults so far, skipped ones included."""
        self.told: Callable[[str], None] = lambda _sentence: None
        """Gets a sentence about each fault (simulator.story)."""
        self._left_out = left_out
        self._source = dice
        self._dice = dice
        """Random stream of the present fault: each fault has a stream of its own, so that skipping one
        changes no other."""
        self._wire = TripWire()
        if plan.power_cut:
            world.observers.add(self._wire)
        kinds: dict[str, Callable[[], None]] = {
            "crash": self._crash,
            "crash_in_turn": self._crash_in_turn,
            "crash_all": self._crash_all,
            "suspend": self._suspend,
            "disk_full": self._disk_full,
            "part": self._part,
            "one_way": self._one_way,
            "slow_link": self._slow_link,
            "lose_kind": self._lose_kind,
            "heal": self._heal,
            "wall_jump": self._wall_jump,
            "client_restart": self._client_restart,
            "disk_lost": self._disk_lost,
            "take_over": self._take_over,
            "power_cut": self._power_cut,
            "byte_flipped": self._byte_flipped,
            "write_misdirected": self._write_misdirected,
            "clog": self._clog,
            "narrow": self._narrow,
        }
        self._bag = [action for name, action in kinds.items() for _ in range(getattr(plan, name))]

    def happen(self) -> None:
        """Inject one fault, unless it is left out."""
        if self.happened not in self._left_out:
            self._dice = self._source.fork(f"fault {self.happened}")
            fault = self._dice.pick(self._bag)
            self.told(f"fault {self.happened} is {fault.__name__.strip('_').replace('_', ' ')}")
            fault()
        self.happened += 1

    def _anyone(self) -> Node:
        """A random node, often the primary: faults have the most effect there."""
        nodes = [node for node in self.world.nodes.values() if not isinstance(node, StaleProcess)]
        if not self._dice.hit(PRIMARY_SHARE):
            return self._dice.pick(nodes)
        view = max((node.view() for node in nodes if node.index is not None), default=0)
        return self.world.nodes[self.world.member_names[quorum.primary(view, self.world.members)]]

    def _back_later(self, node: Node) -> None:
        self.world.after(1 + self._dice.below(self.plan.away_max), self._back, node)

    def _back(self, node: Node) -> None:
        if node.up and node.armed and self._running:
            self._back_later(node)
        else:
            self.world.start(node)

    # --- kinds -----------------------------------------------------------------------------------

    def _crash(self) -> None:
        node = self._anyone()
        if node.up:
            node.crash()
        self._back_later(node)

    def _crash_in_turn(self) -> None:
        node = self._anyone()
        if node.up:
            node.crash_in_next_write(self._dice.pick(tuple(CrashPoint)))
        self._back_later(node)

    def _crash_all(self) -> None:
        for node in list(self.world.nodes.values()):
            if node.up:
                node.crash()
            self._back_later(node)

    def _power_cut(self) -> None:
        """All nodes lose power a moment after the next message of a kind, usually with everything that no
        disk has synced: between COMMIT and execution, or just after a client got its answer (R6)."""
        dice, wire = self._dice, self._wire

        def cut() -> None:
            if not self._running:
                return
            thorough = dice.hit(0.7)
            if thorough:
                self._note_power_cut()
            for node in list(self.world.nodes.values()):
                if node.up:
                    node.crash(thorough=thorough)
                self.world.after(1 + dice.below(self.plan.away_max), self._back, node)

        def heard() -> None:
            self.world.after(1 + dice.below(CUT_AFTER), cut)

        words: tuple[Any, ...] = RAFT_WORDS if self.world.mode is Mode.RAFT else LAST_WORDS
        words += TRANSFER_WORDS * 2 if self.world.settings.transfer_lag else ()
        wire.kind, wire.then = dice.pick(words), heard

    def _note_power_cut(self) -> None:
        nodes = self.world.nodes.values()
        if any(not node.honest for node in nodes):
            probe("power_cut.beside_liars")
        if len(self.world.epochs) > 1:
            probe("power_cut.after_changes")
        if any(node.up and node.core.receiving for node in nodes):
            probe("power_cut.in_a_transfer")

    def _suspend(self) -> None:
        node = self._anyone()
        node.pause()
        self.world.after(1 + self._dice.below(self.plan.away_max), node.resume)

    def _disk_full(self) -> None:
        node = self._anyone()
        node.disk.full = True
        self.world.after(1 + self._dice.below(self.plan.away_max), self._free, node)

    def _free(self, node: Node) -> None:
        node.disk.full = False

    def _part(self) -> None:
        names = [*self.world.nodes, *self.world.endpoints]
        here = self._dice.sample(names, self._dice.below(len(names)))
        self.world.network.part(here, [name for name in names if name not in here])

    def _one_way(self) -> None:
        names = [*self.world.nodes, *self.world.endpoints]
        sender, receiver = self._dice.sample(names, 2)
        self.world.network.cut(sender, receiver)

    def _slow_link(self) -> None:
        """One direction of one link holds all frames back for a while, then they all arrive late."""
        names = [*self.world.nodes, *self.world.endpoints]
        sender, receiver = self._dice.sample(names, 2)
        rule = self.world.network.when(sender=sender, receiver=receiver)
        rule.delay(1 + self._dice.below(self.plan.away_max))
        self.world.after(1 + self._dice.below(self.plan.away_max), self.world.network.forget, rule)

    def _clog(self) -> None:
        """What one direction of a link carries waits until a moment, and then goes on."""
        names = [*self.world.nodes, *self.world.endpoints]
        sender, receiver = self._dice.sample(names, 2)
        self.world.network.clogged[sender, receiver] = self.world.time + self._dice.below(self.plan.away_max)

    def _narrow(self) -> None:
        """One node's links carry few bytes in a second for a while."""
        network, node = self.world.network, self._anyone()
        names = [name for name in (*self.world.nodes, *self.world.endpoints) if name != node.name]
        links = [link for name in names for link in ((node.name, name), (name, node.name))]
        network.narrow |= dict.fromkeys(links, self._dice.spread(NARROWEST, 1_000_000))
        self.world.after(1 + self._dice.below(self.plan.away_max), self._widen, links)

    def _widen(self, links: Sequence[tuple[str, str]]) -> None:
        for link in links:
            self.world.network.narrow.pop(link, None)

    def _lose_kind(self) -> None:
        """Messages of some kinds are lost for a while, from one sender, to one receiver or everywhere: the
        small scope of ByzzFuzz (OOPSLA 2023), where one lost phase matters more than much noise."""
        dice, network = self._dice, self.world.network
        members: list[str | None] = [None, *self.world.member_names]
        for _ in range(1 + dice.below(4)):
            kind = dice.pick(RAFT_LOSABLE if self.world.mode is Mode.RAFT else LOSABLE)
            rule = network.when(kind=kind, sender=dice.pick(members), receiver=dice.pick(members)).drop()
            self.world.after(1 + dice.below(self.plan.away_max), network.forget, rule)

    def _heal(self) -> None:
        self.world.network.cuts.clear()

    def _wall_jump(self) -> None:
        """Mostly within the drift bound, sometimes far beyond it (P16)."""
        node = self._anyone()
        far = self._dice.pick((SECOND, SECOND, SECOND, 3_600 * SECOND))
        node.clock.skew = self._dice.between(-far, far)

    def _client_restart(self) -> None:
        self._dice.pick(self._gateways).restart()

    def _disk_lost(self) -> None:
        node = self._loser()
        if node is None:
            return
        if node.up:
            node.crash()
        node.lose_disk()
        self._back_later(node)

    def _byte_flipped(self) -> None:
        """A byte of one member's ledger flips while it runs. It is read sooner or later: the member starts
        anew meanwhile, or serves what is damaged."""
        node = self._loser()
        if node is not None and node.disk.damage.flip():
            probe(f"disk.byte_flipped_{self._damaged()}")
            self.world.after(1 + self._dice.below(self.plan.away_max), self._crash_and_back, node)

    def _write_misdirected(self) -> None:
        """A write of one member's ledger lands elsewhere while it runs; its next process finds a shorter
        log."""
        node = self._loser()
        if node is not None:
            node.disk.misdirect()
            probe(f"disk.write_misdirected_{self._damaged()}")
            self.world.after(1 + self._dice.below(self.plan.away_max), self._crash_and_back, node)

    def _damaged(self) -> str:
        return "in_one" if self.lost == 1 else "in_two"

    def _crash_and_back(self, node: Node) -> None:
        if node.up:
            node.crash()
        self._back_later(node)

    def _loser(self) -> Node | None:
        """A random member whose ledger may be lost now, which is counted; None if that would be one too
        many."""
        node = self._anyone()
        if node.index is None or not node.honest or not node.disk.voting or self.lost >= self._spare:
            return None
        if node.disk.misdirected or (self.world.settings.spares and not self._bears_another()):
            return None
        self.lost += 1
        return node

    def _bears_another(self) -> bool:
        """Whether the members, also after one more has left, tolerate one more member without a vote."""
        world = self.world
        fewer = world.members - 1
        faulty = sum(
            not (node := world.nodes[name]).honest or not node.disk.voting for name in world.member_names
        )
        if not fewer:
            return False
        return faulty < disks_tolerated(fewer, world.mode)

    def _take_over(self) -> None:
        """A node's process sleeps, another one takes its place, and the first wakes (R10)."""
        stale = take_over(self.world, self._anyone())
        if stale is not None:
            self.world.after(1 + self._dice.below(self.plan.away_max), stale.resume)
