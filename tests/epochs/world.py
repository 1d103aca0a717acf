"""A small world whose members come and go: real hosts, cores, doors, state machine and virtual disks.

Time, delays and losses follow from a seed. A node is known by its name and key; who hears it and under which
index is the receiver's affair, as with real links. Safety is looked at after every turn.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from dtvn.machine import Barrier, Command, OpenSession, Reconfigure, TicketApplication, build
from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol import canonical, quorum
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import Learner, Replica
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import membership as ms
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ALL, Executed, Note, Now, ReplyTo, Send
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from dtvn.protocol.host import EpochOver, Host, Installed, TurnLost
from dtvn.protocol.wire import Door, FrameSigner, decode_envelope
from simulator.chance import Dice
from simulator.disk import VOTES_AGAIN, VirtualDisk
from simulator.scheme import Keyring

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
START = 1_700_000_000_000_000  # wall clock at the beginning, Unix microseconds
CLIENT = b"client00"


class Keys:
    """wire.Keys out of what a node has executed."""

    def __init__(self, application: TicketApplication, present: ms.Membership | None = None) -> None:
        self._application = application
        self._present = present

    def member_key(self, epoch: int, index: int) -> bytes | None:
        if self._present is not None and epoch == self._present.epoch:
            members = self._present.members
            return members[index].public_key if index < len(members) else None
        return self._application.member_key(epoch, index)

    def principal_key(self, name: str) -> bytes | None:
        return self._application.principal_key(name)


class Box:
    """One machine: key, disk, and what runs on it."""

    def __init__(self, world: World, name: str, key: str) -> None:
        self.world = world
        self.name = name
        self.key = key  # name of its key pair; another one after a rotation
        self.next_key = ""
        self.disk = VirtualDisk(world.dice.fork(f"disk {name}"))
        self.host: Host | None = None
        self.core: Any = None
        self.application: TicketApplication
        self.membership: ms.Membership
        self.inbox: deque[Inbound] = deque()
        self.notes: list[Note] = []
        self.wakes_at = -1

    @property
    def public_key(self) -> bytes:
        return self.world.keyring.pair(self.key)[0]

    @property
    def link_keys(self) -> set[bytes]:
        """Keys by which others may know it at its links."""
        ready = {self.world.keyring.pair(self.next_key)[0]} if self.next_key else set()
        return {self.public_key} | ready

    @property
    def index(self) -> int | None:
        """Its place in the membership that it knows, by name and key."""
        found = self.membership.find(self.name)
        if found is None or self.membership.members[found].public_key != self.public_key:
            return None
        return found

    def boot(self, inherited: tuple[Any, ...] = ()) -> None:
        world = self.world
        kept = self.disk.states.get(EPOCH)
        self.membership = (
            ms.founding(world.genesis) if kept is None else canonical.decode(ms.Membership, kept.value)
        )
        if self.index is None and self.next_key:
            before, self.key = self.key, self.next_key
            self.next_key = ""
            if self.index is None:
                self.key, self.next_key = before, self.key
            else:  # this key has never voted
                self.disk.append([VOTES_AGAIN])
        scheme = world.keyring.scheme
        self.application = TicketApplication(world.genesis, world.cluster, verify=scheme.verify)
        keys = Keys(self.application, self.membership)
        signer = FrameSigner(world.cluster, world.keyring.pair(self.key)[1], keys, scheme=scheme)
        name = None if self.index is None else self.name
        config = configuration.build(world.genesis, world.cluster, name, self.membership)
        config = replace(config, transfer_lag=world.far)
        if name is None:
            self.core = Learner(config, signer, self.application)
        else:
            self.core = Replica(config, signer, self.application, self.disk.voting, inherited)
        self.host = Host(
            core=self.core,
            application=self.application,
            door=Door(world.cluster, keys, scheme=scheme, statements_max=config.statements_max),
            journal=self.disk,
            transport=self,
            clock=self,
            signer=signer,
            watcher=self,
            answer_query=lambda query: m.Answer(query.number, "", "{}"),
            epoch=config.epoch,
            epoch_catch_up=EpochCatchUp(
                self.membership,
                partial(EpochChain, world.genesis, scheme=scheme),
                name=self.name,
                keys=sorted(self.link_keys),
                far=world.far,
                patience=config.transfer_patience,
            ),
        )
        self._guard(self.host.start)
        self._rest()

    def crash(self) -> None:
        self.host = None
        self.inbox.clear()
        self.disk.crash()

    def wipe(self) -> None:
        """Another disk; its node follows until it may vote again (R11)."""
        self.crash()
        self.disk = VirtualDisk(self.world.dice.fork(f"another disk {self.name}"), voting=False)
        self.boot()

    def alive(self) -> ms.LivenessProof:
        """Its signed liveness proof (R36), under the key that it will have."""
        world = self.world
        key = self.next_key or self.key
        executed, timestamp = len(self.disk.log), world.wall
        data = ms.liveness_bytes(world.cluster, world.now.epoch, self.name, executed, timestamp)
        return ms.LivenessProof(
            self.name, executed, timestamp, world.keyring.scheme.sign(world.keyring.pair(key)[1], data)
        )

    # --- ports -------------------------------------------------------------------------------------

    def now(self) -> Now:
        return Now(SECOND + self.world.time, self.world.wall * 1_000)

    def receive(self, limit: int) -> Sequence[Inbound]:
        return [self.inbox.popleft() for _ in range(min(limit, len(self.inbox)))]

    def put_back(self, items: Sequence[Inbound]) -> None:
        self.inbox.extendleft(reversed(items))

    def charge(self, peer: Peer, checks: int) -> None:
        """Frames wait here in the order in which they came."""

    def send(self, send: Send) -> None:
        members = self.membership.members
        for index in range(len(members)) if send.to == ALL else (send.to,):
            if members[index].id != self.name:
                self.world.transmit(self, members[index].id, send.frame)

    def reply(self, reply: ReplyTo) -> None:
        self.world.at(self.world.delay(), self.world.client.hear, self.name, reply.frame)

    def answer(self, peer: Peer, frame: bytes) -> None:
        self.world.transmit(self, peer.name, frame)

    def notice(self, note: Executed | Note) -> None:
        if isinstance(note, Executed):
            self.world.executed(self, note)
        else:
            self.notes.append(note)

    # --- life --------------------------------------------------------------------------------------

    def peer(self, sender: Box) -> Peer | None:
        """Who a caller is to this node; None: nobody it lets in. One that slept while its key was rotated
        comes back with the key that it has ready: with the old one nobody would let it in."""
        place = self.membership.find(sender.name)
        if place is not None and self.membership.members[place].public_key in sender.link_keys:
            return Peer(sender.name, place)
        if any(
            p.public_key == sender.public_key for p in map(self.application.principals.get, self._listed())
        ):
            return Peer(sender.name, None)
        return None

    def _listed(self) -> list[str]:
        return self.application.principals.names()

    def deliver(self, sender: Box, frame: bytes) -> None:
        if self.host is None:
            return
        peer = self.peer(sender)
        if peer is not None:
            self.inbox.append(Inbound(peer, frame))
            self.wake(self.world.time)

    def wake(self, time: int) -> None:
        if self.wakes_at < 0 or time < self.wakes_at:
            self.wakes_at = time
            self.world.at(time - self.world.time, self._turn, time)

    def _turn(self, time: int) -> None:
        if self.wakes_at != time:
            return
        self.wakes_at = -1
        if self.host is None:
            return
        self._guard(self.host.turn)
        self._rest()

    def _rest(self) -> None:
        if self.host is None:
            return
        if self.inbox:
            self.wake(self.world.time)
        elif (wake := self.host.wake_at()) is not None:
            self.wake(max(wake - SECOND, self.world.time + MILLISECOND // 10))

    def _guard(self, step: Callable[[], object]) -> None:
        try:
            step()
        except TurnLost as lost:
            cause = lost.__cause__
            if isinstance(cause, Installed):
                self.host = None
                self.boot()
                return
            if not isinstance(cause, EpochOver):
                raise
            self.host = None
            self.inbox.clear()
            self.world.epochs_seen.setdefault(cause.successor.membership.epoch, cause.successor.membership)
            assert self.world.epochs_seen[cause.successor.membership.epoch] == cause.successor.membership
            self.boot(cause.successor.bundles)


class Client:
    """A gateway process in few lines: says everything to everybody, believes f + 1."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.principal = "gateway"
        self.session: tuple[int, int] | None = None
        self.number = 0
        self.waiting: dict[bytes, tuple[bytes, dict[str, Any]]] = {}
        self.done: dict[bytes, tuple[int, tuple[m.Outcome, ...] | tuple[str, ...]]] = {}

    def ask(self, command: Command, ticket: str = "", *, nonce: bytes = b"") -> bytes:
        """Sign one operation and say it until it is answered; its digest."""
        operation = self.world.operation(command, ticket, nonce=nonce)
        return self.send([operation], opening=isinstance(command, OpenSession))

    def send(self, operations: Sequence[m.Operation], *, opening: bool = False) -> bytes:
        """One bundle of operations."""
        session = (0, 0) if opening or self.session is None else self.session
        number = 0 if opening else self.number
        if not opening:
            self.number += 1
        bundle = m.Bundle(0, self.principal, CLIENT, session, number, 0, tuple(operations))
        frame = self.world.client_signer.sign(bundle)
        digest = m.bundle_digest(decode_envelope(frame)[0].body)
        self.waiting[digest] = (frame, {})
        self._say(digest)
        return digest

    def _say(self, digest: bytes) -> None:
        if digest in self.waiting:
            self.world.say_as_client(self.waiting[digest][0])
            self.world.at(300 * MILLISECOND, self._say, digest)

    def hear(self, sender: str, frame: bytes) -> None:
        """A reply; equal ones of f + 1 members of the newest epoch that somebody entered end the wait."""
        message = decode_envelope(frame)[1]
        if isinstance(message, m.Reply):
            place = (message.entry.sequence, message.first_index)
            claim = (place, message.outcomes)
        elif isinstance(message, m.Repeat):
            claim = ((message.sequence, message.first_index), message.codes)
        else:
            return
        waiting = self.waiting.get(message.request)
        if waiting is None or self.world.now.find(sender) is None:
            return
        waiting[1][sender] = claim
        places = [said[0] for said in waiting[1].values()]
        if places.count(claim[0]) >= quorum.weak_quorum(len(self.world.now.members)):
            del self.waiting[message.request]
            self.done[message.request] = (claim[0][0], claim[1])
            self.world.acknowledged[message.request] = claim[0][0]

    def code(self, digest: bytes) -> str:
        """Outcome code of an answered operation, "" while it waits."""
        if digest not in self.done:
            return ""
        first = self.done[digest][1][0]
        return first if isinstance(first, str) else first.code


