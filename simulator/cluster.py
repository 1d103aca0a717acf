"""Assembles a simulated cluster: real hosts, doors, cores, application and collectors over virtual ports.
This module and world.py are the only places where the simulator's objects are connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from dtvn.events.asking import ASKING, Member, MemberJudge
from dtvn.events.rules import Limits
from dtvn.machine import TicketApplication
from dtvn.machine.keyring import KeyRing
from dtvn.overlay.tree import Tree
from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol import canonical, consensus
from dtvn.protocol.consensus import EPOCH, Learner, RaftReplica, Replica, VotingCore
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord, Install, Record
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from dtvn.protocol.genesis import Genesis, first_sequence
from dtvn.protocol.host import NOBODY, Fanout, Host
from dtvn.protocol.host.greetings import Greetings
from dtvn.protocol.host.ports import Gap, JournalFenced, LedgerTail
from dtvn.protocol.wire import FrameSigner, one_in_64
from simulator import relays
from simulator.checkers import Checker, Durability, History, Linearizable, all_checkers
from simulator.checkers.archives import Archives
from simulator.checkers.epoch_changes import EpochChanges
from simulator.checkers.no_wasted_verification import WatchedDoor
from simulator.clock import NodeClock
from simulator.disk import VirtualDisk
from simulator.gateway import Gateway
from simulator.node import TWIN, Node
from simulator.scheme import Keyring
from simulator.self_messages import LiarsSelfMessageGuard
from simulator.world import LEARNER, OPERATORS_NUMBER, Settings, World, reader_principal

OTHER_LIMITS = Limits(id_characters=1)
"""Those of members with unlike rules: they refuse events that others accept."""


OF_RELAYS = Fanout(2, lambda _peer: True, tuple)
"""A relay pushes to two followers; others hear announcements, and ask for entries."""


class ClusterKeys:
    """wire.Keys of the world, which knows every epoch: used by checkers, liars and gateways."""

    def __init__(self, world: World) -> None:
        self._epochs = world.epochs

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        found = self._epochs.get(epoch)
        return found.members[index].public_key if found and 0 <= index < len(found.members) else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return None


class WatchedJournal:
    """The node's disk as one process has it open (R10); notifies the world after each write."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk: VirtualDisk = node.disk
        self._disk.incarnation += 1
        self._held = self._disk.incarnation
        self._member = node.index is not None

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """See ports.Journal."""
        self._fence()
        self._disk.append(records, durable=durable, member=self._member)
        self._node.wrote(records)
        self._disk.after_write()

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal."""
        self._fence()
        self._disk.materialise(changes, sequence, timestamp)

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        self._fence()
        self._disk.install(install)
        self._node.wrote([install.checkpoint])
        self._disk.after_write()

    def _fence(self) -> None:
        if self._held != self._disk.incarnation:
            raise JournalFenced("another process has this disk")

    def load(self) -> LedgerTail:
        """See ports.Journal."""
        return msgspec.structs.replace(
            self._disk.load(), continued=self._node.continued, incarnation=self._disk.incarnation
        )

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """See ports.Journal."""
        self._node.has_read()
        return self._disk.entries(first, last, bytes_max)

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """See ports.Journal."""
        self._node.has_read()
        return self._disk.checkpoint_from(sequence)

    def gap(self, below: int) -> Gap:
        """See ports.Journal."""
        return self._disk.gap(below)

    def fill(self, records: Sequence[EntryRecord]) -> None:
        """See ports.Journal."""
        self._fence()
        self._disk.fill(records)


class Cluster:
    """Members r0, r1, ...; learners; gateways; and the checkers that observe them."""

    def __init__(
        self,
        seed: int | str,
        settings: Settings,
        genesis_of: Callable[[Settings, Keyring], Genesis] | None = None,
    ) -> None:
        """`genesis_of`: see World."""
        world = self.world = World(seed, settings, genesis_of)
        self.keys = ClusterKeys(world)
        self.members_linked = False
        for index, name in enumerate(world.member_names):
            world.add_node(name, index).build = self.build
        for number in range(settings.learners):
            world.add_node(f"{LEARNER}-{number}", None).build = self.build
        for name in relays.names(settings):
            node = world.add_node(name, None)
            node.build = self.build
            node.upward = relays.links_of(name, settings)[1]
            if relays.lies(name, settings):
                node.honest = False
                dice = world.dice.fork(f"lies of {name}")
                node.send_hook = relays.LyingRelay(settings.relay_lies, world.member_names, dice, world.clock)
        for number in range(settings.spares):
            world.add_node(f"n{number}", None).build = self.build
        self.gateways = [self._gateway(number) for number in range(settings.gateways)]
        self.operator = self._gateway(OPERATORS_NUMBER) if settings.spares else None
        self.history = History(world, self.keys)
        self.durability = Durability(world, self.history)
        self.linearizable = Linearizable(world)
        self.linearizable.watch(self.gateways)
        self.checkers = all_checkers(world, self.keys, self.history, self.durability)
        if not settings.beyond:
            self.checkers.append(self.linearizable)
        if settings.archives:
            self.checkers.append(Archives(world))
        for checker in self.checkers:
            if isinstance(checker, EpochChanges):
                checker.gateways += [*self.gateways, *([self.operator] if self.operator else [])]
        world.observers.extend(self.checkers)
        for gateway in self.gateways:
            gateway.observers += self.checkers
        if self.operator is not None:
            self.operator.observers.append(self.durability)

    def add_checkers(self, *checkers: Checker) -> None:
        """Checkers that only some worlds have. They observe nodes."""
        self.checkers += checkers
        self.world.observers.add(*checkers)

    def start(self) -> None:
        """Start every node."""
        for node in self.world.nodes.values():
            self.world.start(node)

    def finish(self, *, all_caught_up: bool = True) -> None:
        """Ask every checker its last question; without `all_caught_up` only those that do not require it."""
        for checker in self.checkers:
            if all_caught_up or not checker.of_all:
                checker.finish()

    def ends(self) -> dict[str, int]:
        """Last sequence of the durable log of each honest node that is up."""
        nodes = self.world.nodes.values()
        return {node.name: len(node.disk.log) for node in nodes if node.honest and node.up}

    def settled(self) -> bool:
        """True if every honest node that is up has the whole log."""
        highest = self.history.highest
        return all(
            len(node.disk.log) == highest for node in self.world.nodes.values() if node.honest and node.up
        )

    def add_twin(self, name: str) -> Node:
        """A second node with the key of member `name` and a disk of its own (Twins, OPODIS 2021)."""
        world = self.world
        node = world.add_node(name + TWIN, world.nodes[name].index)
        node.build = self.build
        world.twins[name] = node.name
        return node

    def _gateway(self, number: int) -> Gateway:
        world = self.world
        dice = world.dice.fork(f"client {number}")
        skew = dice.between(-world.settings.skew_max, world.settings.skew_max)
        clock = NodeClock(world.clock, skew=skew)
        return Gateway(world, number, keyring=world.keyring, keys=self.keys, clock=clock)

    def build(self, node: Node) -> Host:
        """Builds everything above the ports, as in a real node; `node` is an empty machine with a disk."""
        world = self.world
        scheme = world.keyring.scheme
        application = node.carried or TicketApplication(world.genesis, world.cluster, verify=scheme.verify)
        node.carried = None
        membership = node.membership = self._lives_in(node)
        if node.honest:
            self.world.enter(membership)  # a power cut may be between the record of an epoch and its process
        node.index = node.place(membership)
        member = None if node.index is None else node.member_id
        settings, config = world.settings, self._config(member, membership)
        secret = world.keyring.pair(
            reader_principal(node.member_id, world.settings) if member is None else key_in(node, membership)
        )[1]
        keys = KeyRing(application, membership)
        signer = FrameSigner(world.cluster, secret, keys, scheme=scheme)
        core: Learner | VotingCore
        if member is None:
            core = self._learner(node, config, signer, application)
        else:
            core = self._voting_core(node, config, signer, application)
        node.inherited = ()
        node.look, node.core = core.snapshot, core
        door = self._door(core, node.name, keys)
        host: Host

        def answer_query(query: m.Query) -> m.Answer:
            if query.what == m.READ_INDEX:  # a node that is no member, as Inspector and learners say
                return m.Answer(query.number, "unknown_query", "")
            status = {"view": core.snapshot().view, "sequence": host.executed, "epoch": config.epoch}
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
            epoch=config.epoch,
            epoch_catch_up=self._epoch_catch_up(node, config) if settings.epoch_catch_up else None,
            judge=self._judge(node, config, secret, application),
            fanout=OF_RELAYS if node.name.startswith(relays.RELAY) else NOBODY,
            archive_from=first_sequence(world.genesis) if settings.archives and member else None,
            greetings=self._greetings(node) if member and isinstance(core, RaftReplica) else None,
        )
        if node.host is not None:  # the same process goes on
            host.clock.adopt(node.host.clock)
            if member is None:
                host.heads.adopt(node.host.heads)
        return host

    def _voting_core(
        self, node: Node, config: configuration.Config, signer: FrameSigner, application: TicketApplication
    ) -> VotingCore:
        # The real ledger records that it replaces a lost one, whichever core writes it. Here that record
        # ends with the first write of a member's core, which must keep it itself. A learner's core keeps
        # none, and a node that is not in genesis begins as a learner.
        voting = node.disk.voting or node.disk.served_member
        core = consensus.core(config, signer, application, voting, node.inherited)
        if not node.honest and isinstance(core, Replica):
            guard = LiarsSelfMessageGuard(core.state, core.own_vote, node)
            core.self_messages = core.pinging.self_messages = guard
        return core

    def _greetings(self, node: Node) -> Greetings:
        """Those of the process that the node runs; another epoch begins with new ones, as in a real node."""
        before = None if node.host is None else node.host.greetings
        if before is not None and node.host is not None and node.host.epoch == node.membership.epoch:
            return before
        return Greetings(f"{node.name}.{node.boots}".encode()[-16:])

    def _learner(
        self, node: Node, config: configuration.Config, signer: FrameSigner, application: TicketApplication
    ) -> Learner:
        """The platform's learner keeps the log; the others take states, and some are linked to relays."""
        now, up = node.clock.now().monotonic, list(range(config.n))
        if node.name in relays.names(self.world.settings):
            up = self._links_of(node, config.n)
        sources = Tree(up, now, relays_from=config.n, relays_first=bool(node.upward))
        archive = node.name.startswith(f"{LEARNER}-")
        core = Learner(config, signer, application, sources, archive=archive)
        core.links(up, now)
        return core

    def _links_of(self, node: Node, members: int) -> list[int]:
        """The indexes of the peers that a relay or follower is linked to."""
        linked = relays.links_of(node.name, self.world.settings)[0]
        upward = range(members, members + len(node.upward))
        return [*(range(members) if self.members_linked else linked), *upward]

    def link_members(self) -> None:
        """Link all relays and followers to all members from now on, processes that lost their node too."""
        self.members_linked = True
        linked = relays.names(self.world.settings)
        for node in self.world.nodes.values():
            if node.name in linked and isinstance(node.core, Learner) and node.up:
                now = node.clock.now().monotonic
                node.core.links(self._links_of(node, node.core.config.n), now)
                node.wake(self.world.time)

    def _config(self, member: str | None, membership: Membership) -> configuration.Config:
        """As in a real node, with the settings of this world."""
        world, settings = self.world, self.world.settings
        config = configuration.build(world.genesis, world.cluster, member, membership)
        return msgspec.structs.replace(
            config,
            transfer_lag=settings.transfer_lag or config.transfer_lag,
            resend_bytes_max=settings.resend_bytes_max or config.resend_bytes_max,
            first_message_timeout=settings.first_message_timeouts * config.timeout_base,
        )

    def _judge(
        self, node: Node, config: configuration.Config, secret: bytes, application: TicketApplication
    ) -> MemberJudge | None:
        """What judges agent events, as in a real member; None for learners."""
        world, principals = self.world, application.principals
        if node.index is None:
            return None
        member = Member(world.cluster, config.epoch, node.index, secret, world.keyring.scheme)

        def may_ask(wire: str) -> bool:
            return any(principals.holds(principals.who(wire), capability) for capability in ASKING)

        unlike = node.index < world.settings.unlike_rules
        return MemberJudge(member, may_ask, OTHER_LIMITS if unlike else None)

    def _door(self, core: Learner | VotingCore, name: str, keys: KeyRing) -> WatchedDoor:
        world = self.world
        door = WatchedDoor(
            world.cluster,
            keys,
            world.frame_cache,
            scheme=world.keyring.scheme,
            statements_max=core.config.statements_max,
            sampled=one_in_64(0) if isinstance(core, Learner) else None,
        )
        door.core, door.name = core, name
        return door

    def _epoch_catch_up(self, node: Node, config: configuration.Config) -> EpochCatchUp | None:
        """Takes a node over epochs that it slept through; None for learners, which read every entry."""
        if node.name.startswith(f"{LEARNER}-"):
            return None
        return EpochCatchUp(
            node.membership,
            partial(EpochChain, self.world.genesis, scheme=self.world.keyring.scheme),
            far=config.transfer_lag,
            patience=config.transfer_patience,
        )

    def _lives_in(self, node: Node) -> Membership:
        """The membership of the epoch that a node's ledger names."""
        kept = node.disk.states.get(EPOCH)
        if kept is None:
            return self.world.epochs[0]
        return canonical.decode(Membership, kept.value)


def key_in(node: Node, membership: Membership) -> str:
    """Name of the key pair with which a member of this epoch signs."""
    place, pair = node.place(membership), node.world.keyring.pair
    key = b"" if place is None else membership.members[place].public_key
    return next(name for name in node.keys if pair(name)[0] == key)
