"""The world: one queue of events in virtual time, and everything that lives in it.

An event is one delivery or one turn (R39). Observers are added to it: checkers raise `Violation`, the
report writes a transcript. The object graph of a simulated cluster is built here and in cluster.py only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import Executed, Note, Record
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.host import TurnLost
from dtvn.protocol.probes import probe
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from simulator import relays
from simulator.clock import MILLISECOND, SECOND, NodeClock, TrueClock
from simulator.dice import Dice
from simulator.frame_cache import FrameCache
from simulator.network import LinkQuality, Network
from simulator.node import Costs, Node
from simulator.observers import EXECUTED, ObserverList
from simulator.scheme import Keyring
from simulator.violation import Violation

LEARNER = "learner"
"""Principal of the platform's learner; nodes that are never members are named by it and a number."""
OPERATOR = "operator"
FIRST_CAPABILITIES = ("issue", "operate", "gate", "admin")
"""The capabilities that there were when seeds and transcripts were kept."""
OPERATORS_NUMBER = 9
"""Number of the gateway through which the operator changes the membership."""

DISK_FREED_AFTER = 500 * MILLISECOND
"""Interval at which a full disk is checked again."""

NOTICED_AFTER = 10 * MILLISECOND
"""Time after which the connections of a dead process break."""


class Settings(msgspec.Struct, frozen=True):
    """Parameters of a world."""

    members: int = 4
    learners: int = 1
    one_platform: bool = False
    """Whether all learners follow under one principal, like processes of one platform, or each under its
    own."""
    relays: int = 0
    """Learners from which followers get the log (simulator.relays)."""
    followers: int = 0
    relay_lies: str = ""
    """How the first relay lies, or that the first two follow each other ("loop"); "": none lies."""
    gateways: int = 2
    guests: int = 0
    """Number of gateways, the last ones, that have no capabilities (R15)."""
    capabilities: tuple[str, ...] = FIRST_CAPABILITIES
    """Those that gateways have in all events."""
    real_signatures: bool = False
    malleable: bool = False
    """Whether a signature has many forms (simulator.scheme.MalleableHash); not with real signatures."""
    quality: LinkQuality = LinkQuality()
    costs: Costs = Costs()
    skew_max: int = 200 * MILLISECOND
    """Most nanoseconds that a wall clock is wrong, either way; below half the drift bound."""
    rate_ppm_max: int = 100
    parameters: g.Parameters = g.Parameters()
    """But for the version."""
    version: int = NEWEST
    """Of the cluster, as genesis seals it (R47)."""
    spares: int = 0
    """Machines that may become members; if there are any, an operator's gateway changes the membership."""
    transfer_lag: int = 0
    """Lag in sequences at which a member fetches the state instead of the log; 0: the product's default."""
    archives: bool = False
    """Whether members that took a state fetch the log below it, as in the product. Most seeds were kept
    before there was that."""
    resend_bytes_max: int = 0
    """Most bytes of messages or entries sent again at once; 0: the product's default."""
    node_reads: bool = False
    """Whether the API of nodes is read too, which applies the log to their rows (R17)."""
    epoch_catch_up: bool = False
    """Whether nodes that slept through epochs continue in the newest, as in the product, or read the log."""
    unlike_rules: int = 0
    """Number of members, the first ones, that judge agent events by other rules; they are honest."""
    mode: Mode = Mode.PBFT
    """How the members agree."""
    beyond: bool = False
    """Whether more members lie than are tolerated; only checkers whose promises hold even then are asked."""
    first_message_timeouts: int = 0
    """View timeouts (T) that a starting node waits for its primary's first message; 6 in the product
    (R31)."""


class Endpoint(Protocol):
    """A client process at the edge of the network."""

    name: str
    principal: str

    def deliver(self, sender: str, frame: bytes) -> None:
        """A frame of a member arrived."""

    def links(self, up: frozenset[str]) -> None:
        """`up`: ids of the members to which there is a connection now."""


