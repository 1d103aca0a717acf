"""One virtual node: the real host and core over virtual ports, with a power switch.

A turn happens at one instant of the world, but takes time: its messages depart when the node's processor and
disk would be done, and the next turn starts no sooner. Frames that arrive meanwhile wait in the inbox, so
turns grow under load as they do in a real node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from dtvn.protocol.consensus import OTHERS_ARE_GONE, ReplicaSnapshot
from dtvn.protocol.consensus.effects import ALL, Executed, Note, Now, Record, ReplyTo, Send
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import Inbound, Peer, VerifiedBundle
from dtvn.protocol.host import EpochOver, Halted, Host, Installed, TurnLost
from dtvn.protocol.host.ports import JournalError, JournalFull
from dtvn.protocol.quorum import Mode
from simulator.clock import MICROSECOND, MILLISECOND, NodeClock
from simulator.dice import Dice
from simulator.disk import VOTES_AGAIN, CrashPoint, PowerCut, VirtualDisk
from simulator.disk_damage import DiskDamaged
from simulator.node_environment import NodeEnvironment
from simulator.violation import Violation

TWIN = "~twin"
"""Suffix of the name of a second machine with the same key."""

RETIRES_WITHIN = 100 * MILLISECOND
"""Time after which a process that was asked to stop has handed over, and ends."""

INBOX_MAX = 20_000
"""Most frames that wait at a node; further ones are lost, as in a transport whose buffers are full."""


class Costs(msgspec.Struct, frozen=True):
    """Durations of a turn's parts, in nanoseconds, and what the power takes with it."""

    turn: int = 20 * MICROSECOND
    frame: int = 20 * MICROSECOND
    sync_min: int = 100 * MICROSECOND
    sync_max: int = 1_000 * MICROSECOND
    read_min: int = 0
    read_max: int = 0
    """Of each read of the ledger while the node runs; 0: it takes no time."""
    torn: float = 0.0
    """Share of the crashes that damage all that was being written, so that nothing unsynced is left; else
    any prefix of it may be."""


FREE = Costs(turn=0, frame=0, sync_min=0, sync_max=0)
"""A node whose turns take no time: for golden scenarios."""


class SendHook(Protocol):
    """An adversary's hook for every message that its node would send (simulator.adversary)."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> Iterable[tuple[str, bytes]]:
        """The messages sent instead of `frame` to `receiver`: (receiver, frame) of each."""


Build = Callable[["Node"], Host]
"""Builds a host over this node's ports (cluster.py)."""