class World:
    """n founding members, spare machines, one client; everything follows from the seed."""

    def __init__(self, seed: int | str, *, members: int = 4, interval: int = 10, far: int = 1_000) -> None:
        self.seed = seed
        self.far = far
        """Sequences behind from which on a state is fetched instead of the log."""
        self.dice = Dice(f"epochs {seed}")
        self.time = 0
        self.keyring = Keyring(real=False)
        everything = tuple(g.Grant("*", c) for c in g.CAPABILITIES)
        self.genesis = g.Genesis(
            name="epochs",
            created_at=1,
            members=tuple(self.member(f"n{i}") for i in range(members)),
            principals=(g.Principal("gateway", self.keyring.pair("gateway")[0], everything),),
            parameters=g.Parameters(checkpoint_interval=interval),
            demo=True,
        )
        self.cluster = g.cluster_id(self.genesis)
        self.boxes: dict[str, Box] = {}
        self.loss = 0.0
        self.slowest = 5 * MILLISECOND
        self.cut: set[str] = set()
        self.hold: tuple[type[Any], ...] = ()
        """Messages of these kinds are lost, all of them."""
        self.epochs_seen: dict[int, ms.Membership] = {0: ms.founding(self.genesis)}
        self.entries: dict[int, bytes] = {}
        """Sequence -> entry hash, as the first that executed it has it."""
        self.epoch_of: dict[int, int] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.executed_at: dict[bytes, int] = {}
        """Request digest -> the one sequence where it was executed."""
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self.client = Client(self)
        for member in self.genesis.members:
            self.add_box(member.id)

    @property
    def client_signer(self) -> FrameSigner:
        secret = self.keyring.pair("gateway")[1]
        keys = Keys(next(iter(self.boxes.values())).application)
        return FrameSigner(self.cluster, secret, keys, scheme=self.keyring.scheme)

    @property
    def wall(self) -> int:
        return START + self.time // 1_000

    @property
    def now(self) -> ms.Membership:
        """The newest epoch that anybody entered."""
        return self.epochs_seen[max(self.epochs_seen)]

    def member(self, name: str, key: str = "") -> g.Member:
        return g.Member(name, self.keyring.pair(key or name)[0], "host", 1 + len(name))

    def add_box(self, name: str) -> Box:
        box = self.boxes[name] = Box(self, name, name)
        box.boot()
        return box

    # --- time and network --------------------------------------------------------------------------

    def at(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.time + delay, self._order, action, arguments))

    def delay(self) -> int:
        return self.dice.between(MILLISECOND // 10, self.slowest)

    def transmit(self, sender: Box, receiver: str, frame: bytes) -> None:
        box = self.boxes.get(receiver)
        if self.hold and isinstance(decode_envelope(frame)[1], self.hold):
            return
        if box is None or {sender.name, receiver} & self.cut or self.dice.hit(self.loss):
            return
        self.at(self.delay(), box.deliver, sender, frame)

    def say_as_client(self, frame: bytes) -> None:
        for box in self.boxes.values():
            if box.host is not None and box.index is not None and box.name not in self.cut:
                self.at(self.delay(), self._from_client, box, frame)

    def _from_client(self, box: Box, frame: bytes) -> None:
        if box.host is not None:
            box.inbox.append(Inbound(Peer("gateway", None), frame))
            box.wake(self.time)

    def run(self, duration: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as `until` says so."""
        end = self.time + duration
        while self._queue and self._queue[0][0] <= end:
            time, _order, action, arguments = heapq.heappop(self._queue)
            self.time = time
            action(*arguments)
            if until is not None and until():
                return True
        self.time = end
        return until is not None and until()

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
        """The command that changes the membership, with the liveness proof of all that live."""
        newcomers = tuple(joins)
        names = {member.id for member in self.now.members} - {leaves} | {n.id for n in newcomers}
        living = [box for name in sorted(names) if (box := self.boxes.get(name)) and box.host is not None]
        alive = tuple(box.alive() for box in living if box.name not in self.cut)
        return Reconfigure(
            ms.Change(epoch=self.now.epoch, leaves=leaves, joins=newcomers, alive=alive, **more)
        )

    def reconfigure(self, **wanted: Any) -> None:
        """Change the membership, and wait until somebody lives in the next epoch."""
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
        return all(
            box.host is not None and box.membership == self.now and len(box.disk.log) == last
            for box in members
        )

    # --- safety ------------------------------------------------------------------------------------

    def executed(self, box: Box, note: Executed) -> None:
        """Nobody ever executes another entry, an entry of another epoch, or a request twice (PITFALLS 18)."""
        sequence = note.entry.sequence
        known = self.entries.setdefault(sequence, note.entry_hash)
        assert known == note.entry_hash, f"seed {self.seed}: a fork at {sequence}, {box.name}"
        self.epoch_of[sequence] = note.entry.epoch
        ended = [epoch for epoch in self.epochs_seen.values() if epoch.epoch == note.entry.epoch + 1]
        assert all(sequence <= epoch.after for epoch in ended), f"seed {self.seed}: {sequence} is void"
        for bundle, _first, _outcomes in note.bundles:
            digest = m.bundle_digest(canonical.encode(bundle))
            place = self.executed_at.setdefault(digest, sequence)
            assert place == sequence, f"seed {self.seed}: one request at {place} and {sequence}"

    def check(self) -> None:
        """What was acknowledged is in the log, and equal logs have equal states."""
        for digest, sequence in self.acknowledged.items():
            assert self.executed_at.get(digest) == sequence, f"seed {self.seed}: lost"
        roots: dict[int, bytes] = {}
        for box in self.boxes.values():
            if box.host is not None:
                length = len(box.disk.log)
                root = roots.setdefault(length, box.application.root())
                assert root == box.application.root(), f"seed {self.seed}: states differ at {length}"


def barrier(world: World) -> str:
    return world.do(Barrier())
