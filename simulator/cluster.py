"""Puts a simulated cluster together: real hosts, doors, cores, application and collectors over virtual
ports. Together with world.py the only place where the simulator's objects meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from simulator.adversary.client import RogueClient
from simulator.checkers import Durability, History, Linearizable, all_checkers
from simulator.checkers.economy import ThriftyDoor
from simulator.clock import NodeClock
from simulator.disk import VirtualDisk
from simulator.gateway import Gateway
from simulator.node import Node
from simulator.world import Settings, World
from tickets.machine import TicketApplication
from validators.consensus import config as configuration
from validators.consensus import messages as m
from validators.consensus.application import Application
from validators.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord, Install, Record
from validators.consensus.learner import Learner
from validators.consensus.replica import Replica
from validators.genesis import Genesis
from validators.host import Host
from validators.ports import Recovery
from validators.wire import FrameSigner

__all__ = ["Cluster", "ClusterKeys"]


class ClusterKeys:
    """wire.Keys: members as genesis lists them, principals as the ordered log does (R15)."""

    def __init__(self, genesis: Genesis, application: Application | None) -> None:
        self._genesis = genesis
        self._application = application

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        if epoch != 0 or not 0 <= index < len(self._genesis.members):
            return None
        return self._genesis.members[index].public_key

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return None if self._application is None else self._application.principal_key(name)


class WatchedJournal:
    """The node's disk, with the world told after each write."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk: VirtualDisk = node.disk

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """See ports.Journal."""
        self._disk.append(records, durable=durable)
        self._node.wrote(records)
        self._disk.after_write()

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal."""
        self._disk.materialise(changes, sequence, timestamp)

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        self._disk.install(install)
        self._node.wrote([install.checkpoint])
        self._disk.after_write()

    def load(self) -> Recovery:
        """See ports.Journal."""
        return self._disk.load()

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """See ports.Journal."""
        return self._disk.entries(first, last, bytes_max)

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """See ports.Journal."""
        return self._disk.checkpoint_from(sequence)


class Cluster:
    """Members r0, r1, ...; learners; gateways; and the checkers that watch them."""

    def __init__(self, seed: int | str, settings: Settings) -> None:
        world = self.world = World(seed, settings)
        self.keys = ClusterKeys(world.genesis, None)
        for index, name in enumerate(world.member_names):
            world.add_node(name, index).build = self.build
        for number in range(settings.learners):
            world.add_node(f"learner-{number}", None).build = self.build
        self.gateways = [self._gateway(number) for number in range(settings.gateways)]
        self.history = History(world, self.keys)
        self.durability = Durability(world, self.history)
        self.linearizable = Linearizable(world)
        self.linearizable.watch(self.gateways)
        self.checkers = all_checkers(world, self.keys, self.history, self.durability)
        self.checkers.append(self.linearizable)
        world.audience.extend(self.checkers)
        for gateway in self.gateways:
            gateway.observers += self.checkers

    def start(self) -> None:
        """Switch every node on."""
        for node in self.world.nodes.values():
            self.world.start(node)

    def finish(self) -> None:
        """Ask every checker its last question."""
        for checker in self.checkers:
            checker.finish()

    def ends(self) -> dict[str, int]:
        """Where the durable log of each honest node that is up ends."""
        nodes = self.world.nodes.values()
        return {node.name: len(node.disk.log) for node in nodes if node.honest and node.up}

    def settled(self) -> bool:
        """True when everybody honest who is up has the whole log."""
        return set(self.ends().values()) == {self.history.highest}

    def add_twin(self, name: str) -> Node:
        """A second node with the key of member `name` and a disk of its own (Twins, OPODIS 2021)."""
        world = self.world
        node = world.add_node(f"{name}~twin", world.nodes[name].index)
        node.build = self.build
        world.twins[name] = node.name
        return node

    def _gateway(self, number: int) -> Gateway:
        world = self.world
        dice = world.dice.fork(f"client {number}")
        skew = dice.between(-world.settings.skew_max, world.settings.skew_max)
        clock = NodeClock(world.clock, skew=skew)
        return Gateway(world, number, keyring=world.keyring, keys=self.keys, clock=clock)

    def add_rogue(self) -> RogueClient:
        """A lying client process."""
        world = self.world
        rogue = RogueClient(
            world,
            "rogue-00",
            "rogue",
            keyring=world.keyring,
            keys=self.keys,
            dice=world.dice.fork("rogue"),
        )
        world.dial(rogue)
        self.linearizable.blind = True
        return rogue

    def build(self, node: Node) -> Host:
        """Everything above the ports, as in a real node; `node` is an empty machine with a disk."""
        world = self.world
        application = TicketApplication(world.genesis, world.cluster)
        keys = ClusterKeys(world.genesis, application)
        member = None if node.index is None else world.member_names[node.index]
        config = configuration.build(world.genesis, world.cluster, member)
        if world.settings.transfer_lag:
            config = msgspec.structs.replace(config, transfer_lag=world.settings.transfer_lag)
        secret = world.keyring.pair(member or "learner")[1]
        signer = FrameSigner(world.cluster, secret, keys, scheme=world.keyring.scheme)
        core: Learner | Replica
        if member is None:
            core = Learner(config, signer, application)
        else:
            core = Replica(config, signer, application, voting=node.disk.voting or not node.disk.empty)
        node.look, node.core = core.snapshot, core
        door = ThriftyDoor(
            world.cluster, keys, scheme=world.keyring.scheme, statements_max=config.statements_max
        )
        door.core, door.name = core, node.name
        host: Host

        def answer_query(query: m.Query) -> m.Answer:
            status = {"view": core.snapshot().view, "sequence": host.executed}
            return m.Answer(query.number, "", msgspec.json.encode(status).decode())

        host = Host(
            core=core,
            application=application,
            door=door,
            journal=WatchedJournal(node),
            transport=node,
            clock=node.clock,
            signer=signer,
            watcher=node,
            answer_query=answer_query,
        )
        return host
