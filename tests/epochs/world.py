"""A small simulated cluster whose members join and leave, and one client that sends everything to every
member. Hosts, disks, clocks, links and checkers are the simulator's; delays and losses follow from a seed.
This file adds the verbs of these tests: order an operation, change the membership, wipe a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from dtvn.machine import Barrier, Command, OpenSession, Reconfigure, build
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import membership as ms
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.host import Host
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.disk import VOTES_AGAIN
from simulator.membership_changes import liveness_proof
from simulator.network import LinkQuality, Network, kind_of_frame
from simulator.node import FREE, Node
from simulator.observers import Observer, ObserverList
from simulator.scheme import Keyring
from simulator.world import Settings
from tests.epochs.client import CLIENT, Client

__all__ = ["MILLISECOND", "SECOND", "Node", "World", "barrier"]

START = 1_700_000_000_000_000  # wall clock at the beginning, Unix microseconds


class Links(Network):
    """Loses the frames of the nodes in `cut`, those to them, and those of the kinds in `hold`."""

    cut: set[str]
    hold: tuple[type[Any], ...] = ()

    def arrivals(self, sender: str, receiver: str, frame: bytes, departs: int) -> list[int]:
        if {sender, receiver} & self.cut or kind_of_frame(frame) in self.hold:
            return []
        return super().arrivals(sender, receiver, frame, departs)


class World(Observer):
    """Founding members n0, n1, ..., machines that are added later, one client; all follows from the seed."""

    checked = True
    """Whether the simulator's checkers observe it."""

    def __init__(
        self,
        seed: int | str,
        *,
        members: int = 4,
        interval: int = 10,
        far: int = 1_000,
        mode: Mode = Mode.PBFT,
    ) -> None:
        """`far`: sequences behind from which on a state is fetched instead of the log."""
        self.seed = seed
        settings = Settings(
            members=members,
            mode=mode,
            learners=0,
            gateways=0,
            quality=LinkQuality(latency_min=MILLISECOND // 10, latency_max=5 * MILLISECOND, reorder=1.0),
            costs=FREE,
            skew_max=0,
            rate_ppm_max=0,
            parameters=g.Parameters(version=NEWEST, checkpoint_interval=interval),
            transfer_lag=far,
            epoch_catch_up=True,
        )
        self.simulated = Cluster(f"epochs {seed}", settings, self.found)
        world = self.world = self.simulated.world
        self.keys = self.simulated.keys
        self.dice: Dice = world.dice.fork("tests")
        self.keyring, self.genesis, self.cluster = world.keyring, world.genesis, world.cluster
        self.boxes: dict[str, Node] = world.nodes
        self.network = Links(world.dice.fork("links"), settings.quality)
        self.network.cut = set()
        world.network = self.network
        self.noted: dict[str, list[Note]] = {}
        """By node: what it noted besides executed batches."""
        self.entries: dict[int, bytes] = {}
        """Sequence -> entry hash, as the first that executed it has it."""
        self.epoch_of: dict[int, int] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.executed_at: dict[bytes, int] = {}
        """Request digest -> the one sequence where it was executed."""
        self._keys_used: dict[str, bytes] = {}
        if not self.checked:
            world.observers = ObserverList()
        world.observers.add(self)
        self.client = Client(self)
        world.dial(self.client)
        for node in list(self.boxes.values()):
            self.begin(node)

    def found(self, settings: Settings, keyring: Keyring) -> g.Genesis:
        """The genesis of the founding members."""
        everything = tuple(g.Grant("*", c) for c in g.CAPABILITIES)
        return g.Genesis(
            name="epochs",
            created_at=1,
            members=tuple(member_of(keyring, f"n{i}") for i in range(settings.members)),
            principals=(g.Principal("gateway", keyring.pair("gateway")[0], everything),),
            parameters=settings.parameters,
            demo=True,
        )

    @property
    def time(self) -> int:
        return self.world.time

    @property
    def wall(self) -> int:
        return START + self.time // 1_000

    @property
    def now(self) -> ms.Membership:
        """The newest epoch that a node entered."""
        return self.world.present

    # --- machines ----------------------------------------------------------------------------------

    def member(self, name: str, key: str = "") -> g.Member:
        return member_of(self.keyring, name, key)

    def add_box(self, name: str) -> Node:
        """A new machine, which runs."""
        node = self.world.add_node(name, None)
        self.begin(node)
        return node

    def begin(self, node: Node) -> None:
        """A machine's first start."""
        node.build = self._build
        self.start(node)

    def start(self, node: Node) -> None:
        self.world.start(node)

    def wipe(self, node: Node) -> None:
        """Another disk, without former keys; its node follows until it may vote again (R11)."""
        node.crash()
        node.lose_disk()
        place = node.place(self.now)
        if place is not None:
            present = self.now.members[place].public_key
            while self.keyring.pair(node.keys[0])[0] != present:
                del node.keys[0]
        self.start(node)

    def _build(self, node: Node) -> Host:
        """As in the simulator; besides, a key that has never voted may vote, whatever became of the disk."""
        kept = node.disk.states.get(EPOCH)
        present = ms.founding(self.genesis) if kept is None else canonical.decode(ms.Membership, kept.value)
        place = node.place(present)
        if place is not None:
            key = present.members[place].public_key
            if self._keys_used.setdefault(node.name, key) != key:
                self._keys_used[node.name] = key
                node.disk.append([VOTES_AGAIN])
        return self.simulated.build(node)

    # --- time and network --------------------------------------------------------------------------

    @property
    def cut(self) -> set[str]:
        """Nodes that neither hear nor are heard."""
        return self.network.cut

    @cut.setter
    def cut(self, names: set[str]) -> None:
        self.network.cut = names

    def hold(self, *kinds: type[Any]) -> None:
        """Lose all messages of exactly these kinds from now on."""
        self.network.hold = kinds

    def links(self, **quality: Any) -> None:
        """Links with another loss or latency."""
        self.network.quality = replace(self.network.quality, **quality)

    def at(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        self.world.after(delay, action, *arguments)

    def delay(self) -> int:
        return self.dice.between(MILLISECOND // 10, self.network.quality.latency_max)

    def say_as_client(self, frame: bytes) -> None:
        for node in list(self.boxes.values()):
            if node.up and node.index is not None:
                self.world.transmit(CLIENT, node.name, frame, self.time)

    def run(self, duration: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as `until` says so."""
        return self.world.run_for(duration, done=until)

    # --- what people do ----------------------------------------------------------------------------

    def do(self, command: Command, ticket: str = "", *, nonce: bytes = b"", patience: int = 60) -> str:
        """Order one operation and wait for its outcome code."""
        digest = self.client.ask(command, ticket, nonce=nonce)
        answered = self.run(patience * SECOND, lambda: digest in self.client.done)
        assert answered, f"seed {self.seed}: {command} was not answered in {patience} s"
        return self.client.code(digest)

    def operation(self, command: Command, ticket: str = "", *, nonce: bytes = b"") -> m.Operation:
        entry = self.now.members[0].id
        until = self.wall + 300_000_000
        return build(command, ticket=ticket, actor="anna", entry=entry, valid_until=until, nonce=nonce)

    def open_session(self) -> None:
        digest = self.client.ask(OpenSession(), nonce=b"open")
        assert self.run(60 * SECOND, lambda: digest in self.client.done)
        sequence = self.client.done[digest][0]
        self.client.session = (sequence, 0)

    def change(self, *, leaves: str = "", joins: Iterable[g.Member] = (), **more: Any) -> Reconfigure:
        """The command that changes the membership, with a liveness proof of each member that runs."""
        newcomers = tuple(joins)
        names = {member.id for member in self.now.members} - {leaves} | {n.id for n in newcomers}
        living = [node for name in sorted(names - self.cut) if (node := self.boxes.get(name)) and node.up]
        alive = tuple(liveness_proof(self.world, node) for node in living)
        return Reconfigure(
            ms.Change(epoch=self.now.epoch, leaves=leaves, joins=newcomers, alive=alive, **more)
        )

    def reconfigure(self, **wanted: Any) -> None:
        """Change the membership, and wait until a node lives in the next epoch."""
        before = self.now.epoch
        for _attempt in range(5):
            code = self.do(self.change(**wanted))
            if code != "not_ready":
                break
            self.run(4 * SECOND)  # who was down or behind comes back
        assert code == "ok", f"seed {self.seed}: {code}"
        assert self.run(60 * SECOND, lambda: self.now.epoch > before), f"seed {self.seed}: no next epoch"

    def settled(self) -> bool:
        """Every living member of the newest epoch lives in it, and has the whole log."""
        last = max(self.entries, default=0)
        members = [self.boxes[member.id] for member in self.now.members]
        return all(node.up and node.membership == self.now and len(node.disk.log) == last for node in members)

    # --- safety ------------------------------------------------------------------------------------

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """No node executes another entry, an entry of another epoch, or a request twice (P18)."""
        if isinstance(note, Note):
            self.noted.setdefault(node.name, []).append(note)
            return
        sequence = note.entry.sequence
        known = self.entries.setdefault(sequence, note.entry_hash)
        assert known == note.entry_hash, f"seed {self.seed}: a fork at {sequence}, {node.name}"
        self.epoch_of[sequence] = note.entry.epoch
        following = self.world.epochs.get(note.entry.epoch + 1)
        assert following is None or sequence <= following.after, f"seed {self.seed}: {sequence} is void"
        for bundle, _first, _outcomes in note.bundles:
            digest = m.bundle_digest(canonical.encode(bundle))
            place = self.executed_at.setdefault(digest, sequence)
            assert place == sequence, f"seed {self.seed}: one request at {place} and {sequence}"

    def check(self) -> None:
        """What was acknowledged is in the log, equal logs have equal states, equal epochs equal members; no
        node stopped for a contradiction."""
        for digest, sequence in self.acknowledged.items():
            assert self.executed_at.get(digest) == sequence, f"seed {self.seed}: lost"
        roots: dict[int, bytes] = {}
        for node in self.boxes.values():
            assert not node.halted, f"seed {self.seed}: {node.name} {node.halted}"
            if node.host is not None:
                epoch = node.membership.epoch
                assert node.membership == self.world.epochs[epoch], f"seed {self.seed}: epoch {epoch} twice"
                length, root = len(node.disk.log), node.host.application.root()
                assert roots.setdefault(length, root) == root, f"seed {self.seed}: states differ at {length}"


def member_of(keyring: Keyring, name: str, key: str = "") -> g.Member:
    return g.Member(name, keyring.pair(key or name)[0], "host", 1 + len(name))


def barrier(world: World) -> str:
    return world.do(Barrier())