class World:
    """Time, network, nodes and clients of one run; everything follows from `seed` and `settings`."""

    def __init__(
        self,
        seed: int | str,
        settings: Settings,
        genesis_of: Callable[[Settings, Keyring], g.Genesis] | None = None,
    ) -> None:
        """`genesis_of`: makes the genesis; None: `make_genesis`."""
        self.settings = settings
        self.dice = Dice(seed)
        self.clock = TrueClock()
        self.network = Network(self.dice.fork("network"), settings.quality)
        self.keyring = Keyring(real=settings.real_signatures, malleable=settings.malleable)
        self.genesis = (genesis_of or make_genesis)(settings, self.keyring)
        self.cluster = g.cluster_id(self.genesis)
        self.epochs: dict[int, Membership] = {}
        """Every epoch that an honest node ever entered."""
        self.began: dict[int, int] = {}
        """World time at which an honest node first entered each epoch."""
        self.recoveries: dict[int, frozenset[str]] = {}
        """Sequences at which all members ended an epoch offline (R11), with those that had lost their
        ledgers."""
        self.members = 0
        """Number of members of the newest epoch, and their names in order of their index."""
        self.member_names: list[str] = []
        self.nodes: dict[str, Node] = {}
        self.twins: dict[str, str] = {}
        """Member name -> name of its twin, which receives what the member receives."""
        self.endpoints: dict[str, Endpoint] = {}
        self.observers = ObserverList()
        self.sent = self.received = 0
        """Frames given to the network, and frames that arrived."""
        self.events = 0
        self.frame_cache = FrameCache()
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._peers: dict[tuple[str, int], Peer] = {}
        self._principals: dict[str, str] = {}
        """Endpoint name -> principal; those that are gone are kept, since their frames may be under way."""

        self.enter(founding(self.genesis))

    def enter(self, membership: Membership) -> None:
        """Record that an honest node enters an epoch."""
        if membership.epoch not in self.epochs:
            self.epochs[membership.epoch] = membership
            self.began[membership.epoch] = self.clock.time
            if membership.epoch == max(self.epochs):
                self.member_names = [member.id for member in membership.members]
                self.members = len(self.member_names)

    @property
    def mode(self) -> Mode:
        """How the members agree."""
        return g.mode(self.genesis)

    @property
    def present(self) -> Membership:
        """The newest epoch."""
        return self.epochs[max(self.epochs)]

    # --- time ------------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """True time: nanoseconds since the world began."""
        return self.clock.time

    def at(self, time: int, action: Callable[..., None], *arguments: Any) -> None:
        """Schedule an action; actions at the same time run in the order in which they were scheduled."""
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, action, arguments))

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Schedule an action after a delay."""
        self.at(self.clock.time + delay, action, *arguments)

    def run(self, until: int, *, done: Callable[[], bool] | None = None) -> bool:
        """Run to a time, or until `done` returns True; returns whether it did."""
        queue, clock = self._queue, self.clock
        while queue and queue[0][0] <= until:
            clock.time, _order, action, arguments = heapq.heappop(queue)
            action(*arguments)
            if done is not None and done():
                return True
        self.clock.time = max(self.clock.time, until)
        return done is not None and done()

    def run_for(self, duration: int, *, done: Callable[[], bool] | None = None) -> bool:
        """See run."""
        return self.run(self.clock.time + duration, done=done)

    # --- population ------------------------------------------------------------------------------

    def add_node(self, name: str, index: int | None) -> Node:
        """A new node, switched off; its `build` is not set yet."""
        dice = self.dice.fork(f"node {name}")
        settings = self.settings
        clock = NodeClock(
            self.clock,
            skew=dice.between(-settings.skew_max, settings.skew_max),
            rate_ppm=dice.between(-settings.rate_ppm_max, settings.rate_ppm_max),
        )
        node = Node(self, name, index, dice=dice, clock=clock, costs=settings.costs)
        self.nodes[name] = node
        return node

    def honest_members(self) -> list[Node]:
        """Members of the newest epoch that are not adversaries, up or down."""
        return [node for name in self.member_names if (node := self.nodes[name]).honest]

    def learners(self) -> list[Node]:
        """Nodes without a vote that are not adversaries (a removed member is one of them)."""
        return [node for node in self.nodes.values() if node.index is None and node.honest]

    def peer(self, name: str, membership: Membership) -> Peer:
        """The identity that links of this epoch authenticate for an endpoint; `route` is the endpoint's
        name."""
        peer = self._peers.get((name, membership.epoch))
        if peer is None:
            node = self.nodes.get(name)
            place = None if node is None else node.place(membership)
            if node is not None and place is not None:
                peer = Peer(node.member_id, place, name.encode())
            else:
                principal = (
                    self._principals[name]
                    if node is None
                    else reader_principal(node.member_id, self.settings)
                )
                peer = Peer(principal, None, name.encode())
            self._peers[name, membership.epoch] = peer
        return peer

    def dial(self, endpoint: Endpoint) -> None:
        """A client process starts: its connections are up a little later."""
        self.endpoints[endpoint.name] = endpoint
        self._principals[endpoint.name] = endpoint.principal
        self.after(NOTICED_AFTER, self._links_changed)

    # --- network ---------------------------------------------------------------------------------

    def transmit(self, sender: str, receiver: str, frame: bytes, departs: int) -> None:
        """Give a frame to the network."""
        self.sent += 1
        node = self.nodes.get(sender)
        if node is not None:
            for told in self.observers.spoke[frame[1] if len(frame) > 1 else -1]:
                told(node, receiver, frame)
        self._carry(sender, receiver, frame, departs)
        if not self.twins:
            return
        twin = self.twins.get(receiver)
        if twin is not None and twin != sender:
            self._carry(sender, twin, frame, departs)

    def _carry(self, sender: str, receiver: str, frame: bytes, departs: int) -> None:
        node = self.nodes.get(sender)
        hello = b"" if node is None else node.hello
        for arrival in self.network.arrivals(sender, receiver, frame, departs):
            self._order += 1
            sent = (sender, receiver, frame, hello)
            heapq.heappush(self._queue, (arrival, self._order, self._deliver, sent))

    def _deliver(self, sender: str, receiver: str, frame: bytes, hello: bytes = b"") -> None:
        network = self.network
        if network.cuts and not network.carries(sender, receiver):
            network.lost += 1
            return
        self.events += 1
        self.received += 1
        for told in self.observers.delivered[frame[1] if len(frame) > 1 else -1]:
            told(sender, receiver, frame)
        node = self.nodes.get(receiver)
        if node is not None:
            node.deliver(Inbound(self.peer(sender, node.membership), frame), hello)
        elif receiver in self.endpoints:
            self.endpoints[receiver].deliver(sender, frame)

    def relink(self) -> None:
        """Links to newcomers are made, because a node entered another epoch."""
        self.after(NOTICED_AFTER, self._links_changed)

    # --- what nodes tell the world ---------------------------------------------------------------

    def turning(self, node: Node) -> None:
        """A node begins a turn."""
        self.events += 1
        for told in self.observers.turning:
            told(node)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """A turn's records are durable."""
        for told in self.observers.persisted:
            told(node, records)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """A node emits a note."""
        for told in self.observers.noticed[EXECUTED if isinstance(note, Executed) else note.kind]:
            told(node, note)

    def start(self, node: Node) -> None:
        """Start a node."""
        if node.up:
            return
        node.start()
        if node.up:
            for told in self.observers.started:
                told(node)
            self.after(NOTICED_AFTER, self._links_changed)

    def stopped(self, node: Node) -> None:
        """A node lost power or its process ended."""
        for told in self.observers.stopped:
            told(node)
        self.after(NOTICED_AFTER, self._links_changed)

    def disk_full(self, node: Node) -> None:
        """The host is gone; the process waits for space and rebuilds it (R8)."""
        node.crash()
        self.after(DISK_FREED_AFTER, self._look_at_disk, node)

    def _look_at_disk(self, node: Node) -> None:
        if node.disk.full:
            self.after(DISK_FREED_AFTER, self._look_at_disk, node)
        else:
            self.start(node)

    def disk_damaged(self, node: Node) -> None:
        """The process has read damaged data and ended: its operator moves the ledger away, and starts the
        node with an empty one (R11)."""
        probe("disk.damage_was_read")
        node.crash()
        node.lose_disk()
        self.after(DISK_FREED_AFTER, self.start, node)

    def broken(self, node: Node, lost: TurnLost) -> None:
        """A host died without an injected fault: no input of a peer may cause that."""
        node.crash()
        if node.honest:
            cause = lost.__cause__
            raise Violation("pump", f"{node.name}: {lost}: {type(cause).__name__}: {cause}") from lost
        self.after(SECOND, self.start, node)

    def _links_changed(self) -> None:
        up = frozenset(node.name for node in self.nodes.values() if node.up and node.name == node.member_id)
        for endpoint in self.endpoints.values():
            endpoint.links(up)


