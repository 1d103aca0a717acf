"""The listening side: one ROUTER for members with a lower index, gateways and the learner.

The sender of a frame is the User-Id of its connection, which the gatekeeper sets from the CURVE key.
It is read on every frame: ZeroMQ lets a peer choose its routing id, and a routing id may come back
under another owner. Routing ids serve only as addresses for answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import zmq

from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys
from dtvn.net.dialled import NOBLOCK, has_frame, more_follows, tune
from dtvn.net.monitor import monitored
from dtvn.net.queues import Outbound, lane_of
from dtvn.net.silence import is_dead
from dtvn.net.zap import DOMAIN
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.wire import Envelope, kind_of

ROUTES_MAX = 1_024
"""Connections remembered. One more evicts a dead connection, else the oldest of the peer that has most."""

READ_MAX = 256
"""Frames read at a time; ZeroMQ reads its connections in turn."""

MANY = 4
"""Frames read at once after which a further one is likely to wait."""

BACKLOG = 256

ROUTE = int(zmq.NOBLOCK | zmq.SNDMORE)

_HELLO_KIND = kind_of(Hello(b""))
_CLIENT_SIZES = (0, 8)
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED


class _Connection(msgspec.Struct):
    user: str
    """User-Id of its frames."""
    peer: Peer
    descriptor: int
    outbound: Outbound
    client: bytes = b""
    alive: bool = True
    greeted: bool = False
    """False: the peer sent no Hello; it only asks questions, and only answers are sent to it."""


class Acceptor:
    """Listens, and maps connections to peers. `arrived` receives each frame; a Hello only if it has a
    `greeting`, and of a member."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        keys: CurveKeys,
        users: Mapping[str, Peer],
        arrived: Callable[[Peer, bytes], None],
    ) -> None:
        self._users = users
        self._arrived = arrived
        self._routes: dict[bytes, _Connection] = {}
        self._newest: dict[str, bytes] = {}
        self._clients: dict[tuple[str, bytes], bytes] = {}
        self._backlog: set[bytes] = set()
        self.counters: dict[str, LinkCounters] = {peer.name: LinkCounters() for peer in users.values()}
        self.malformed = 0
        self.greeting = b""
        """What this member says first to each other member (R44); b"": nothing."""
        socket = context.socket(zmq.ROUTER)
        tune(socket)
        # Diallers send the heartbeats, and say in each for how long it is good. libzmq 4.3.5 ends the process
        # when it sends one to a peer that left while its frames filled the pipe (zeromq/libzmq#4841).
        socket.heartbeat_ivl = 0
        socket.router_mandatory = 1
        socket.backlog = BACKLOG
        socket.curve_server = 1
        socket.curve_publickey = keys.public
        socket.curve_secretkey = keys.secret
        socket.zap_domain = DOMAIN
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self.monitor = socket.get_monitor_socket(_EVENTS)
        self.socket = socket

    def listen(self, endpoint: str) -> None:
        """Bind; raise zmq.ZMQError if the address is taken or not one of this host."""
        self.socket.ipv6 = "[" in endpoint
        self.socket.bind(endpoint)

    def allow(self, users: Mapping[str, Peer]) -> None:
        """Accept frames of these users only from now on; the counters of earlier users are kept."""
        self._users = users
        for peer in users.values():
            self.counters.setdefault(peer.name, LinkCounters())
        for route, connection in self._routes.items():
            peer = users.get(connection.user, connection.peer)
            connection.peer = Peer(name=peer.name, member=peer.member, route=route)
        self._newest.clear()
        self._clients.clear()
        for route, connection in self._routes.items():
            if connection.greeted:
                self._newest[connection.peer.name] = route
                self._clients[connection.peer.name, connection.client] = route

    def forget_former(self, members: Mapping[str, Peer]) -> None:
        """Another epoch begins, with these users as its members: connections and counters of former ones are
        forgotten, and their frames ignored. Call `allow` next."""
        for route, connection in list(self._routes.items()):
            if connection.peer.member is not None and connection.user not in members:
                self._forget(route)
        names = {c.peer.name for c in self._routes.values()} | {peer.name for peer in members.values()}
        names |= {peer.name for peer in self._users.values() if peer.member is None}
        self.counters = {name: each for name, each in self.counters.items() if name in names}
        self.allow({user: peer for user, peer in self._users.items() if peer.member is None} | dict(members))

    def look(self) -> None:
        """Mark connections that are silent for too long; to be called once a second."""
        for route, connection in self._routes.items():
            if connection.alive and is_dead(connection.descriptor):
                self._ended(route, connection)

    def _ended(self, route: bytes, connection: _Connection) -> None:
        connection.alive = False
        self.demote(route)

    def demote(self, route: bytes) -> None:
        """Send to the peer of this connection over another one that lives, if there is one."""
        connection = self._routes.get(route)
        if connection is None or self._newest.get(connection.peer.name) != route:
            return
        name = connection.peer.name
        for other, each in self._routes.items():
            if other != route and each.peer.name == name and each.greeted and each.alive:
                self._newest[name] = other

    def attend(self) -> None:
        """Mark connections that ended, and try again to send waiting frames."""
        ended: set[int] = set()
        for event, descriptor in monitored(self.monitor):
            # A descriptor that was accepted again belongs to the newer connection.
            (ended.add if event == zmq.EVENT_DISCONNECTED else ended.discard)(descriptor)
        if ended:
            for route, connection in self._routes.items():
                if connection.descriptor in ended:
                    self._ended(route, connection)
        for route in list(self._backlog):
            self._flush(route, self._routes[route])

    def read(self) -> int:
        """Read a bounded number of frames; return how many."""
        socket = self.socket
        count = 0
        # The first recv skips has_frame, for the poll usually found a frame; so do those of many frames, for
        # each call of has_frame lets the socket attend to its connections, which a flood makes dear.
        while count < READ_MAX and (not 0 < count < MANY or has_frame(socket)):
            try:
                head = socket.recv(NOBLOCK, copy=False)
            except zmq.Again:
                break
            frame = socket.recv()
            whole = True
            while more_follows(socket):
                whole = False
                socket.recv()
            self._take(head, frame, whole=whole)
            count += 1
        return count

    def route_of(self, name: str) -> bytes | None:
        """The route of a peer's newest connection; None if that is not alive."""
        route = self._newest.get(name)
        return route if route is not None and self._routes[route].alive else None

    def live(self) -> dict[str, Peer]:
        """Name -> peer, with the route of its newest connection, of the peers for which that is alive."""
        routes = [self._routes[route] for route in self._newest.values()]
        return {each.peer.name: each.peer for each in routes if each.alive}

    def client_route(self, principal: str, client: bytes) -> bytes | None:
        """The route to one client process; None if it has no connection."""
        return self._clients.get((principal, client))

    def owner(self, route: bytes) -> str | None:
        """Name of the peer that owned a connection at its last frame; None if the route is unknown."""
        connection = self._routes.get(route)
        return connection.peer.name if connection else None

    def send(self, route: bytes, frame: bytes) -> bool:
        """Queue a frame for a connection; False if the route is unknown."""
        connection = self._routes.get(route)
        if connection is None:
            return False
        counters = self.counters[connection.peer.name]
        counters.dropped_outbound += connection.outbound.put(lane_of(frame), frame)
        self._flush(route, connection)
        return True

    def greet(self, greeting: bytes) -> None:
        """Send this Hello to each member with a connection, and to each that greets from now on."""
        self.greeting = greeting
        for name, route in list(self._newest.items()):
            connection = self._routes[route]
            if connection.alive and connection.peer.member is not None and connection.peer.name == name:
                self.send(route, greeting)

    @property
    def waiting(self) -> bool:
        """True while frames wait for a connection that is full at the moment."""
        return bool(self._backlog)

    def frames_waiting(self) -> int:
        """Number of frames that connections have not accepted yet."""
        return sum(len(self._routes[route].outbound) for route in self._backlog)

    def close(self) -> None:
        """Close every connection at once."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)

    # --- internals -------------------------------------------------------------------------------

    def _take(self, head: zmq.Frame, frame: bytes, *, whole: bool) -> None:
        user = str(head.get("User-Id"))
        peer = self._users.get(user)
        if peer is None or not whole:
            self.malformed += 1
            return
        route = head.bytes
        connection = self._routes.get(route)
        if connection is None or connection.peer.name != peer.name:
            connection = self._welcome(route, user, peer, int(head.get(zmq.SRCFD)))
        connection.alive = True
        if len(frame) > 1 and frame[1] == _HELLO_KIND:
            self._greeted(route, connection, frame)
            if not (self.greeting and connection.greeted and connection.peer.member is not None):
                return
            self.send(route, self.greeting)
        self._arrived(connection.peer, frame)

    def _welcome(self, route: bytes, user: str, peer: Peer, descriptor: int) -> _Connection:
        self._forget(route)
        if len(self._routes) >= ROUTES_MAX:
            self._forget_one()
        connection = _Connection(
            user=user,
            peer=Peer(name=peer.name, member=peer.member, route=route),
            descriptor=descriptor,
            outbound=Outbound(),
        )
        self._routes[route] = connection
        return connection

    def _greeted(self, route: bytes, connection: _Connection, frame: bytes) -> None:
        try:
            envelope = canonical.decode(Envelope, frame)
            hello = canonical.decode(Hello, envelope.body)
        except canonical.CanonicalError:
            self.malformed += 1
            return
        if len(hello.client) not in _CLIENT_SIZES:
            self.malformed += 1
            return
        if not connection.greeted:
            self.counters[connection.peer.name].note_connect()
        connection.greeted = True
        connection.client = hello.client
        self._newest[connection.peer.name] = route
        self._clients[connection.peer.name, hello.client] = route

    def _flush(self, route: bytes, connection: _Connection) -> None:
        counters = self.counters[connection.peer.name]
        while (frame := connection.outbound.first()) is not None:
            try:
                self.socket.send(route, ROUTE)
                self.socket.send(frame, NOBLOCK)
            except zmq.Again:
                self._backlog.add(route)
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self._forget(route)
                return
            connection.outbound.sent()
            counters.frames_sent += 1
            counters.bytes_sent += len(frame)
        self._backlog.discard(route)

    def _forget(self, route: bytes) -> None:
        connection = self._routes.pop(route, None)
        if connection is None:
            return
        self._backlog.discard(route)
        name = connection.peer.name
        counters = self.counters[name]
        counters.disconnects += connection.greeted
        counters.dropped_outbound += connection.outbound.clear()
        if self._clients.get((name, connection.client)) == route:
            del self._clients[name, connection.client]
        if self._newest.get(name) == route:
            del self._newest[name]

    def _forget_one(self) -> None:
        for route, connection in self._routes.items():
            if not connection.alive:
                self._forget(route)
                return
        [(greedy, _)] = Counter(c.peer.name for c in self._routes.values()).most_common(1)
        self._forget(next(route for route, c in self._routes.items() if c.peer.name == greedy))