class Node:
    """A member or a learner. `index` is None for a learner, and may differ from epoch to epoch."""

    def __init__(
        self,
        world: NodeEnvironment[Node],
        name: str,
        index: int | None,
        *,
        dice: Dice,
        clock: NodeClock,
        costs: Costs,
    ) -> None:
        self.world = world
        self.name = name
        """Endpoint name; that of a twin differs from its member id."""
        self.member_id = name.removesuffix(TWIN)
        self.index = index
        self.keys = [self.member_id]
        """Names of its key pairs, the newest last: each rotation adds one (R35)."""
        self.membership: Membership = world.epochs[0]
        """The membership of its present epoch, read from its disk at each start."""
        self.inherited: tuple[VerifiedBundle, ...] = ()
        """Requests that were still waiting when the previous epoch ended."""
        self.carried: Any = None
        """The application that its next host takes over from the epoch before; None: it loads the disk."""
        self.clock = clock
        self.costs = costs
        self.disk = VirtualDisk(dice.fork("disk"))
        self.build: Build | None = None
        self.host: Host | None = None
        self.look: Callable[[], ReplicaSnapshot] | None = None
        """Returns a snapshot of the core; set together with the host."""
        self.honest = True
        self.upward: tuple[str, ...] = ()
        """Relays that it is linked to; for its core they have the indexes behind those of the members."""
        self.send_hook: SendHook | None = None
        self.receive_filter: Callable[[Inbound], bool] | None = None
        """A liar's filter of the frames that its node receives; None: it receives all."""
        self.losses = 0
        """Number of disks lost so far."""
        self.halted = ""
        """Why its process stopped permanently, and no later process may go on (host.Halted); "": it has
        not."""
        self.paused = False
        self.slept = (0, 0)
        """World times at which it last fell asleep and woke up."""
        self.core: Any = None
        """The core that the host runs; for checkers."""
        self.continued = False
        """Whether its host was rebuilt by the process that had written this disk (ports.LedgerTail)."""
        self.inbox: deque[Inbound] = deque()
        self.hello = b""
        """First frame of each link that its process makes (R44); b"": it says nothing."""
        self._greeted: dict[str, bytes] = {}
        """Endpoint -> the Hello of the process whose link this one reads."""
        self.boots = 0
        """Number of its processes so far."""
        self._dice = dice
        self._true = world.clock
        self._begin()

    def _begin(self) -> None:
        self._ready_at = 0
        self._spent = 0
        self._wake: int | None = None
        self._asked: set[int] = set()
        """Times at which the world will call it back, among them the relevant one (`_wake`)."""
        self._sends_left: int | None = None

    # --- power -----------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """True while the node runs (also while it is paused)."""
        return self.host is not None

    def place(self, membership: Membership) -> int | None:
        """Its index in an epoch, by id and key; None if it is no member of that epoch."""
        found = membership.find(self.member_id)
        if found is None:
            return None
        pair = self.world.keyring.pair
        key = membership.members[found].public_key
        return found if any(pair(name)[0] == key for name in self.keys) else None

    def said(self, message: Any) -> bool:
        """Whether a statement names this node as its sender, by the members of the statement's epoch."""
        if message.epoch == self.membership.epoch:
            return bool(message.sender == self.index)
        membership = self.world.epochs.get(message.epoch)
        return membership is not None and message.sender == self.place(membership)

    def goes_by(self) -> Now:
        """The time that it goes by, which may hold back a step of its machine's clock (R3)."""
        return self.clock.now() if self.host is None else self.host.clock.now()

    def view(self) -> int:
        """The view that it is in; 0 while it is down."""
        return 0 if self.look is None or self.host is None else self.look().view

    def start(self) -> None:
        """Boot: a new host over the same disk."""
        if self.host is not None or self.build is None:
            return
        self.clock.boot(self._dice.below(1 << 40))
        self.boots += 1
        self.hello = b""
        self._greeted.clear()
        self.continued = False
        self._ready_at = self.world.time
        self._spent = 0
        self._wake = None
        host = self.build(self)
        self.host = host
        self._guard(host.start)
        self._rest()

    def crash(self, *, thorough: bool = False) -> None:
        """Power off: memory and inbox are lost. `thorough`: see VirtualDisk.crash."""
        self.losses += self.disk.misdirected
        self.disk.crash(thorough=self._dice.hit(self.costs.torn) or thorough)
        self.host = None
        self.paused = False
        self.inherited, self.carried = (), None
        self.inbox.clear()
        self.disarm()
        self.world.stopped(self)

    def retire(self) -> None:
        """Its process is asked to stop: it hands over if it leads, and ends soon afterwards (R29, R44)."""
        host = self.host
        if host is None:
            return
        self._guard(host.resign)
        self._rest()
        self.world.after(RETIRES_WITHIN, self._end_process, host)

    def _end_process(self, host: Host) -> None:
        if self.host is host:
            self.crash()

    def say_others_are_gone(self) -> None:
        """Record the operator's statement for its next start that the other members are gone (R11); in a Raft
        cluster that its disk is the newest one (R44)."""
        self.disk.record(VOTES_AGAIN if self.world.mode is Mode.RAFT else OTHERS_ARE_GONE)

    def leave(self) -> None:
        """Its process no longer belongs to this node: what runs in it continues elsewhere (R10)."""
        self.host = None
        self.paused = False
        self.inbox.clear()
        self.world.stopped(self)

    @property
    def serves_reads(self) -> bool:
        """Whether its own API can answer."""
        return self.up and not (self.paused or self.armed or self.disk.full)

    def bring_rows_up(self) -> None:
        """Apply the log to the rows, as its own API does before it answers (R17)."""
        if self.host is not None:
            self._guard(self.host.flush_rows)

    def crash_in_next_write(self, point: CrashPoint) -> None:
        """Arm a crash: it happens when the node next writes or, with WHILE_SENDING, next sends."""
        if point is CrashPoint.WHILE_SENDING:
            self._sends_left = self._dice.below(max(2, self.world.members))
        else:
            self.disk.crash_at = point

    def lose_disk(self) -> None:
        """The data folder is lost, the key is not (R11). Only while the node is down."""
        self.losses += 1
        self.disk = self.disk.replacement(self._dice.fork(f"disk {self.losses}"))

    @property
    def armed(self) -> bool:
        """True while an armed crash has not happened yet."""
        return self.disk.crash_at is not None or self._sends_left is not None

    def disarm(self) -> None:
        """Cancel an armed crash."""
        self.disk.crash_at = self._sends_left = None

    def pause(self) -> None:
        """Like SIGSTOP: nothing runs, clocks go on, links stay up."""
        if not self.paused:
            self.slept = (self.world.time, self.world.time)
        self.paused = True

    def resume(self) -> None:
        """Like SIGCONT."""
        if self.paused:
            self.paused = False
            self.slept = (self.slept[0], self.world.time)
            self.wake(self.world.time)

    # --- life ------------------------------------------------------------------------------------

    def deliver(self, inbound: Inbound, hello: bytes = b"") -> None:
        """Receive a frame, over a link that began with `hello`."""
        if self.host is None or len(self.inbox) >= INBOX_MAX:
            return
        sender = inbound.peer.route.decode()
        if hello and self._greeted.get(sender) != hello:
            self._greeted[sender] = hello
            self.inbox.append(Inbound(inbound.peer, hello))
        if self.receive_filter is not None and not self.receive_filter(inbound):
            return
        if self.upward and inbound.peer.route.decode() in self.upward:
            slot = len(self.membership.members) + self.upward.index(inbound.peer.route.decode())
            inbound = Inbound(Peer(inbound.peer.name, slot, inbound.peer.route), inbound.frame)
        self.inbox.append(inbound)
        self.wake(self._ready_at)

    def wake(self, time: int) -> None:
        """Request a turn at `time` of the world, or as soon afterwards as the node is free."""
        time = max(time, self._ready_at, self._true.time)
        if self._wake is None or time < self._wake:
            self._wake = time
            if time not in self._asked:  # most deadlines stay the same over many turns
                self._asked.add(time)
                self.world.at(time, self._awake, time)

    def _awake(self, time: int) -> None:
        self._asked.discard(time)
        if self._wake != time:
            return
        self._wake = None
        host = self.host
        if host is None or self.paused:
            return
        self._spent = self.costs.turn
        self.world.turning(self)
        self._guard(host.turn)
        self._ready_at = self._true.time + self._spent
        self._rest()

    def _rest(self) -> None:
        if self.host is None:
            return
        if self.inbox:
            self.wake(self._ready_at)
            return
        wake_at = self.host.wake_at()
        if wake_at is not None:
            self.wake(self.clock.true_time(wake_at))

    def _guard(self, step: Callable[[], object]) -> None:
        """Run a step of the host; if the host ends, react as a node's process does (R8)."""
        try:
            step()
        except PowerCut:
            self.crash()
        except DiskDamaged:  # it was read before the turn
            self.world.disk_damaged(self)
        except JournalError as error:
            raise Violation("journal", f"{self.name} cannot read its ledger: {error}") from error
        except TurnLost as lost:
            cause = lost.__cause__
            if isinstance(cause, PowerCut):
                self.crash()
            elif isinstance(cause, Violation):
                raise cause from None
            elif isinstance(cause, JournalFull):
                self.world.disk_full(self)
            elif isinstance(cause, DiskDamaged):
                self.world.disk_damaged(self)
            elif isinstance(cause, Installed):
                self._rebuild(continued=True)
            elif isinstance(cause, EpochOver):
                self._succeed(cause)
            elif isinstance(cause, Halted):
                self.halted = str(cause)
                self.leave()
            else:
                self.world.broken(self, lost)

    def _succeed(self, over: EpochOver) -> None:
        """The same process goes on in the next epoch, with the state and the frames that it has (R35)."""
        self.inherited = over.successor.bundles
        self.carried = None if self.host is None else self.host.application
        following, peer = over.successor.membership, self.world.peer
        for _ in range(len(self.inbox)):
            item = self.inbox.popleft()
            self.inbox.append(Inbound(peer(item.peer.route.decode(), following), item.frame, item.taken))
        self._rebuild(continued=False)
        self.world.relink()

    def _rebuild(self, *, continued: bool) -> None:
        """The same process builds another host over the contents of the disk (R8), and over the state that it
        carries into another epoch."""
        self.continued = continued
        if self.build is not None:
            carried = self.carried is not None
            host = self.host = self.build(self)
            self._guard(lambda: host.start(carried=carried))

    # --- ports.Transport -------------------------------------------------------------------------

    def receive(self, limit: int) -> Sequence[Inbound]:
        """See ports.Transport."""
        inbox = self.inbox
        self._empty_sockets()
        if len(inbox) <= limit:
            taken = list(inbox)
            inbox.clear()
        else:
            taken = [inbox.popleft() for _ in range(limit)]
        self._spent += self.costs.frame * len(taken)
        return taken

    def _empty_sockets(self) -> None:
        """Its loop takes all that arrived since the last turn, although a turn handles a bounded number."""
        inbox, now, arrived = self.inbox, self.clock.now().monotonic, []
        while inbox and not inbox[-1].taken:
            arrived.append(inbox.pop())
        inbox.extend(Inbound(each.peer, each.frame, now) for each in reversed(arrived))

    def put_back(self, items: Sequence[Inbound]) -> None:
        """See ports.Transport."""
        self.inbox.extendleft(reversed(items))
        self._spent -= self.costs.frame * len(items)

    def charge(self, peer: Peer, checks: int) -> None:
        """See ports.Transport: nothing is charged, frames are taken in the order of arrival."""

    def mute_bulk(self, peer: Peer) -> None:
        """See ports.Transport: here a frame costs the same whoever drops it."""

    def send(self, send: Send) -> None:
        """See ports.Transport."""
        if self._sends_left is not None:
            if self._sends_left == 0:
                raise PowerCut("while sending")
            self._sends_left -= 1
        if send.to == ALL:
            for index, member in enumerate(self.membership.members):
                if index != self.index:
                    self._say(member.id, send.frame)
            for relay in self.upward:
                self._say(relay, send.frame)
        elif send.to >= len(self.membership.members):
            self._say(self.upward[send.to - len(self.membership.members)], send.frame)
        elif send.to != self.index:
            self._say(self.membership.members[send.to].id, send.frame)

    def reply(self, reply: ReplyTo) -> None:
        """See ports.Transport."""
        self._say(reply.client.decode(errors="replace"), reply.frame)

    def greet(self, hello: bytes) -> None:
        """See ports.Transport: it travels with each frame, and is read where the link is new."""
        self.hello = hello

    def demote(self, peer: Peer) -> None:
        """See ports.Transport: a copy beside a member hears what the member hears."""

    def answer(self, peer: Peer, frame: bytes) -> None:
        """See ports.Transport."""
        self._say(peer.route.decode(), frame)

    def _say(self, receiver: str, frame: bytes) -> None:
        departs = self._true.time + self._spent
        if self.send_hook is None:
            self.world.transmit(self.name, receiver, frame, departs)
        else:
            for other, words in self.send_hook.on_send(self, receiver, frame):
                self.world.transmit(self.name, other, words, departs)

    # --- ports.Journal, watched -------------------------------------------------------------------

    def wrote(self, records: Sequence[Record]) -> None:
        """The disk has written a turn's records, which takes the time of a sync."""
        self._spent += self._dice.between(self.costs.sync_min, self.costs.sync_max)
        self.world.persisted(self, records)

    def has_read(self) -> None:
        """The disk has read something, which takes its time."""
        if self.costs.read_max:
            self._spent += self._dice.between(self.costs.read_min, self.costs.read_max)

    # --- ports.Watcher ---------------------------------------------------------------------------

    def notice(self, note: Executed | Note) -> None:
        """See ports.Watcher."""
        self.world.noticed(self, note)