# --- genesis -------------------------------------------------------------------------------------


def client_name(number: int, life: int = 0) -> str:
    """Endpoint name of a gateway process: 8 bytes, since it is the client id on the wire. A restarted process
    (another `life`) has another one."""
    return f"client-{number}" if life == 0 else f"cli{life:03}-{number}"


def principal_of(number: int) -> str:
    """Principal with which a gateway signs."""
    return OPERATOR if number == OPERATORS_NUMBER else f"gateway-{number}"


def reader_principal(name: str, settings: Settings) -> str:
    """Principal with which a node that is no member reads the log: the platform's learner's, or its own."""
    of_platform = name == f"{LEARNER}-0" or (settings.one_platform and name.startswith(f"{LEARNER}-"))
    return LEARNER if of_platform else name


def make_genesis(settings: Settings, keyring: Keyring) -> g.Genesis:
    """The genesis of a demonstration cluster whose gateways may do everything everywhere."""
    grants = tuple(g.Grant(g.ANY_EVENT, capability) for capability in settings.capabilities)
    principals = [
        g.Principal(
            principal_of(number),
            keyring.pair(principal_of(number))[0],
            grants if number < settings.gateways - settings.guests else (),
        )
        for number in range(settings.gateways)
    ]
    principals.append(g.Principal("rogue", keyring.pair("rogue")[0], grants))
    learners = {
        reader_principal(f"{LEARNER}-{number}", settings) for number in range(max(1, settings.learners))
    }
    learners |= {f"n{number}" for number in range(settings.spares)}
    learners |= set(relays.names(settings))
    principals += [g.Principal(name, keyring.pair(name)[0], ()) for name in learners]
    if settings.spares:
        principals.append(g.Principal(OPERATOR, keyring.pair(OPERATOR)[0], grants))
    return g.make_genesis(
        name="world",
        created_at=1_700_000_000_000_000,
        members=(
            g.Member(f"r{index}", keyring.pair(f"r{index}")[0], "world", 1 + index)
            for index in range(settings.members)
        ),
        principals=principals,
        parameters=msgspec.structs.replace(settings.parameters, version=settings.version),
        demo=True,
        consensus=settings.mode,
    )
